import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cbor } from '../src/index.ts'

const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const hex = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('hex')
const strict = cbor()
const converting = cbor({ beyondJson: 'convert' })
const refused = (status: number, code: string): unknown => expect.objectContaining({ status, code })

describe('encode', () => {
  // RFC 8949 appendix A.
  test.each<[string, unknown]>([
    ['00', 0],
    ['1818', 24],
    ['1a000f4240', 1_000_000],
    ['1b000000e8d4a51000', 1_000_000_000_000],
    ['3903e7', -1000],
    ['fb3ff199999999999a', 1.1],
    ['f93e00', 1.5],
    ['f4', false],
    ['f6', null],
    ['62c3bc', 'ü'],
    ['64f0908591', '𐅑'],
    ['8301820203820405', [1, [2, 3], [4, 5]]],
    ['a26161016162820203', { a: 1, b: [2, 3] }],
    ['a0', {}]
  ])('writes %s and reads it back', (bytes, value) => {
    expect(hex(strict.encode(value))).toBe(bytes)
    expect(strict.decode(unhex(bytes))).toEqual(value)
  })

  test('writes what JSON says of a value', () => {
    const value = { date: new Date(0), set: new Set([1, 2]), none: undefined, nan: Number.NaN, zero: -0 }
    expect(strict.decode(strict.encode(value) as Uint8Array)).toEqual(
      JSON.parse('{"date":"1970-01-01T00:00:00.000Z","set":[1,2],"nan":null,"zero":0}')
    )
    expect(() => strict.encode({ big: 1n })).toThrow(/BigInt has no JSON form/)
    expect(() => strict.encode(Promise.resolve())).toThrow(/no JSON form/)
  })

  test('gives equal values equal bytes, whatever the order of their members', () => {
    expect(hex(strict.encode({ on: true, level: 1 }))).toBe(hex(strict.encode({ level: 1, on: true })))
  })

  test('gives back any JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), value => {
        const text = JSON.stringify(value)
        fc.pre(!/__proto__|"constructor"/.test(text))
        expect(strict.decode(strict.encode(value) as Uint8Array)).toEqual(JSON.parse(text))
      }),
      { numRuns: 100 }
    )
  })
})

describe('decode', () => {
  test.each<[string, string, unknown]>([
    ['an array of indefinite length', '9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
    ['a map of indefinite length', 'bf61610161629f0203ffff', { a: 1, b: [2, 3] }],
    ['an empty array of indefinite length', '9fff', []],
    ['arguments longer than they need be', '1b0000000000000001', 1],
    ['floats of three sizes', '83f93c00fa47c35000fbc010666666666666', [1, 100_000, -4.1]],
    ['the tag of self-described CBOR', 'd9d9f7a1616101', { a: 1 }],
    ['text with a byte order mark and a replacement character', '8263efbbbf63efbfbd', ['\ufeff', '\ufffd']],
    ['text as long as its head says', `7820${'61'.repeat(32)}`, 'a'.repeat(32)]
  ])('reads %s', (_, bytes, value) => {
    for (const codec of [strict, converting]) expect(codec.decode(unhex(bytes))).toEqual(value)
  })

  test.each([
    ['nothing', ''],
    ['a second value', '0000'],
    ['a text cut short', '6461'],
    ['an argument cut short', '19ff'],
    ['a reserved argument', '1c'],
    ['a break alone', 'ff'],
    ['a break in an array of definite length', '82ff01'],
    ['a break in place of a value', 'bf6161ffff'],
    ['a break as the value of a map of definite length', 'a16161ff'],
    ['a break behind a tag', '9fd9d9f7ffff'],
    ['an array that is longer than the bytes', '9affffffff00'],
    ['an array of 2^53 items', '9b001fffffffffffff'],
    ['a text that is longer than memory', '7bffffffffffffffff'],
    ['text that is not UTF-8', '61ff'],
    ['an encoded surrogate', '63eda080'],
    ['long text that is not UTF-8', `7829${'61'.repeat(40)}ff`],
    ['a key twice', 'a2616101616102'],
    ['a key twice in a map of indefinite length', 'bf616101616102ff'],
    ['a key that is a map', 'a1a000'],
    ['an odd map', 'bf01ff'],
    ['a simple value without meaning', 'f0'],
    ['text in chunks', '7f657374726561646d696e67ff'],
    ['bytes in chunks', '5f42010243030405ff'],
    ['a tag alone', 'd9d9f7']
  ])('refuses %s', (_, bytes) => {
    for (const codec of [strict, converting])
      expect(() => codec.decode(unhex(bytes))).toThrow(
        expect.objectContaining({ status: 400, code: expect.stringMatching(/^(?:malformed|unsupported)-cbor$/) })
      )
    expect(() => converting.decode(unhex(bytes))).toThrow(refused(400, 'malformed-cbor'))
  })

  test.each<[string, string, unknown]>([
    ['a byte string', '42fffe', '__4'],
    ['a tag', 'c11a514b67b0', 1363896240],
    ['tags in a row', 'c1c100', 0],
    ['NaN', 'f97e00', null],
    ['infinity', 'f97c00', null],
    ['undefined', '81f7', [null]],
    ['an integer beyond 2^53', '1b0020000000000000', '9007199254740992'],
    ['a negative integer beyond 2^53', '3bffffffffffffffff', '-18446744073709551616'],
    ['integer keys', 'a201022003', { 1: 2, '-1': 3 }],
    ['byte strings as keys', 'a141ff00', { _w: 0 }]
  ])('refuses %s, or converts it where asked to', (_, bytes, value) => {
    expect(() => strict.decode(unhex(bytes))).toThrow(refused(400, 'unsupported-cbor'))
    expect(converting.decode(unhex(bytes))).toEqual(value)
  })

  test('refuses keys that become equal by conversion', () => {
    expect(() => converting.decode(unhex('a20100613101'))).toThrow(refused(400, 'malformed-cbor'))
  })

  test('refuses the keys that JSON may not have', () => {
    const proto = `69${hex('__proto__')}`
    const constructing = `6b${hex('constructor')}`
    const prototype = `69${hex('prototype')}`
    expect(() => strict.decode(unhex(`a1${proto}a0`))).toThrow(refused(400, 'forbidden-key'))
    expect(() => strict.decode(unhex(`81a16161a1${proto}01`))).toThrow(refused(400, 'forbidden-key'))
    expect(() => strict.decode(unhex(`a1${constructing}a1${prototype}00`))).toThrow(refused(400, 'forbidden-key'))
    expect(strict.decode(unhex(`a1${constructing}01`))).toEqual({ constructor: 1 })
    expect(strict.decode(unhex(proto))).toBe('__proto__')
  })

  test('bounds nesting, indefinite lengths included', () => {
    expect(() => strict.decode(unhex(`${'81'.repeat(1000)}00`))).not.toThrow()
    for (const open of ['81', '9f', 'a16161', 'bf6161'])
      for (const levels of [1001, 100_000]) expect(() => strict.decode(unhex(`${open.repeat(levels)}00`))).toThrow(refused(400, 'cbor-too-deep'))
  })

  test('bounds the memory that a value takes for its size', () => {
    const many = (item: string, count: number): Uint8Array => unhex(`9a${count.toString(16).padStart(8, '0')}${item.repeat(count)}`)
    expect(strict.decode(many('80', 9_999))).toHaveLength(9_999)
    for (const item of ['80', 'a0', 'a160f5']) expect(() => strict.decode(many(item, 100_000))).toThrow(refused(413, 'cbor-too-dense'))
    expect(strict.decode(many('a1616101', 100_000))).toHaveLength(100_000)
    expect(strict.decode(many('01', 100_000))).toHaveLength(100_000)
  })

  test('counts the memory of arrays, maps and values', () => {
    expect(strict.valueSize?.(unhex('80'))).toBe(64)
    expect(strict.valueSize?.(unhex('a1616101'))).toBe(4 * 16 + 48)
  })

  test('takes any bytes without throwing anything but an IopaError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
        for (const codec of [strict, converting]) {
          try {
            JSON.stringify(codec.decode(bytes))
          } catch (error) {
            expect(error).toMatchObject({ name: 'IopaError', status: 400 })
          }
        }
      }),
      { numRuns: 1000 }
    )
  })

  test('reads a Buffer as the bytes that it is', () => {
    const whole = Buffer.from('00a161614141', 'hex')
    expect(converting.decode(whole.subarray(1))).toEqual({ a: 'QQ' })
  })
})

test('refuses a way of conversion that does not exist', () => {
  expect(() => cbor({ beyondJson: 'ignore' as 'refuse' })).toThrow(refused(500, 'bad-option'))
})
