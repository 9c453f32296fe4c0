import { IopaError } from '@iopa/appbuilder'
import { CodecTable, DEFAULT_LIMITS, HeaderMap, type RandomAccessBody, type SealedAnswer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { AnswerRecord, sealAnswer } from '../../context/src/host.ts'
import { clientAnswer, clientRequest } from '../src/client/request.ts'
import { CODE, codeOfMethod, codeOfStatus, formatCode, statusOfCode } from '../src/codec/codes.ts'
import { decode } from '../src/codec/datagram-codec.ts'
import { etagHeader, etagOption } from '../src/codec/etag.ts'
import type { ReceivedMessage } from '../src/codec/message.ts'
import { OPTION } from '../src/codec/option-registry.ts'
import { Options } from '../src/codec/options.ts'
import { badOptionOf } from '../src/exchanges/requester.ts'
import { transmission } from '../src/messages/parameters.ts'
import { PathCache } from '../src/resources/path-cache.ts'
import { FormatTable, represent, writeRepresentation } from '../src/resources/representation.ts'
import { readRequest } from '../src/resources/request-reader.ts'
import { rawRequest } from './raw-peer.ts'
import { message } from './scripted-channel.ts'

const formats = new FormatTable(new CodecTable())
const NONE = { observe: -1, block1: -1, block2: -1, size1: -1, size2: -1 }

/** An answer as a handler makes it. */
const answerOf = (status: number, body: unknown, headers: Record<string, string> = {}): SealedAnswer => {
  const answer = new AnswerRecord()
  answer.status = status
  answer.headers = headers
  if (body !== undefined) answer.body = body
  sealAnswer(answer, new CodecTable())
  return answer
}

/** The options that an answer has on the wire. */
const optionsOf = (answer: SealedAnswer, method: number = CODE.GET): Options =>
  writeRepresentation(new Options(), represent(answer, method, -1, formats), NONE)

const read = (request: Parameters<typeof rawRequest>[1], code: number = CODE.GET) =>
  readRequest(decode(rawRequest(code, request)) as ReceivedMessage, new PathCache(DEFAULT_LIMITS), DEFAULT_LIMITS, false)

describe('statuses and codes', () => {
  test('go out as the design says', () => {
    const out = (status: number, method: number) => formatCode(codeOfStatus(status, method))
    for (const [status, get, put, del] of [
      [200, '2.05', '2.04', '2.02'],
      [201, '2.01', '2.01', '2.01'],
      [204, '2.05', '2.04', '2.02'],
      [304, '2.03', '2.03', '2.03'],
      [302, '5.00', '5.00', '5.00'],
      [410, '4.04', '4.04', '4.04'],
      [418, '4.00', '4.00', '4.00'],
      [429, '4.29', '4.29', '4.29'],
      [504, '5.04', '5.04', '5.04'],
      [507, '5.00', '5.00', '5.00']
    ] as const) {
      expect([out(status, CODE.GET), out(status, CODE.PUT), out(status, CODE.DELETE)]).toEqual([get, put, del])
    }
    expect(out(200, CODE.FETCH)).toBe('2.05')
    expect(out(200, CODE.IPATCH)).toBe('2.04')
  })

  test('come in as the design says', () => {
    const codes: [number, number][] = [
      [CODE.CREATED, 201],
      [CODE.DELETED, 204],
      [CODE.VALID, 304],
      [CODE.CHANGED, 204],
      [CODE.CONTENT, 200],
      [CODE.NOT_FOUND, 404],
      [CODE.TOO_MANY_REQUESTS, 429],
      [CODE.PROXYING_NOT_SUPPORTED, 505]
    ]
    for (const [code, status] of codes) expect(statusOfCode(code, false)).toBe(status)
    expect(statusOfCode(CODE.CHANGED, true)).toBe(200)
  })

  test('know the seven methods in any case, and no other', () => {
    expect(['get', 'POST', 'Put', 'DELETE', 'fetch', 'PATCH', 'ipatch', 'HEAD'].map(codeOfMethod)).toEqual([1, 2, 3, 4, 5, 6, 7, undefined])
  })
})

describe('an answer', () => {
  test('has its Content-Format, that of its base where it has none, or none', () => {
    const formatOf = (type: string) => optionsOf(answerOf(200, 'x', { 'content-type': type })).uint(OPTION.CONTENT_FORMAT)
    expect(['text/plain; charset=utf-8', 'application/json', 'application/senml+json', 'application/acme+json', 'image/acme'].map(formatOf)).toEqual([
      0,
      50,
      110,
      50,
      undefined
    ])
  })

  test('has a Content-Format that a codec of the app brings', () => {
    const table = new FormatTable(new CodecTable([{ mediaType: 'application/acme', contentFormat: 65_000, encode: () => '', decode: () => null }]))
    expect(table.find('application/acme')).toBe(65_000)
    expect(table.find('application/unknown')).toBe(-1)
  })

  test('has Max-Age, ETag and Location from headers, in the order of their numbers', () => {
    const answer = answerOf(201, 'made', { location: '/a%20b/c?x=1&y=%C3%A4', etag: 'W/"v1"', 'cache-control': 'private, max-age=90' })
    const options = optionsOf(answer, CODE.POST)
    expect(options.getAll(OPTION.LOCATION_PATH).map(value => Buffer.from(value).toString())).toEqual(['a b', 'c'])
    expect(options.getAll(OPTION.LOCATION_QUERY).map(value => Buffer.from(value).toString())).toEqual(['x=1', 'y=ä'])
    expect(Buffer.from(options.get(OPTION.ETAG)!).toString()).toBe('v1')
    expect(options.uint(OPTION.MAX_AGE)).toBe(90)
    const numbers = [...options].map(([number]) => number)
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
  })

  test('says how long to wait as Max-Age, and leaves out the default of 60', () => {
    expect(optionsOf(answerOf(503, undefined, { 'retry-after': '7' })).uint(OPTION.MAX_AGE)).toBe(7)
    expect(optionsOf(answerOf(200, 'x', { 'cache-control': 'no-store' })).uint(OPTION.MAX_AGE)).toBe(0)
    expect(optionsOf(answerOf(200, 'x', { 'cache-control': 'max-age=60' })).has(OPTION.MAX_AGE)).toBe(false)
  })

  test('that was not changed has no payload, and one to an error tells its detail', () => {
    expect(represent(answerOf(304, undefined, { etag: '"a"' }), CODE.GET, -1, formats)).toMatchObject({
      code: CODE.VALID,
      contentFormat: -1,
      payload: new Uint8Array(0)
    })
    const failed = new AnswerRecord()
    failed.fail(new IopaError(409, 'taken', 'Somebody was faster.'))
    sealAnswer(failed, new CodecTable())
    const told = represent(failed, CODE.PUT, -1, formats)
    expect([formatCode(told.code), told.contentFormat, Buffer.from(told.payload as Uint8Array).toString()]).toEqual([
      '4.09',
      -1,
      'Somebody was faster.'
    ])
    expect(represent(failed, CODE.PUT, 257, formats).contentFormat).toBe(257)
  })

  test('keeps a body of which parts can be read', () => {
    const body: RandomAccessBody = { size: 3, read: async () => new Uint8Array(3), async *[Symbol.asyncIterator]() {} }
    expect(represent(answerOf(200, body), CODE.GET, -1, formats).payload).toBe(body)
  })

  test('survives a location that is no URL', () => {
    expect(optionsOf(answerOf(201, undefined, { location: 'http://[' })).has(OPTION.LOCATION_PATH)).toBe(false)
    expect(optionsOf(answerOf(201, undefined, { location: '/%ff' })).has(OPTION.LOCATION_PATH)).toBe(false)
  })

  test('writes options of any length', () => {
    const options = new Options()
      .add(OPTION.ETAG, new Uint8Array(8))
      .add(OPTION.LOCATION_PATH, 'x'.repeat(255))
      .add(OPTION.LOCATION_PATH, 'y'.repeat(300))
      .add(OPTION.MAX_AGE, 0xffffffff)
      .add(OPTION.SIZE1)
      .add(2000, 5)
    expect([...options].map(([number]) => number)).toEqual([4, 8, 8, 14, 60, 2000])
    expect(options.uint(OPTION.MAX_AGE)).toBe(0xffffffff)
    expect(options.getAll(OPTION.LOCATION_PATH)[1]).toHaveLength(300)
  })
})

describe('entity tags', () => {
  test('stay what they are where they fit, and become hashes where they do not', () => {
    expect(etagHeader(etagOption('"abc"'))).toBe('"abc"')
    expect(Buffer.from(etagOption('W/"12345678"')).toString()).toBe('12345678')
    expect(etagOption('"123456789"')).toHaveLength(8)
    expect(etagOption('"123456789"')).toEqual(etagOption('W/"123456789"'))
    expect(etagHeader(Uint8Array.of(0, 255))).toBe('"00ff"')
  })
})

describe('a request', () => {
  test('has its path and query as a URL would have them', () => {
    const request = read({ path: '/a/b c/ü', query: ['x=1 + 1', 'y=a&b', 'z=%41', 'flag'] })
    expect(request.path).toBe('/a/b c/ü')
    const query = new URLSearchParams(request.query)
    expect([query.get('x'), query.get('y'), query.get('z'), query.get('flag')]).toEqual(['1 + 1', 'a&b', '%41', ''])
  })

  test('has a trailing slash where its last segment is empty', () => {
    expect(read({ path: '/a/' }).path).toBe('/a/')
    expect(read({}).path).toBe('/')
  })

  test('is refused where its path is not canonical', () => {
    for (const path of ['/a/../b', '/./a', '/a//b', '/a\\b', '/a\0b']) expect(() => read({ path }), path).toThrow(IopaError)
    expect(() => read({ options: [[OPTION.URI_PATH, 'a/b']] })).toThrow(IopaError)
    expect(() => read({ options: [[OPTION.URI_PATH, Uint8Array.of(0xff)]] })).toThrow(/UTF-8/)
    expect(() => read({ options: [[OPTION.URI_QUERY, Uint8Array.of(0xff)]] })).toThrow(/UTF-8/)
  })

  test('has the same path from the cache as without, for short and long ones', () => {
    const paths = new PathCache(DEFAULT_LIMITS)
    for (const path of ['/hello', '/a/b', '/ab', `/${'x'.repeat(200)}/${'y'.repeat(200)}`, '/hello', '/a/b', `/${'z'.repeat(40)}`, '/ü']) {
      const bytes = decode(rawRequest(CODE.GET, { path })) as ReceivedMessage
      expect(readRequest(bytes, paths, DEFAULT_LIMITS, false).path).toBe(path)
    }
    // More than the cache holds, and one whose Uri-Host moves the first delta.
    for (let i = 0; i < 3000; i++)
      expect(readRequest(decode(rawRequest(CODE.GET, { path: `/n/${i}` })) as ReceivedMessage, paths, DEFAULT_LIMITS, false).path).toBe(`/n/${i}`)
    expect(read({ path: '/hello', options: [[OPTION.URI_HOST, 'example.com']] })).toMatchObject({ path: '/hello', uriHost: 'example.com' })
  })

  test('has headers for the options that mean the same', () => {
    const request = read({
      path: '/x',
      options: [
        [OPTION.IF_MATCH, 'abc'],
        [OPTION.URI_HOST, '2001:db8::1'],
        [OPTION.URI_PORT, 61616],
        [OPTION.ETAG, 'v1'],
        [OPTION.ETAG, Uint8Array.of(1)],
        [OPTION.CONTENT_FORMAT, 11_050],
        [OPTION.ACCEPT, 60]
      ]
    })
    const headers = new HeaderMap(request.headers())
    expect(headers.get('if-match')).toBe('"abc"')
    expect(headers.get('host')).toBe('[2001:db8::1]:61616')
    expect(headers.get('if-none-match')).toBe('"v1", "01"')
    expect([headers.get('content-type'), headers.get('content-encoding'), headers.get('accept')]).toEqual([
      'application/json',
      'deflate',
      'application/cbor'
    ])
    expect(
      new HeaderMap(
        read({
          options: [
            [OPTION.IF_NONE_MATCH, ''],
            [OPTION.IF_MATCH, '']
          ]
        }).headers()
      ).getAll('if-none-match')
    ).toEqual(['*'])
    expect(new HeaderMap(read({ options: [[OPTION.IF_MATCH, '']] }).headers()).get('if-match')).toBe('*')
    expect(read({ options: [[OPTION.CONTENT_FORMAT, 4711]] }).contentType()).toBe('application/coap-payload;cf=4711')
  })

  test('is bounded in its options', () => {
    const many = Array.from({ length: 200 }, () => [OPTION.URI_QUERY, 'x'] as const)
    expect(() => read({ options: many })).toThrow(/too many options/)
    expect(() =>
      readRequest(
        decode(rawRequest(CODE.GET, { options: [[2000, new Uint8Array(20_000)]] })) as ReceivedMessage,
        new PathCache(DEFAULT_LIMITS),
        DEFAULT_LIMITS,
        true
      )
    ).toThrow(/more than/)
  })

  test('may have blocks of exponent 7 on a connection alone', () => {
    expect(() => read({ options: [[OPTION.BLOCK2, 7]] })).toThrow(/exponent/)
    const bytes = decode(rawRequest(CODE.GET, { options: [[OPTION.BLOCK2, 7]] })) as ReceivedMessage
    expect(readRequest(bytes, new PathCache(DEFAULT_LIMITS), DEFAULT_LIMITS, true).block2).toBe(7)
  })
})

describe('a request of a client', () => {
  const outgoing = (parts: object) => ({
    method: 'GET',
    path: '/',
    query: '',
    headers: new HeaderMap(),
    type: '',
    body: null,
    signal: undefined,
    bag: {},
    ...parts
  })

  test('has options for path, query, formats and conditions', () => {
    const headers = HeaderMap.from({ accept: 'application/cbor;q=1, */*', 'if-match': '"a", W/"b"', 'if-none-match': '*' })
    const { code, options } = clientRequest(
      outgoing({ method: 'PUT', path: '/a b/ü/', query: 'x=%31&y', headers, type: 'application/json', body: Buffer.from('1') }),
      'example.com'
    )
    expect(code).toBe(CODE.PUT)
    expect(options.getAll(OPTION.URI_PATH).map(value => Buffer.from(value).toString())).toEqual(['a b', 'ü', ''])
    expect(options.getAll(OPTION.URI_QUERY).map(value => Buffer.from(value).toString())).toEqual(['x=1', 'y'])
    expect([options.uint(OPTION.ACCEPT), options.uint(OPTION.CONTENT_FORMAT), options.text(OPTION.URI_HOST)]).toEqual([60, 50, 'example.com'])
    expect(options.getAll(OPTION.IF_MATCH).map(value => Buffer.from(value).toString())).toEqual(['a', 'b'])
    expect([options.has(OPTION.IF_NONE_MATCH), options.has(OPTION.ETAG)]).toEqual([true, false])
    const validated = clientRequest(outgoing({ headers: HeaderMap.from({ 'if-none-match': '"v1"', accept: '*/*' }) }), '')
    expect([Buffer.from(validated.options.get(OPTION.ETAG)!).toString(), validated.options.has(OPTION.ACCEPT)]).toEqual(['v1', false])
  })

  test('is refused where CoAP cannot carry it', () => {
    const refused = (parts: object) => {
      try {
        clientRequest(outgoing(parts), '')
      } catch (error) {
        return (error as IopaError).code
      }
      return undefined
    }
    expect(refused({ method: 'HEAD' })).toBe('no-such-method')
    expect(refused({ path: `/${'x'.repeat(256)}` })).toBe('option-too-long')
    expect(refused({ query: '%ff' })).toBe('undecodable-query')
    expect(refused({ type: 'image/acme', body: new Uint8Array(1) })).toBe('no-content-format')
    expect(refused({ headers: HeaderMap.from({ accept: 'image/acme' }) })).toBe('accept-without-format')
  })

  test('gets an answer with headers, or the text of an error', async () => {
    const options = new Options()
      .add(OPTION.ETAG, 'v1')
      .add(OPTION.LOCATION_PATH, 'a b')
      .add(OPTION.LOCATION_QUERY, 'x=ä')
      .add(OPTION.MAX_AGE, 9)
      .add(OPTION.CONTENT_FORMAT, 11_050)
    const made = clientAnswer(message({ code: CODE.CREATED, options }), Buffer.from('x'))
    expect([made.status, made.reason, made.type]).toEqual([201, '2.01', 'application/json'])
    expect(Object.fromEntries(made.headers)).toEqual({
      etag: '"v1"',
      location: '/a%20b?x=%C3%A4',
      'cache-control': 'max-age=9',
      'content-encoding': 'deflate'
    })
    const busy = clientAnswer(message({ code: CODE.SERVICE_UNAVAILABLE, options: new Options().add(OPTION.MAX_AGE, 3) }), Buffer.from('later'))
    expect([busy.headers.get('retry-after'), await busy.text()]).toEqual(['3', 'later'])
    expect(busy.type).toMatch(/^text\/plain/)
    expect(clientAnswer(message({ code: CODE.CHANGED }), new Uint8Array(0)).status).toBe(204)
  })

  test('rejects an answer with a critical option that it does not know', () => {
    expect(badOptionOf(message({ code: CODE.CONTENT, options: new Options().add(OPTION.BLOCK2, 6).add(4, 'etag') }))).toBeUndefined()
    const refused = { status: 502, code: 'critical-option' }
    expect(badOptionOf(message({ code: CODE.CONTENT, options: new Options().add(2049, '') }))).toMatchObject({
      ...refused,
      detail: expect.stringContaining(' 2049,')
    })
    expect(badOptionOf(message({ code: CODE.CONTENT, options: new Options().add(OPTION.BLOCK2, new Uint8Array(4)) }))).toMatchObject({
      ...refused,
      detail: expect.stringContaining(` ${OPTION.BLOCK2},`)
    })
  })
})

describe('transmission parameters', () => {
  test('give the times of RFC 7252 section 4.8.2', () => {
    expect(transmission()).toMatchObject({ maxTransmitSpan: 45_000, maxTransmitWait: 93_000, exchangeLifetime: 247_000, nonLifetime: 145_000 })
  })

  test('are refused where they make no sense', () => {
    expect(() => transmission({ ackRandomFactor: 0.5 })).toThrow(/at least 1/)
    expect(() => transmission({ nstart: Number.NaN })).toThrow(/nstart/)
    expect(() => transmission({ acktimeout: 5 } as object)).toThrow(/no parameter 'acktimeout'/)
  })
})
