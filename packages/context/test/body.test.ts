import { CodecTable } from '@iopa/constants'
import { describe, expect, test } from 'vitest'
import { bench, request } from './environment.ts'

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const withBody = (body: string | AsyncIterable<Uint8Array> | null, type = '') =>
  request(bench().factory, '/a', { body: () => (typeof body === 'string' ? utf8(body) : body), contentType: () => type })

async function* chunks(...parts: string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield utf8(part)
}

describe('a body', () => {
  test('is read once and remembered, however often it is asked for', async () => {
    const context = withBody(chunks('{"a"', ':1}'))
    expect(await Promise.all([context.bytes(), context.text(), context.json()])).toEqual([utf8('{"a":1}'), '{"a":1}', { a: 1 }])
    expect(await context.json()).toBe(await context.json())
    expect(Buffer.from(context.body as unknown as Uint8Array)).toEqual(Buffer.from('{"a":1}'))
  })

  test('is iterated in chunks of bytes, also when it is in memory', async () => {
    const iterated = async (context: ReturnType<typeof withBody>): Promise<unknown[]> => {
      const parts: unknown[] = []
      for await (const part of context.body ?? []) parts.push(part)
      return parts
    }
    const whole = withBody('abc')
    expect(await iterated(whole)).toEqual([utf8('abc')])
    expect(await iterated(whole)).toEqual([utf8('abc')])
    expect(whole.body).toBeInstanceOf(Uint8Array)
    expect(whole.body).toBe(whole['iopa.Body'])
    expect(await whole.text()).toBe('abc')
    expect(await iterated(withBody(''))).toEqual([])
    expect(await iterated(withBody(null))).toEqual([])
    const streamed = withBody(chunks('a', 'b'))
    expect(await iterated(streamed)).toEqual([utf8('a'), utf8('b')])
    const read = withBody(chunks('a', 'b'))
    await read.bytes()
    expect(await iterated(read)).toEqual([utf8('ab')])
    whole['iopa.Body'] = utf8('other')
    expect(await iterated(whole)).toEqual([utf8('other')])
  })

  test.each(['text/plain', 'text/plain; charset=utf-8', 'text/plain;charset="UTF-8"', 'text/plain; charset=us-ascii; format=flowed'])(
    'is UTF-8 text with content type %j',
    async type => {
      expect(await withBody('é', type).text()).toBe('é')
    }
  )

  test.each(['text/plain; charset=iso-8859-1', 'text/plain;charset=Latin1', 'text/csv; header=present; charset="windows-1252"'])(
    'is read in the charset of content type %j',
    async type => {
      const context = request(bench().factory, '/a', { body: () => Uint8Array.of(0xe9, 0x80), contentType: () => type })
      expect(await context.text()).toBe('é€')
    }
  )

  test('in another charset is 415, as text and as JSON; JSON is UTF-8', async () => {
    await expect(withBody('x', 'text/plain; charset=utf-16').text()).rejects.toMatchObject({ status: 415, code: 'unsupported-charset' })
    for (const charset of ['utf-16', 'iso-8859-1', 'x-unknown']) {
      const refused = withBody('[1]', `application/json; charset=${charset}`).json()
      await expect(refused).rejects.toMatchObject({ status: 415, code: 'unsupported-charset', detail: expect.stringContaining('UTF-8') })
    }
    expect(await withBody('[1]', 'application/json; charset=us-ascii').json()).toEqual([1])
  })

  test.each(['gzip', 'deflate', 'br', 'zstd', 'GZIP, identity'])('in the coding %s is 415, however it is read whole', async coding => {
    const coded = () => request(bench().factory, '/a', { body: () => utf8('x'), headers: () => ['Content-Encoding', coding] })
    for (const read of [coded().bytes(), coded().text(), coded().json()]) {
      await expect(read).rejects.toMatchObject({ status: 415, code: 'unsupported-coding', headers: { 'accept-encoding': 'identity' } })
    }
    const context = coded()
    for await (const part of context.body ?? []) expect(part).toEqual(utf8('x'))
  })

  test('without a coding, or without a body, is read', async () => {
    expect(await request(bench().factory, '/a', { body: () => utf8('x'), headers: () => ['content-encoding', 'identity'] }).text()).toBe('x')
    expect(await request(bench().factory, '/a', { body: () => null, headers: () => ['content-encoding', 'gzip'] }).text()).toBe('')
  })

  test('uses the faster way of a stream that has one', async () => {
    const stream = { bytes: async (limit: number) => utf8(String(limit)), [Symbol.asyncIterator]: () => Promise.reject() as never }
    expect(await withBody(stream).text()).toBe('1000')
  })

  test('over the limit is 413, for bytes and for streams', async () => {
    await expect(withBody('x'.repeat(1001)).bytes()).rejects.toMatchObject({ status: 413 })
    await expect(withBody(chunks('x'.repeat(600), 'x'.repeat(600))).text()).rejects.toMatchObject({ status: 413 })
    await expect(withBody('x'.repeat(1000)).bytes()).resolves.toHaveLength(1000)
  })

  test.each(['', 'application/json', 'application/json; charset=utf-8', 'Application/JSON', 'application/senml+json'])(
    'is JSON with content type %j',
    async type => {
      expect(await withBody('[1]', type).json()).toEqual([1])
    }
  )

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/octet-stream', 'application/cbor'])(
    'is 415 as JSON with content type %s, and says which header to add',
    async type => {
      await expect(withBody('[1]', type).json()).rejects.toMatchObject({
        status: 415,
        detail: expect.stringContaining('content-type: application/json')
      })
    }
  )

  test.each(['', '{', '{"a":1,}', 'nul', '\ufeff'])('that is %j is 400 as JSON', async text => {
    await expect(withBody(text).json()).rejects.toMatchObject({ status: 400, code: 'malformed-json' })
  })

  test('that is no UTF-8 is 400 as text', async () => {
    const context = request(bench().factory, '/a', { body: () => new Uint8Array([0xff]) })
    await expect(context.text()).rejects.toMatchObject({ status: 400, code: 'malformed-text' })
  })

  test.each([
    '{"__proto__":{}}',
    '[{"a":{"__proto__":1}}]',
    '{"\\u005f_proto__":1}',
    '{"constructor":{"prototype":1}}',
    '{"a":[{"constructor":{"\\u0070rototype":1}}]}'
  ])('with %s is 400', async text => {
    await expect(withBody(text).json()).rejects.toMatchObject({ status: 400, code: 'forbidden-key' })
  })

  test.each(['{"constructor":"x"}', '{"constructor":{"a":1}}', '["__proto__"]', 'null', '{"a":null}'])('with %s is fine', async text => {
    expect(await withBody(text).json()).toEqual(JSON.parse(text))
  })

  test('is read by a codec that the app was given', async () => {
    const codecs = new CodecTable([{ mediaType: 'application/cbor', encode: () => '', decode: bytes => bytes.length }])
    const { factory } = bench({ codecs })
    expect(await request(factory, '/a', { body: () => utf8('abc'), contentType: () => 'application/cbor' }).json()).toBe(3)
  })

  test('that somebody replaces while it is read stays replaced', async () => {
    const { factory } = bench()
    const context = request(factory, '/a', {
      body: () =>
        (async function* () {
          await null
          yield utf8('first')
        })()
    })
    const first = context.text()
    context['iopa.Body'] = utf8('second')
    expect([await first, await context.text(), Buffer.from(context.body as unknown as Uint8Array).toString()]).toEqual(['first', 'second', 'second'])
  })

  test('of none is no bytes', async () => {
    expect(await withBody(null).bytes()).toHaveLength(0)
  })
})
