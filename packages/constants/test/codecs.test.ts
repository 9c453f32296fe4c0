import { type Codec, CodecTable, decodeText, encodeJson, IopaError, jsonCodec, octetStreamCodec, parseJson, textCodec } from '@iopa/constants'
import { describe, expect, test } from 'vitest'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const codeOf = (run: () => unknown): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    return error instanceof IopaError ? `${error.status} ${error.code}` : String(error)
  }
}

describe('the codec table', () => {
  const cbor: Codec = { mediaType: 'application/cbor', contentFormat: 60, encode: () => new Uint8Array([0xf6]), decode: () => null }

  test('finds text, bytes and JSON, ignoring case and parameters of the content type', () => {
    const table = new CodecTable()
    expect(table.find('Text/Plain; charset=utf-8')).toBe(textCodec)
    expect(table.find('application/octet-stream')).toBe(octetStreamCodec)
    expect(table.find(' application/JSON ;q=1')).toBe(jsonCodec)
    expect(table.find('image/png')).toBeUndefined()
  })

  test('falls back from a structured suffix to its base type, unless the type has its own codec', () => {
    expect(new CodecTable().find('application/senml+json')).toBe(jsonCodec)
    expect(new CodecTable([cbor]).find('application/senml+cbor')).toBe(cbor)
    expect(new CodecTable().find('application/senml+cbor')).toBeUndefined()
    const own = { ...cbor, mediaType: 'application/senml+json' }
    expect(new CodecTable([own]).find('application/senml+json')).toBe(own)
  })

  test('takes additional codecs, which may replace built-in ones', () => {
    const strict = { ...jsonCodec, encode: () => '{}' }
    const table = new CodecTable([cbor, strict])
    expect([...table]).toEqual([textCodec, octetStreamCodec, strict, cbor])
    expect(new CodecTable().find('application/json')).toBe(jsonCodec)
  })
})

describe('JSON', () => {
  test('round-trips values', () => {
    const value = { on: true, name: 'hállo', list: [1, null, { constructor: 'x' }] }
    expect(jsonCodec.decode(utf8(encodeJson(value)))).toEqual(value)
  })

  test('refuses malformed text with 400, without repeating it to the peer', () => {
    const refused = () => parseJson('{"secret": ')
    expect(codeOf(refused)).toBe('400 malformed-json')
    expect(refused).toThrow('The body is not valid JSON.')
  })

  test.each([
    '{"__proto__":{"admin":true}}',
    '{"a":[1,{"\\u005f_proto__":1}]}',
    '{"constructor":{"prototype":{}}}',
    '[[{"c\\u006fnstructor":{"prototype":1}}]]'
  ])('refuses a key that could reach a prototype with 400: %s', text => {
    expect(codeOf(() => parseJson(text))).toBe('400 forbidden-key')
  })

  test.each(['{"constructor":"Ltd"}', '{"constructor":{"name":1}}', '"__proto__"', '{"a":"\\u0000"}', 'null', '0'])(
    'accepts a key that only looks similar: %s',
    text => {
      expect(parseJson(text)).toEqual(JSON.parse(text))
    }
  )

  test('searches keys down to a thousand levels; refuses deeper JSON with 400 without a search', () => {
    const nested = (pairs: number): string => `${'[{"a":'.repeat(pairs)}{"__proto__":1}${'}]'.repeat(pairs)}${' '.repeat(20_000)}`
    expect(codeOf(() => parseJson(nested(499)))).toBe('400 forbidden-key')
    expect(codeOf(() => parseJson(nested(500)))).toBe('400 json-too-deep')
    expect(codeOf(() => parseJson(nested(5000)))).toBe('400 json-too-deep')
  })

  test('cannot encode a function or a symbol', () => {
    expect(() => encodeJson(() => 1)).toThrow(TypeError)
    expect(() => encodeJson(Symbol('x'))).toThrow(TypeError)
    expect(() => encodeJson(undefined)).toThrow(TypeError)
  })
})

describe('text and bytes', () => {
  test('refuses text that is not UTF-8 with 400', () => {
    expect(codeOf(() => decodeText(new Uint8Array([0xc3, 0x28])))).toBe('400 malformed-text')
    expect(decodeText(utf8('grün'))).toBe('grün')
  })

  test('accepts only bytes as octet-stream', () => {
    const bytes = new Uint8Array([1, 2])
    expect(octetStreamCodec.encode(bytes)).toBe(bytes)
    expect(octetStreamCodec.decode(bytes)).toBe(bytes)
    expect(() => octetStreamCodec.encode('12')).toThrow('Uint8Array')
  })

  test('has the Content-Format numbers of CoAP', () => {
    expect([textCodec, octetStreamCodec, jsonCodec].map(({ contentFormat }) => contentFormat)).toEqual([0, 42, 50])
  })
})
