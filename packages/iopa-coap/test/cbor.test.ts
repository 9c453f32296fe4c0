import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CborKey, CborTag, type CborValue, toJson } from '../src/formats/cbor.ts'
import { decodeCbor } from '../src/formats/cbor-decoder.ts'
import { encodeCbor } from '../src/formats/cbor-encoder.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const map = (...entries: [CborKey, CborValue][]): ReadonlyMap<CborKey, CborValue> => new Map(entries)
const REFUSED = expect.objectContaining({ status: 400, code: 'malformed-cbor' })

describe('cbor', () => {
  // RFC 8949 appendix A, those in preferred serialization.
  test.each<[string, CborValue]>([
    ['00', 0],
    ['17', 23],
    ['1818', 24],
    ['1864', 100],
    ['1903e8', 1000],
    ['1a000f4240', 1000000],
    ['1b000000e8d4a51000', 1000000000000],
    ['1bffffffffffffffff', 18446744073709551615n],
    ['3bffffffffffffffff', -18446744073709551616n],
    ['20', -1],
    ['3863', -100],
    ['3903e7', -1000],
    ['f98000', -0],
    ['fb3ff199999999999a', 1.1],
    ['f93e00', 1.5],
    ['f90001', 2 ** -24],
    ['f90400', 0.00006103515625],
    ['fbc010666666666666', -4.1],
    ['f97c00', Number.POSITIVE_INFINITY],
    ['f97e00', Number.NaN],
    ['f9fc00', Number.NEGATIVE_INFINITY],
    ['fa7f7fffff', 3.4028234663852886e38],
    ['fb7e37e43c8800759c', 1.0e300],
    ['f4', false],
    ['f5', true],
    ['f6', null],
    ['f7', undefined],
    ['c11a514b67b0', new CborTag(1, 1363896240)],
    ['d74401020304', new CborTag(23, Uint8Array.of(1, 2, 3, 4))],
    ['40', new Uint8Array()],
    ['4401020304', Uint8Array.of(1, 2, 3, 4)],
    ['60', ''],
    ['6449455446', 'IETF'],
    ['62225c', '"\\'],
    ['62c3bc', 'ü'],
    ['64f0908591', '𐅑'],
    ['80', []],
    ['83010203', [1, 2, 3]],
    ['8301820203820405', [1, [2, 3], [4, 5]]],
    ['98190102030405060708090a0b0c0d0e0f101112131415161718181819', Array.from({ length: 25 }, (_, i) => i + 1)],
    ['a0', map()],
    ['a201020304', map([1, 2], [3, 4])],
    ['a26161016162820203', map(['a', 1], ['b', [2, 3]])]
  ])('writes and reads %s', (bytes, value) => {
    expect(hex(encodeCbor(value))).toBe(bytes)
    expect(decodeCbor(unhex(bytes))).toEqual(value)
  })

  // RFC 8949 appendix A, those of indefinite length or longer than they need be.
  test.each<[string, CborValue]>([
    ['f9c400', -4],
    ['f97bff', 65504],
    ['fa47c35000', 100000],
    ['1800', 0],
    ['1b0000000000000001', 1],
    ['5f42010243030405ff', Uint8Array.of(1, 2, 3, 4, 5)],
    ['7f657374726561646d696e67ff', 'streaming'],
    ['9fff', []],
    ['9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
    ['bf61610161629f0203ffff', map(['a', 1], ['b', [2, 3]])],
    ['3b001fffffffffffff', -9007199254740992n]
  ])('reads %s', (bytes, value) => {
    expect(decodeCbor(unhex(bytes))).toEqual(value)
  })

  test('writes plain objects as maps without what is undefined', () => {
    expect(hex(encodeCbor({ a: 1, b: undefined, tag: 2, value: 3 }))).toBe('a36161016374616702' + '6576616c756503')
    expect(hex(encodeCbor(5n))).toBe('05')
  })

  test.each([
    ['nothing', ''],
    ['a second value', '0000'],
    ['a text cut short', '6461'],
    ['an argument cut short', '19ff'],
    ['a reserved argument', '1c'],
    ['a break alone', 'ff'],
    ['an array that is longer than the bytes', '9affffffff00'],
    ['a text that is longer than memory', '7bffffffffffffffff'],
    ['text that is not UTF-8', '61ff'],
    ['a key twice', 'a201000100'],
    ['a key twice in a map of indefinite length', 'bf01000100ff'],
    ['a key that is a map', 'a1a000'],
    ['an odd map', 'bf01ff'],
    ['a simple value without meaning', 'f0'],
    ['a two-byte simple value', 'f8ff'],
    ['bytes put together from text', '5f6161ff'],
    ['text put together from text of indefinite length', '7f7f6161ffff'],
    ['a character split between chunks', '7f61c361bcff'],
    ['a tag alone', 'c1'],
    ['an integer of indefinite length', '1f'],
    ['too much nesting', `${'81'.repeat(40)}00`],
    ['tags that nest without end', `${'c1'.repeat(100)}00`]
  ])('refuses %s', (_, bytes) => {
    expect(() => decodeCbor(unhex(bytes))).toThrow(REFUSED)
  })

  test('stops at its bounds', () => {
    const thousand = encodeCbor(Array.from({ length: 1000 }, () => 0))
    expect(decodeCbor(thousand)).toHaveLength(1000)
    expect(() => decodeCbor(thousand, { values: 1000 })).toThrow(REFUSED)
    expect(() => decodeCbor(encodeCbor([[[]]]), { depth: 1 })).toThrow(REFUSED)
    expect(() => decodeCbor(unhex(`5f${'40'.repeat(5000)}ff`))).toThrow(REFUSED)
    const circle: CborValue[] = []
    circle.push(circle)
    expect(() => encodeCbor(circle)).toThrow(/contains itself/)
    expect(() => encodeCbor(1n << 64n)).toThrow(/64 bits/)
    expect(() => encodeCbor((() => 1) as unknown as CborValue)).toThrow(/function/)
  })

  test('keeps decoded bytes apart from what was received', () => {
    const received = unhex('420102')
    const value = decodeCbor(received) as Uint8Array
    received.fill(0)
    expect([...value]).toEqual([1, 2])
  })

  test('gives back any JSON value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), value => {
        expect(JSON.stringify(toJson(decodeCbor(encodeCbor(value as CborValue))))).toBe(JSON.stringify(value))
      })
    )
  })

  test('gives back any number to the last bit', () => {
    fc.assert(
      fc.property(fc.oneof(fc.double(), fc.float(), fc.maxSafeInteger()), value => Object.is(decodeCbor(encodeCbor(value)), value)),
      { numRuns: 2000 }
    )
    for (let bits = 0; bits < 0x1_0000; bits++) {
      const value = decodeCbor(Uint8Array.of(0xf9, bits >> 8, bits & 255)) as number
      expect(Object.is(decodeCbor(encodeCbor(value)), value)).toBe(true)
    }
  })

  test('turns into JSON what JSON does not have', () => {
    const value = toJson(map([-1, Uint8Array.of(255, 254)], ['__proto__', [undefined, Number.NaN]], ['t', new CborTag(38, 'x')], ['b', 1n << 60n]))
    expect(JSON.stringify(value)).toBe('{"-1":"__4","__proto__":[null,null],"t":"x","b":"1152921504606846976"}')
    expect(Object.getPrototypeOf(value)).toBeNull()
  })

  test('takes any bytes without throwing anything but a 400', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), bytes => {
        try {
          decodeCbor(bytes)
        } catch (error) {
          expect(error).toEqual(REFUSED)
        }
      }),
      { numRuns: 5000 }
    )
  })
})
