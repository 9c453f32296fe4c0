import { describe, expect, test } from 'vitest'
import { type Codec, CodecTable } from '../src/index.ts'
import { weightOf } from '../src/negotiation.ts'

describe('weightOf (RFC 9110 section 12.5.1)', () => {
  test.each<[string, number]>([
    ['', 1],
    ['application/cbor', 1],
    ['APPLICATION/CBOR;q=0.5', 0.5],
    ['application/json', 0],
    ['*/*', 1],
    ['application/*;q=0.3', 0.3],
    ['*/*;q=0.9, application/*;q=0.4, application/cbor;q=0.1', 0.1],
    ['application/cbor;q=0, */*', 0],
    ['application/cbor;q=0.2;x=1, application/cbor;q=0.7', 0.7],
    ['text/plain;x="a, application/cbor";q=0.1, */*;q=0.2', 0.2],
    ['application/cbor ; Q=0.25', 0.25],
    ['application/cbor;q=high', 1],
    ['application/cbor;q=2', 1],
    [',,, ;q=1', 0],
    ['application/cbo', 0]
  ])('gives application/cbor in %j the weight %d', (accept, weight) => {
    expect(weightOf('application/cbor', accept)).toBe(weight)
  })
})

const preferred = (table: CodecTable, accept: string, value: unknown, text: boolean): string | undefined =>
  table.choices(accept, text)[table.formatOf(value)]?.mediaType

const codec = (mediaType: string, takes?: (value: unknown) => boolean): Codec => ({
  mediaType,
  encode: () => '',
  decode: () => null,
  ...(takes === undefined ? {} : { takes })
})

describe('the codec that a table prefers', () => {
  const isList = (value: unknown): boolean => Array.isArray(value)
  const table = new CodecTable([
    codec('application/cbor'),
    codec('application/senml+json', isList),
    codec('application/senml+cbor', isList),
    codec('application/xml')
  ])

  test.each<[string, string, string]>([
    ['', 'application/json', 'application/senml+json'],
    ['application/cbor', 'application/cbor', 'application/cbor'],
    ['application/xml;q=0.5, application/cbor;q=0.5', 'application/cbor', 'application/cbor'],
    ['application/cbor;q=0.5, application/xml', 'application/xml', 'application/xml'],
    ['application/cbor, application/json', 'application/json', 'application/json'],
    ['application/cbor, application/json;q=0.9', 'application/cbor', 'application/cbor'],
    ['application/senml+cbor', 'application/json', 'application/senml+cbor'],
    ['application/senml+cbor, */*;q=0.1', 'application/json', 'application/senml+cbor'],
    ['image/png', 'application/json', 'application/senml+json'],
    ['*/*', 'application/json', 'application/senml+json'],
    ['application/json;q=0, */*', 'application/cbor', 'application/senml+json'],
    ['text/*', 'application/json', 'application/senml+json']
  ])('for accept %j is %s, or %s for a value that special codecs take', (accept, general, special) => {
    expect(preferred(table, accept, {}, false)).toBe(general)
    expect(preferred(table, accept, [], false)).toBe(special)
  })

  test('is text where only text fits', () => {
    expect(preferred(table, 'application/cbor', {}, true)).toBe('application/json')
    expect(preferred(table, 'application/senml+cbor', [], true)).toBe('application/senml+json')
    expect(preferred(table, 'application/xml', {}, true)).toBe('application/xml')
    expect(preferred(table, 'application/xml', {}, false)).toBe('application/xml')
  })

  test('says nothing of Accept where there is JSON alone', () => {
    const plain = new CodecTable([codec('application/json')])
    expect(plain.negotiable).toBe(false)
    expect(table.negotiable).toBe(true)
    plain.addMissing(codec('application/cbor'))
    expect(plain.negotiable).toBe(true)
    expect(preferred(plain, 'application/cbor', {}, false)).toBe('application/cbor')
  })

  test('is never one that is not negotiated, which still reads and writes its type', () => {
    const form: Codec = { ...codec('application/x-form'), negotiated: false }
    const reading = new CodecTable([form])
    expect(reading.negotiable).toBe(false)
    expect(reading.find('application/x-form')).toBe(form)
    expect(preferred(new CodecTable([form, codec('application/cbor')]), 'application/x-form', {}, false)).toBe('application/json')
  })

  test('remembers a bounded number of choices', () => {
    const before = table.choices('application/cbor', false)
    expect(table.choices('application/cbor', false)).toBe(before)
    for (let index = 0; index < 100; index++) table.choices(`application/x-${index}`, false)
    expect(table.choices('application/cbor', false)).not.toBe(before)
    const long = `application/cbor, ${'application/x, '.repeat(50)}`
    expect(table.choices(long, false)).not.toBe(table.choices(long, false))
  })
})
