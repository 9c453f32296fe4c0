import { App } from '@iopa/appbuilder'
import { pack, records, type SenmlPack, senml } from '@iopa/senml'
import { encode } from 'cborg'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CURRENTS, CURRENTS_CBOR, EXAMPLES, NOW } from './vectors.ts'

const [json, cbor] = senml() as [ReturnType<typeof senml>[0], ReturnType<typeof senml>[0]]
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))
const bytesOf = (encoded: Uint8Array | string): Uint8Array => (typeof encoded === 'string' ? utf8(encoded) : encoded)
const refused = (status: number, code: string): unknown => expect.objectContaining({ status, code })

describe('application/senml+json and application/senml+cbor', () => {
  test.each(EXAMPLES)('write and read the example of RFC 8428 section $section', ({ pack }) => {
    for (const codec of [json, cbor]) expect(codec.decode(bytesOf(codec.encode(pack)))).toEqual(pack)
  })

  test('read the example of section 6', () => {
    expect(cbor.decode(unhex(CURRENTS_CBOR))).toEqual(CURRENTS.map((record, index) => (index === 6 ? { ...record, t: 0 } : record)))
  })

  test('have the numbers 110 and 112', () => {
    expect([json, cbor].map(({ mediaType, contentFormat }) => [mediaType, contentFormat])).toEqual([
      ['application/senml+json', 110],
      ['application/senml+cbor', 112]
    ])
  })

  test('refuse to send what is not a pack, as a fault of the app', () => {
    for (const codec of [json, cbor])
      for (const value of [{}, [], [{ n: 'a' }], [{ n: 1, v: 1 }]]) expect(() => codec.encode(value)).toThrow(TypeError)
  })

  test('keep an extension in JSON and in CBOR', () => {
    const extended = [{ n: 'a', v: 1, x: 'kept' }]
    expect(JSON.parse(json.encode(extended) as string)).toEqual(extended)
    expect(Buffer.from(bytesOf(cbor.encode(extended))).toString('hex')).toContain('6178646b657074')
  })

  test('bound the records where the app says so', () => {
    const many = Array.from({ length: 3 }, () => ({ n: 'a', v: 1 }))
    for (const codec of senml({ records: 2 })) expect(() => codec.decode(bytesOf(codec.encode(many)))).toThrow(refused(413, 'too-many-records'))
    for (const records of [0, 1.5, Number.NaN]) expect(() => senml({ records })).toThrow(refused(500, 'bad-option'))
  })
})

describe('application/senml+json', () => {
  test.each([
    ['no JSON', '[{', 400, 'malformed-json'],
    ['no array', '{"n":"a","v":1}', 400, 'malformed-senml'],
    ['a key that is not allowed', '[{"n":"a","v":1,"__proto__":{}}]', 400, 'forbidden-key'],
    ['a record without value', '[{"n":"a"}]', 422, 'invalid-senml'],
    ['a field that must be understood', '[{"n":"a","v":1,"x_":1}]', 422, 'invalid-senml']
  ])('refuses %s', (_, text, status, code) => {
    expect(() => json.decode(utf8(text))).toThrow(refused(status, code))
  })
})

describe('application/senml+cbor', () => {
  const record = (...entries: [unknown, unknown][]): Uint8Array => encode([new Map(entries)])

  test('reads numbers of every kind', () => {
    const values = ['05', '25', '1b2c1a23197bce72d7', 'f9480f', 'fa403c1999', 'fb3ffb333333333333', 'c482211969eb', 'c4820120']
    const read = values.map(value => (cbor.decode(unhex(`81a200616102${value}`)) as SenmlPack)[0]?.v)
    expect(read).toEqual([5, -6, 3177891079421588000, 8.1171875, 2.9390623569488525, 1.7, 271.15, -10])
  })

  test.each<[string, string]>([
    ['nothing', ''],
    ['no array', 'a0'],
    ['a record that is an array', '8180'],
    ['a record cut short', '81a2006161'],
    ['a label twice', '81a300616102010202'],
    ['a label as text', '81a2006161617601'],
    ['an integer that is no label', '81a30061610201186301'],
    ['a key that is bytes', '81a30061610201410001'],
    ['a value that is a break', '9fa1bf0061610102ffffff'],
    ['NaN', '81a200616102f97e00'],
    ['undefined', '81a200616102f7'],
    ['another tag', '81a200616102c100'],
    ['a decimal fraction of text', '81a200616102c482006161'],
    ['data as text', '81a2006161086161'],
    ['text that is not UTF-8', '81a20061610361ff'],
    ['a second value', '81a2006161020100'],
    ['nesting that no stack takes', '81'.repeat(9_000)]
  ])('refuses %s', (_, bytes) => {
    expect(() => cbor.decode(unhex(bytes))).toThrow(refused(400, 'malformed-senml'))
  })

  test('refuses what must be understood, and ignores other extensions', () => {
    expect(() => cbor.decode(record([0, 'a'], [2, 1], ['x_', 1]))).toThrow(refused(422, 'invalid-senml'))
    expect(cbor.decode(record([0, 'a'], [2, 1], ['x', new Map([['deep', [1]]])]))).toEqual([{ n: 'a', v: 1 }])
    expect(cbor.decode(record([0, 'a'], [2, 1], ['__proto__', 1]))).toEqual([{ n: 'a', v: 1 }])
  })

  test('ends early with more records than it may have', () => {
    expect(() => cbor.decode(unhex(`9a00100000${'a0'.repeat(100_000)}`))).toThrow(refused(413, 'too-many-records'))
    expect(() => cbor.decode(unhex(`9a00002711${'a10203'.repeat(10_001)}`))).toThrow(refused(413, 'too-many-records'))
  })

  test('takes any bytes without throwing anything but an IopaError', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 48 }), bytes => {
        for (const given of [bytes, Uint8Array.of(0x81, 0xa2, 0x00, 0x61, 0x61, ...bytes)]) {
          try {
            cbor.decode(given)
          } catch (error) {
            expect(error).toMatchObject({ name: 'IopaError' })
          }
        }
      }),
      { numRuns: 500 }
    )
  })
})

describe('an app', () => {
  const sample = pack([
    { n: 'urn:a:1', u: 'Cel', v: 20, t: 1.7e9 },
    { n: 'urn:a:2', u: 'Cel', v: 21, t: 1.7e9 }
  ])
  const ask = async (accept?: string, value: unknown = sample) => {
    const app = new App({ logger: false, codecs: senml() }).use(() => value)
    return app.invoke({ 'iopa.Headers': accept === undefined ? {} : { accept } })
  }

  test('answers a pack in the type that Accept prefers, and other values in JSON', async () => {
    expect((await ask()).type).toBe('application/senml+json')
    expect((await ask('application/senml+cbor')).type).toBe('application/senml+cbor')
    expect((await ask('application/json')).type).toBe('application/json')
    expect((await ask('application/senml+cbor', [{ n: 'a', v: 1 }])).type).toBe('application/json')
    expect(await (await ask('application/senml+cbor')).json()).toEqual(sample)
  })

  test('reads a pack with json(), and a fault in it is its answer', async () => {
    const app = new App({ logger: false, codecs: senml() }).use(async context => records((await context.json()) as SenmlPack, { now: NOW }).length)
    const put = (text: string) =>
      app.invoke({ 'iopa.Method': 'PUT', 'iopa.ContentType': 'application/senml+json', 'iopa.Body': new TextEncoder().encode(text) })
    expect(await (await put('[{"n":"a","v":1},{"n":"b","v":2}]')).text()).toBe('2')
    const answer = await put('[{"n":"a","v":1},{"n":"b b","v":2}]')
    expect([answer.status, await answer.json()]).toMatchObject([422, { code: 'invalid-senml', errors: [{ pointer: '/1/n' }] }])
  })
})
