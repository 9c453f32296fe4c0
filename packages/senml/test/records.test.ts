import { type PackRecord, pack, parsePack, records, type SenmlRecord } from '@iopa/senml'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EXAMPLES, NOW } from './vectors.ts'

const resolve = (...given: readonly PackRecord[]): SenmlRecord[] => records(given, { now: NOW })
const refused = (status: number, code: string, pointer?: string): unknown =>
  expect.objectContaining({ status, code, ...(pointer === undefined ? {} : { extensions: { errors: [{ pointer, detail: expect.any(String) }] } }) })

describe('records', () => {
  test.each(EXAMPLES)('resolves the example of RFC 8428 section $section', ({ pack, records: resolved }) => {
    expect(records(pack, { now: NOW })).toEqual(resolved)
  })

  test('takes times below 2^28 as relative to now, with their base', () => {
    const edge = 2 ** 28
    expect(resolve({ n: 'a', v: 1, t: -5 })[0]?.t).toBe(NOW / 1000 - 5)
    expect(resolve({ n: 'a', v: 1, t: edge - 1 })[0]?.t).toBe(NOW / 1000 + edge - 1)
    expect(resolve({ n: 'a', v: 1, t: edge })[0]?.t).toBe(edge)
    expect(resolve({ n: 'a', bt: edge - 1, v: 1, t: 1 })[0]?.t).toBe(edge)
    expect(resolve({ n: 'a', bt: edge, v: 1, t: -1 })[0]?.t).toBe(NOW / 1000 + edge - 1)
  })

  test('adds base values and base sums, to records that have none of their own as well', () => {
    const resolved = resolve(
      { bn: 'a', bt: 1e9, bv: 20, bs: 100, v: 1.5 },
      { t: 1, v: 2, s: 3 },
      { t: 2, s: 1 },
      { t: 3, vs: 'x' },
      { t: 4, bv: 0, v: 2 }
    )
    expect(resolved.map(({ v, s, vs }) => [v ?? vs, s])).toEqual([
      [21.5, 100],
      [22, 103],
      [20, 101],
      ['x', 100],
      [2, 100]
    ])
  })

  test('keeps the unit of a record before the base unit, and leaves out one that nobody gives', () => {
    expect(resolve({ n: 'a', v: 1 }, { n: 'b', bu: 'V', v: 1 }, { n: 'c', u: 'A', v: 1 }).map(({ u }) => u)).toEqual([undefined, 'V', 'A'])
  })

  test('names the version where it is not that of RFC 8428, and leaves out extensions', () => {
    expect(resolve({ bver: 10, n: 'a', v: 1, ut: 60, x: 1 } as PackRecord)).toEqual([{ n: 'a', v: 1, ut: 60, t: NOW / 1000 }])
    expect(resolve({ bver: 3, n: 'a', v: 1 }, { n: 'b', v: 1 }).map(({ bver }) => bver)).toEqual([3, 3])
  })

  test('are in the order of their times, and of the pack where these are equal', () => {
    const resolved = resolve({ bt: 1e9, n: 'a', t: 5, v: 1 }, { n: 'b', t: 1, v: 1 }, { n: 'c', t: 5, v: 1 })
    expect(resolved.map(({ n }) => n)).toEqual(['b', 'a', 'c'])
  })

  test.each<[string, readonly PackRecord[], string]>([
    ['no name', [{ v: 1 }], '/0/n'],
    [
      'a name with a space',
      [
        { n: 'a', v: 1 },
        { n: 'b c', v: 1 }
      ],
      '/1/n'
    ],
    ['a name that begins with a hyphen', [{ n: '-a', v: 1 }], '/0/n'],
    [
      'a name that is too long with its base name',
      [
        { bn: 'a'.repeat(1024), v: 1 },
        { n: 'b', v: 1 }
      ],
      '/1/n'
    ],
    ['a base name that ends its name wrongly', [{ bn: 'urn:', n: 'ü', v: 1 }], '/0/n'],
    ['a value beyond a number', [{ n: 'a', bv: 1.7e308, v: 1.7e308 }], '/0/v'],
    ['a time beyond a number', [{ n: 'a', bt: 1.7e308, t: 1.7e308, v: 1 }], '/0/t']
  ])('refuses %s', (_, given, pointer) => {
    expect(() => records(given, { now: NOW })).toThrow(refused(422, 'invalid-senml', pointer))
  })
})

describe('parsePack', () => {
  test.each<[string, unknown, string | undefined]>([
    ['an object', {}, undefined],
    ['nothing', undefined, undefined],
    ['a pack without records', [], undefined],
    ['a record that is a number', [1], '/0'],
    ['a record that is an array', [[]], '/0'],
    ['a name that is a number', [{ n: 1, v: 1 }], '/0/n'],
    [
      'a value that is text',
      [
        { n: 'a', v: 1 },
        { n: 'a', v: '1' }
      ],
      '/1/v'
    ],
    ['a value that is null', [{ n: 'a', v: null }], '/0/v'],
    ['a time that is not finite', [{ n: 'a', v: 1, t: Number.NaN }], '/0/t'],
    ['a boolean value that is a number', [{ n: 'a', vb: 1 }], '/0/vb'],
    ['data with padding', [{ n: 'a', vd: 'aGkgCg==' }], '/0/vd'],
    ['data that ends within a byte', [{ n: 'a', vd: 'aGkgC' }], '/0/vd'],
    ['a version that is not whole', [{ bver: 1.5, n: 'a', v: 1 }], '/0/bver']
  ])('refuses %s', (_, value, pointer) => {
    expect(() => parsePack(value)).toThrow(refused(400, 'malformed-senml', pointer))
  })

  test.each<[string, unknown, string]>([
    ['two values', [{ n: 'a', v: 1, vs: 'x' }], '/0/vs'],
    ['no value and no sum', [{ n: 'a' }], '/0'],
    ['a version that is not known yet', [{ bver: 11, n: 'a', v: 1 }], '/0/bver'],
    [
      'records of several versions',
      [
        { bver: 5, n: 'a', v: 1 },
        { bver: 6, n: 'a', v: 1 }
      ],
      '/1/bver'
    ],
    [
      'a version that begins later',
      [
        { n: 'a', v: 1 },
        { bver: 5, n: 'a', v: 1 }
      ],
      '/1/bver'
    ],
    ['a field that must be understood', [{ n: 'a', v: 1, 'x/~_': 0 }], '/0/x~1~0_']
  ])('refuses %s', (_, value, pointer) => {
    expect(() => parsePack(value)).toThrow(refused(422, 'invalid-senml', pointer))
  })

  test('takes a sum without value, unknown fields and a version that is said again', () => {
    expect(() =>
      parsePack([
        { n: 'a', s: 1, x: {} },
        { n: 'b', v: 1, bver: 10 }
      ])
    ).not.toThrow()
    expect(() => parsePack([{ n: 'a', v: undefined, vs: 'x' }])).toThrow(refused(400, 'malformed-senml', '/0/v'))
  })

  test('bounds the records', () => {
    const many = Array.from({ length: 10_001 }, () => ({ n: 'a', v: 1 }))
    expect(() => parsePack(many)).toThrow(refused(413, 'too-many-records'))
    expect(() => parsePack(many.slice(1))).not.toThrow()
    expect(() => parsePack(many.slice(0, 3), 2)).toThrow(refused(413, 'too-many-records'))
  })
})

const name = fc.stringMatching(/^[a-z0-9](?:[a-z0-9]|[:/._-]){0,8}$/)
const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(v => ({ v: v + 0 })),
  fc.string().map(vs => ({ vs })),
  fc.boolean().map(vb => ({ vb })),
  fc.uint8Array({ maxLength: 8 }).map(bytes => ({ vd: Buffer.from(bytes).toString('base64url') })),
  fc.integer().map(s => ({ s }))
)
const time = fc.oneof(fc.integer({ min: 2 ** 28, max: 2e9 }), fc.double({ min: 2 ** 28, max: 2e9, noNaN: true }))
const record: fc.Arbitrary<SenmlRecord> = fc
  .tuple(name, value, time, fc.option(fc.constantFrom('Cel', '%RH', 'V'), { nil: undefined }), fc.option(fc.nat(), { nil: undefined }))
  .map(([n, given, t, u, ut]) => ({ n: `urn:dev:${n}`, ...given, t, ...(u === undefined ? {} : { u }), ...(ut === undefined ? {} : { ut }) }))

describe('pack', () => {
  test('gives back the records, whatever they are', () => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 12 }), given => {
        const sorted = [...given].sort((one, other) => one.t - other.t)
        expect(records(pack(sorted), { now: 0 })).toEqual(sorted)
        expect(records(JSON.parse(JSON.stringify(pack(sorted))), { now: 0 })).toEqual(sorted)
      }),
      { numRuns: 200 }
    )
  })

  test('writes once what records have in common', () => {
    const t = 1.7e9
    expect(
      pack([
        { n: 'urn:dev:mac:1:temp', u: 'Cel', v: 20, t },
        { n: 'urn:dev:mac:1:temp2', u: 'Cel', v: 21, t: t + 60 },
        { n: 'urn:dev:mac:1:hum', u: '%RH', v: 50, t: t + 60 }
      ])
    ).toEqual([
      { bn: 'urn:dev:mac:1:', bu: 'Cel', bt: t, n: 'temp', v: 20 },
      { n: 'temp2', t: 60, v: 21 },
      { n: 'hum', u: '%RH', t: 60, v: 50 }
    ])
    expect(pack([{ n: 'a', u: 'V', v: 1, t }])).toEqual([{ n: 'a', u: 'V', t, v: 1 }])
    expect(
      pack([
        { n: 'same', v: 1, t, bver: 5 },
        { n: 'same', u: 'V', v: 2, t, bver: 5 }
      ])
    ).toEqual([
      { bn: 'same', bt: t, bver: 5, v: 1 },
      { u: 'V', v: 2 }
    ])
  })

  test('begins a new base time where a difference would round', () => {
    const given = [
      { n: 'a', v: 1, t: 2 ** 28 + 0.1 },
      { n: 'a', v: 2, t: 1.7e9 + 0.3 }
    ]
    expect(records(pack(given), { now: 0 })).toEqual(given)
  })

  test.each<[string, SenmlRecord]>([
    ['a relative time', { n: 'a', v: 1, t: 5 }],
    ['no time', { n: 'a', v: 1 } as SenmlRecord],
    ['a name that SenML does not take', { n: 'a b', v: 1, t: 1e9 }],
    ['no value', { n: 'a', t: 1e9 }],
    ['another version', { n: 'a', v: 1, t: 1e9, bver: 5 }]
  ])('refuses a record with %s as a fault of the app', (_, given) => {
    expect(() => pack([{ n: 'b', v: 1, t: 1e9 }, given])).toThrow(TypeError)
  })

  test('refuses to make a pack of nothing', () => {
    expect(() => pack([])).toThrow(TypeError)
  })
})
