import { CodecTable, reasonPhrase } from '@iopa/constants'
import { AnswerRecord, sealAnswer } from '@iopa/context/host'
import { type BagAnswer, type BagFault, type BagRequest, decodeBagAnswer, decodeBagRequest, encodeBagAnswer, encodeBagRequest } from '@iopa/transport'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (data: Uint8Array | null): string | null => (data ? new TextDecoder('utf-8', { ignoreBOM: true }).decode(data) : null)

const decoded = (bag: unknown): BagRequest => {
  const result = decodeBagRequest(bytes(typeof bag === 'string' ? bag : JSON.stringify(bag)))
  if ('error' in result) throw result.error
  return result
}
const fault = (bag: unknown): BagFault => {
  const result = decodeBagRequest(bag instanceof Uint8Array ? bag : bytes(typeof bag === 'string' ? bag : JSON.stringify(bag)))
  if (!('error' in result)) throw new Error(`accepted ${JSON.stringify(result)}`)
  return result
}
const get = (more: Record<string, unknown> = {}): Record<string, unknown> => ({ 'iopa.Method': 'GET', 'iopa.Path': '/lights/1', ...more })
const put = (more: Record<string, unknown> = {}): Record<string, unknown> => ({ 'iopa.Method': 'PUT', 'iopa.Path': '/lights/1', ...more })

describe('a request in a bag', () => {
  test('carries method, path, query, headers, observe and seq', () => {
    expect(
      decoded(
        get({ 'iopa.QueryString': 'a=1&b=%20', 'iopa.Headers': { Accept: 'text/plain', via: ['a', 'b'] }, 'iopa.Observe': true, 'iopa.Seq': 7 })
      )
    ).toEqual({
      method: 'GET',
      path: '/lights/1',
      query: 'a=1&b=%20',
      headers: ['Accept', 'text/plain', 'via', 'a', 'via', 'b'],
      contentType: '',
      body: null,
      observe: true,
      seq: 7
    })
  })

  test('has an empty query, no headers, no body and no seq when the bag names none', () => {
    expect(decoded(get())).toEqual({
      method: 'GET',
      path: '/lights/1',
      query: '',
      headers: [],
      contentType: '',
      body: null,
      observe: undefined,
      seq: undefined
    })
  })

  test.each([
    ['an unknown canonical key', get({ 'iopa.User': 'root' }), 'iopa.User'],
    ['a server key', get({ 'server.User': { name: 'root' } }), 'server.User'],
    ['a foreign key', get({ method: 'GET' }), 'method'],
    ['constructor', get({ constructor: {} }), 'constructor'],
    ['a key that differs by case', get({ 'iopa.path': '/' }), 'iopa.path']
  ])('is refused for %s, naming it', (_, bag, name) => {
    const { error } = fault(bag)
    expect(error).toMatchObject({ name: 'IopaError', status: 400, code: 'bag-key' })
    expect(error.detail).toContain(name)
  })

  test('is refused for __proto__', () => {
    expect(fault('{"iopa.Method":"GET","iopa.Path":"/","__proto__":{"iopa.Seq":1}}').error).toMatchObject({ status: 400, code: 'bag-key' })
    expect(fault('{"iopa.Method":"GET","iopa.Path":"/","iopa.Headers":{"__proto__":"x"}}').error).toMatchObject({ status: 400 })
  })

  test('repeats at most a short part of an unknown key', () => {
    expect(fault(get({ ['k'.repeat(5000)]: 1 })).error.detail.length).toBeLessThan(300)
  })

  test.each([
    ['not JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a number', '1'],
    ['a string', '"GET /"'],
    ['an HTTP request line', 'GET / HTTP/1.1']
  ])('is refused when it is %s', (_, line) => {
    expect(fault(line)).toMatchObject({ seq: undefined, error: { status: 400, code: 'bag-syntax' } })
  })

  test('is refused when it is not UTF-8', () => {
    expect(fault(Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)).error).toMatchObject({ status: 400, code: 'bag-syntax' })
  })

  test('is refused without a method or a path', () => {
    expect(fault({ 'iopa.Path': '/' }).error).toMatchObject({ status: 400, code: 'bag-type' })
    expect(fault({ 'iopa.Method': 'GET' }).error).toMatchObject({ status: 400, code: 'bag-type' })
  })

  test.each([
    ['iopa.Method', 1],
    ['iopa.Method', ''],
    ['iopa.Method', 'GET /'],
    ['iopa.Method', 'G\u00c9T'],
    ['iopa.Path', 1],
    ['iopa.Path', null],
    ['iopa.QueryString', 1],
    ['iopa.QueryString', '?a=1'],
    ['iopa.QueryString', 'a=\n'],
    ['iopa.Headers', 'a: b'],
    ['iopa.Headers', []],
    ['iopa.Headers', null],
    ['iopa.Headers', { a: 1 }],
    ['iopa.Headers', { a: ['b', 1] }],
    ['iopa.Headers', { 'a b': 'c' }],
    ['iopa.Headers', { '': 'c' }],
    ['iopa.Headers', { a: 'b\r\nset-cookie: c' }],
    ['iopa.Headers', { a: 'b\0' }],
    ['iopa.ContentType', 1],
    ['iopa.ContentType', ''],
    ['iopa.ContentType', 'text'],
    ['iopa.ContentType', 'text/plain\n'],
    ['iopa.Observe', 1],
    ['iopa.Observe', 'true'],
    ['iopa.Seq', ''],
    ['iopa.Seq', 'x'.repeat(65)],
    ['iopa.Seq', true],
    ['iopa.Seq', -1],
    ['iopa.Seq', 1.5],
    ['iopa.Seq', 2 ** 53],
    ['iopa.Seq', null],
    ['iopa.BodyEncoding', 'gzip'],
    ['iopa.BodyEncoding', 1]
  ])('is refused when %s is %j, naming the key', (key, value) => {
    const { error } = fault({ 'iopa.Method': 'GET', 'iopa.Path': '/', [key]: value })
    expect(error).toMatchObject({ status: 400, code: 'bag-type' })
    expect(error.detail).toContain(key)
  })

  test.each(['CONNECT', 'connect', 'DISCONNECT', 'SUBSCRIBE', 'UNSUBSCRIBE', 'DATA'])('may not use the control method %s', method => {
    expect(fault({ 'iopa.Method': method, 'iopa.Path': '/', 'iopa.Seq': 3 })).toMatchObject({
      seq: 3,
      error: { status: 400, code: 'control-method' }
    })
  })

  test('keeps a valid seq when it is refused, wherever it stands', () => {
    expect(fault({ 'iopa.Bad': 1, 'iopa.Seq': 9 }).seq).toBe(9)
    expect(fault({ 'iopa.Seq': 0, 'iopa.Method': 4 }).seq).toBe(0)
    expect(fault({ 'iopa.Seq': [], 'iopa.Method': 4 }).seq).toBeUndefined()
  })
})

describe('the path of a bag', () => {
  test.each(['/', '/lights', '/lights/', '/a/b/c', '/%2e%2e/%00', '/h\u00e9llo/\u{1f600}', '/.well-known/core', '/...', '/a?b'])(
    'accepts %j unchanged',
    path => {
      expect(decoded({ 'iopa.Method': 'GET', 'iopa.Path': path }).path).toBe(path)
    }
  )

  test.each(['', 'lights', '//', '//a', '/a//b', '/a//', '/.', '/..', '/a/./b', '/a/../b', '/a/..', '/a\\b', '/a\0', '/\ud800', '/\udc00/a'])(
    'refuses %j',
    path => {
      expect(fault({ 'iopa.Method': 'GET', 'iopa.Path': path }).error).toMatchObject({ status: 400 })
    }
  )

  test('holds at most 64 segments of 1,024 characters', () => {
    expect(decoded(get({ 'iopa.Path': '/a'.repeat(64) })).path.length).toBe(128)
    expect(fault(get({ 'iopa.Path': '/a'.repeat(65) })).error).toMatchObject({ status: 414 })
    expect(fault(get({ 'iopa.Path': '/a'.repeat(1000) })).error).toMatchObject({ status: 414 })
    expect(decoded(get({ 'iopa.Path': `/${'a'.repeat(1024)}` })).path.length).toBe(1025)
    expect(fault(get({ 'iopa.Path': `/${'a'.repeat(1025)}` })).error).toMatchObject({ status: 414 })
  })
})

describe('the headers of a bag', () => {
  test('hold at most 100 fields and 16 KiB', () => {
    const fields = (count: number): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, 'v']))
    expect(decoded(get({ 'iopa.Headers': fields(100) })).headers.length).toBe(200)
    expect(fault(get({ 'iopa.Headers': fields(101) })).error).toMatchObject({ status: 431 })
    expect(fault(get({ 'iopa.Headers': { a: Array(101).fill('v') } })).error).toMatchObject({ status: 431 })
    expect(fault(get({ 'iopa.Headers': { a: 'v'.repeat(16 * 1024) } })).error).toMatchObject({ status: 431 })
  })

  test("may contain the content type, if it is the same as the bag's", () => {
    expect(decoded(put({ 'iopa.Headers': { 'Content-Type': 'text/plain' }, 'iopa.Body': 'on' }))).toMatchObject({ contentType: 'text/plain' })
    expect(fault(put({ 'iopa.Headers': { 'content-type': 'text/plain' }, 'iopa.ContentType': 'text/html', 'iopa.Body': 'on' })).error).toMatchObject({
      status: 400
    })
  })
})

describe('observing', () => {
  test('starts with a GET that has a seq', () => {
    expect(decoded(get({ 'iopa.Observe': true, 'iopa.Seq': 1 }))).toMatchObject({ observe: true, seq: 1 })
    expect(fault(get({ 'iopa.Observe': true })).error).toMatchObject({ status: 400 })
    expect(fault(put({ 'iopa.Observe': true, 'iopa.Seq': 1 })).error).toMatchObject({ status: 400 })
  })

  test('stops with false and the same seq, without method or path', () => {
    expect(decoded({ 'iopa.Observe': false, 'iopa.Seq': 1 })).toMatchObject({ method: 'GET', path: '/', observe: false, seq: 1 })
    expect(fault(get({ 'iopa.Observe': false })).error).toMatchObject({ status: 400 })
  })
})

describe('the body of a request', () => {
  test.each([{ on: true, level: 40 }, [1, 2], 'on', '', 0, false, { nested: [{ a: null }] }])(
    'is the JSON value %j without a content type',
    value => {
      const request = decoded(put({ 'iopa.Body': value }))
      expect(request.contentType).toBe('application/json')
      expect(JSON.parse(text(request.body) ?? '')).toEqual(value)
    }
  )

  test('is absent for null, unless the content type is JSON', () => {
    expect(decoded(put({ 'iopa.Body': null }))).toMatchObject({ body: null, contentType: '' })
    expect(text(decoded(put({ 'iopa.Body': null, 'iopa.ContentType': 'application/json' })).body)).toBe('null')
  })

  test('is a JSON value for every JSON content type', () => {
    expect(text(decoded(put({ 'iopa.Body': 'on', 'iopa.ContentType': 'application/merge-patch+json; charset=utf-8' })).body)).toBe('"on"')
  })

  test('is text for a string with another content type', () => {
    const request = decoded(put({ 'iopa.Body': 'h\u00e9llo\n', 'iopa.ContentType': 'text/plain' }))
    expect(request.contentType).toBe('text/plain')
    expect(text(request.body)).toBe('h\u00e9llo\n')
  })

  test('is refused if it is not a string and the content type is not JSON', () => {
    expect(fault(put({ 'iopa.Body': { on: true }, 'iopa.ContentType': 'text/plain' })).error).toMatchObject({ status: 400 })
  })

  test('is bytes with the encoding base64', () => {
    const request = decoded(put({ 'iopa.Body': 'AP+A', 'iopa.BodyEncoding': 'base64', 'iopa.ContentType': 'application/cbor' }))
    expect(request).toMatchObject({ contentType: 'application/cbor', body: Uint8Array.of(0, 255, 128) })
    expect(decoded(put({ 'iopa.Body': '', 'iopa.BodyEncoding': 'base64' })).body).toEqual(new Uint8Array())
  })

  test.each(['A', 'AA', 'AAA', '====', 'AA=A', 'A A=', 'AA\n=', 'AP-_', '\u00e9AAA', 1, null, undefined])('is refused as base64: %j', body => {
    expect(fault(put({ 'iopa.Body': body, 'iopa.BodyEncoding': 'base64' })).error).toMatchObject({ status: 400 })
  })

  test('keeps JSON that json() will refuse', () => {
    expect(text(decoded('{"iopa.Method":"PUT","iopa.Path":"/","iopa.Body":{"__proto__":{"a":1}}}').body)).toBe('{"__proto__":{"a":1}}')
  })

  test('may be nested deeply without overflow', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
    const result = decodeBagRequest(bytes(`{"iopa.Method":"PUT","iopa.Path":"/","iopa.Seq":2,"iopa.Body":${deep}}`))
    expect('error' in result ? result.error : text(result.body) === deep).toBe(true)
  })
})

describe('an answer in a bag', () => {
  const line = ({ seq, ...parts }: Partial<BagAnswer> & { seq?: number | string } = {}): string =>
    encodeBagAnswer(
      {
        status: 200,
        reason: reasonPhrase(parts.status ?? 200),
        headerPairs: [],
        type: '',
        encoded: typeof parts.payload !== 'string',
        payload: null,
        ...parts
      },
      seq
    )
  const bagOf = (parts: Parameters<typeof line>[0]): Record<string, unknown> => JSON.parse(line(parts))
  const back = (parts: Parameters<typeof line>[0]): ReturnType<typeof decodeBagAnswer> => decodeBagAnswer(bytes(line(parts)))

  test('has the status, and other keys if present', () => {
    expect(bagOf({ status: 204 })).toEqual({ 'iopa.StatusCode': 204 })
    const headerPairs = ['etag', '"1"', 'Via', 'a', 'via', 'b', 'constructor', 'x']
    expect(bagOf({ status: 201, reason: 'Made', headerPairs, type: 'text/plain', payload: bytes('hi'), seq: 4 })).toEqual({
      'iopa.StatusCode': 201,
      'iopa.ReasonPhrase': 'Made',
      'iopa.Headers': { etag: '"1"', via: ['a', 'b'], constructor: 'x' },
      'iopa.ContentType': 'text/plain',
      'iopa.Body': 'hi',
      'iopa.Seq': 4
    })
    expect(bagOf({ seq: 'a"b' })['iopa.Seq']).toBe('a"b')
  })

  test('contains an answer of the core', () => {
    const answer = new AnswerRecord()
    answer.status = 201
    answer.headers.set('location', '/lights/9')
    answer.body = { on: true }
    sealAnswer(answer, new CodecTable())
    expect(JSON.parse(encodeBagAnswer(answer, 1))).toEqual({
      'iopa.StatusCode': 201,
      'iopa.Headers': { location: '/lights/9' },
      'iopa.ContentType': 'application/json',
      'iopa.Body': { on: true },
      'iopa.Seq': 1
    })
  })

  test.each(['application/json', 'application/problem+json', 'application/json; charset=utf-8'])('shows a %s body as the JSON value', type => {
    for (const payload of ['{"on":true}', bytes('{"on":true}')]) {
      expect(bagOf({ type, payload, seq: 1 })).toEqual({ 'iopa.StatusCode': 200, 'iopa.ContentType': type, 'iopa.Body': { on: true }, 'iopa.Seq': 1 })
    }
  })

  test('is one line for any body', () => {
    for (const type of ['application/json', 'text/plain', 'application/octet-stream', '']) {
      for (const payload of ['{\r\n  "a": "b"\n}\n', bytes('{\r\n  "a": "b"\n}\n')]) {
        for (const encoded of [false, true]) expect(line({ type, payload, encoded, headerPairs: ['a', 'b'] })).not.toMatch(/[\r\n]/)
      }
    }
    expect(bagOf({ type: 'application/json', payload: '{\n "a": 1\n}', encoded: true })['iopa.Body']).toEqual({ a: 1 })
  })

  test('cannot get additional keys or lines from a body that only claims to be JSON', () => {
    for (const body of ['1,"iopa.StatusCode":200', '}', '', '{"a":1', 'true}\n{"iopa.StatusCode":500']) {
      for (const payload of [body, bytes(body)]) {
        const bag = bagOf({ status: 404, type: 'application/json', payload })
        expect(bag).toMatchObject({ 'iopa.StatusCode': 404, 'iopa.BodyEncoding': 'base64' })
        expect(atob(bag['iopa.Body'] as string)).toBe(body)
      }
    }
  })

  test('shows bytes, and text that is not UTF-8, as base64', () => {
    expect(bagOf({ type: 'image/png', payload: Uint8Array.of(0, 255) })).toMatchObject({ 'iopa.Body': 'AP8=', 'iopa.BodyEncoding': 'base64' })
    expect(bagOf({ type: 'text/plain', payload: Uint8Array.of(0xff) })).toMatchObject({ 'iopa.Body': '/w==', 'iopa.BodyEncoding': 'base64' })
    expect(bagOf({ type: 'text/plain; charset=latin1', payload: Uint8Array.of(0x41) })).toMatchObject({ 'iopa.BodyEncoding': 'base64' })
  })

  test('has the content type only once', () => {
    expect(bagOf({ type: 'text/plain', headerPairs: ['Content-Type', 'text/plain'], payload: 'x' })['iopa.Headers']).toBeUndefined()
  })

  test('round-trips every status, header, type and body', () => {
    const types = fc.constantFrom('', 'text/plain', 'text/html; charset=utf-8', 'application/xml', 'application/octet-stream')
    const seqs = fc.option(fc.oneof(fc.nat(), fc.string({ minLength: 1, maxLength: 64 })), { nil: undefined })
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 599 }), types, fc.uint8Array(), seqs, (status, type, payload, seq) => {
        const { answer, seq: matched } = back({ status, type, payload, ...(seq === undefined ? {} : { seq }) })
        expect([answer.status, answer.type, matched]).toEqual([status, type, seq])
        expect([...answer.payloadBytes]).toEqual([...payload])
      })
    )
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), value => {
        expect(text(back({ type: 'text/plain', payload: value }).answer.payloadBytes)).toBe(text(bytes(value)))
      })
    )
    fc.assert(
      fc.property(fc.jsonValue(), value => {
        const payload = JSON.stringify(value)
        expect(text(back({ type: 'application/json', payload }).answer.payloadBytes)).toBe(payload)
      })
    )
  })

  test('keeps several values of a header separate', () => {
    expect(back({ headerPairs: ['set-cookie', 'a', 'Set-Cookie', 'b', 'etag', '"1"'] }).answer.headers.getAll('set-cookie')).toEqual(['a', 'b'])
  })

  test('throws an error with the reason if a client cannot read it', () => {
    const wrong = [
      '{"iopa.StatusCode":"200"}',
      '{"iopa.StatusCode":199}',
      '{"iopa.StatusCode":600}',
      '{"iopa.StatusCode":200,"iopa.Seq":[]}',
      '{"iopa.StatusCode":200,"iopa.Headers":1}'
    ]
    for (const text of ['{', '[]', '{}', ...wrong]) expect(() => decodeBagAnswer(bytes(text))).toThrow(expect.objectContaining({ status: 502 }))
  })

  test('may have keys that a client does not know', () => {
    expect(decodeBagAnswer(bytes('{"iopa.StatusCode":200,"iopa.Later":1}')).answer.status).toBe(200)
  })
})

describe('a request written by a client', () => {
  test('is read unchanged by the server', () => {
    const request: BagRequest = {
      method: 'PUT',
      path: '/lights/h\u00e4ll',
      query: 'a=1',
      headers: ['accept', 'text/plain', 'via', 'a', 'via', 'b'],
      contentType: 'application/json',
      body: bytes('{"on":true}'),
      observe: undefined,
      seq: 12
    }
    for (const variant of [
      request,
      { ...request, method: 'GET', body: null, contentType: '', observe: true },
      { ...request, contentType: 'application/cbor', body: Uint8Array.of(1, 2, 255) },
      { ...request, contentType: '', body: bytes('x'), headers: [], seq: 'twelve' }
    ]) {
      expect(decodeBagRequest(bytes(encodeBagRequest(variant)))).toEqual(variant)
    }
  })

  test('is one line', () => {
    const line = encodeBagRequest({
      method: 'PUT',
      path: '/a\nb',
      query: '',
      headers: ['a', 'b'],
      contentType: 'text/plain',
      body: bytes('a\nb\u2028'),
      observe: undefined,
      seq: 1
    })
    expect(line).not.toMatch(/[\r\n]/)
  })
})

test('decodeBagRequest returns a request or an error for any line, and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), line => {
      const result = decodeBagRequest(line)
      expect('error' in result ? result.error.status >= 400 && result.error.status < 500 : typeof result.path === 'string').toBe(true)
    })
  )
  const key = fc.constantFrom(
    'iopa.Method',
    'iopa.Path',
    'iopa.QueryString',
    'iopa.Headers',
    'iopa.Body',
    'iopa.ContentType',
    'iopa.Observe',
    'iopa.Seq',
    'iopa.BodyEncoding',
    '__proto__'
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(key, fc.oneof(fc.jsonValue(), fc.constantFrom('GET', '/a', 'base64', 'text/plain')))), entries => {
      const line = `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
      const result = decodeBagRequest(bytes(line))
      expect('error' in result ? result.error.status >= 400 && result.error.status < 500 : typeof result.path === 'string').toBe(true)
    }),
    { numRuns: 500 }
  )
})
