// What a peer cannot read is not sent: one logged 500 on every protocol, and the other requests of the connection go on.
// What a peer sends is read in the same way on every protocol.
import { type Context, type ReceivedAnswer, reply } from '@iopa/appbuilder'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PROTOCOLS, type Protocol, ValueTown } from './values-support.ts'

type Handler = (context: Context) => unknown

const fields = (count: number): Record<string, string> => Object.fromEntries(Array.from({ length: count }, (_, at) => [`x-${at}`, 'v']))

/** Answers that no peer can read. */
const UNREADABLE: Readonly<Record<string, Handler>> = {
  'a type that is none': ({ response }) => {
    response.type = 'json'
    return { a: 1 }
  },
  'a type with a line break': ({ response }) => {
    response.type = 'text/plain\r\nset-cookie: a=b'
    return 'x'
  },
  'a type of the header that is none': () => reply(200, { a: 1 }, { 'content-type': 'json' }),
  'a type of the header with a line break': () => reply(200, 'x', { 'content-type': 'text/plain\r\na: b' }),
  'an object under a type that has no codec': () => reply(200, { a: 1 }, { 'content-type': 'application/x-ndjson' }),
  'a reason with a line break': ({ response }) => {
    response.reason = 'fine\r\nset-cookie: a=b'
    return 'x'
  },
  'a header with a line break': () => reply(200, 'x', { 'x-note': 'a\r\nset-cookie: a=b' }),
  'a header with a line feed': () => reply(200, 'x', { 'x-note': 'a\nb' }),
  'a location with a line break': () => reply(302, null, { location: '/a\r\nset-cookie: a=b' }),
  'a header name with a line break': () => reply(200, 'x', { 'x\r\na': 'b' }),
  '200 header fields': () => reply(200, 'x', fields(200)),
  'a field with 200 values': () => reply(200, 'x', { vary: Array(200).fill('a') as string[] }),
  '30 KB of header fields': () => reply(200, 'x', { 'x-large': 'v'.repeat(30 * 1024) }),
  '30 KB in several fields': () => reply(200, 'x', Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`x-${at}`, 'v'.repeat(1024)]))),
  'an error with 30 KB of header fields': ({ response }) => {
    response.headers.set('x-large', 'v'.repeat(30 * 1024))
    throw new Error('thrown too')
  }
}
const NAMES = Object.keys(UNREADABLE)

/** As large as a head may be. */
const LARGEST: Handler = () => reply(200, 'x', { ...fields(90), 'x-large': 'v'.repeat(14_000) })

let town: ValueTown
beforeAll(async () => {
  town = await ValueTown.open(app => {
    for (const [at, handler] of Object.values(UNREADABLE).entries()) {
      app.get(`/unreadable/${at}/:protocol`, handler)
      app.put(`/unreadable/${at}/:protocol`, handler)
    }
    app.get('/largest', LARGEST)
    app.get('/good/:n', async ({ params }) => {
      await new Promise(resolve => setImmediate(resolve))
      return `good ${params.n}`
    })
    app.get('/moved/local', () => reply(302, null, { location: '/lights/the%20hall?a=1&b=2' }))
    app.get('/moved/far', () => reply(308, null, { location: 'https://example.com/a' }))
    app.get('/reset', () => reply(205, { a: 1 }))
    app.get('/empty', () => reply(204, { a: 1 }))
    app.put('/chunks', async context => {
      const kinds: string[] = []
      let length = 0
      for await (const chunk of context.body ?? []) {
        kinds.push(chunk instanceof Uint8Array ? 'bytes' : typeof chunk)
        length += chunk.length
      }
      return { kinds: [...new Set(kinds)], length }
    })
    app.put('/text', async context => ({ text: await context.text() }))
    app.put('/json', async context => reply(200, await context.bytes(), { 'content-type': 'application/json' }))
    app.put('/value', async context => ({ value: await context.json() }))
  })
})
afterAll(() => town.close())

describe.each(PROTOCOLS)('%s', protocol => {
  const get = (path: string): Promise<ReceivedAnswer> => town.ask(protocol, { 'iopa.Method': 'GET', 'iopa.Path': path })

  test('answers 500, and logs once, what its peer could not read; other requests continue', async () => {
    const faults: string[] = []
    const others: Promise<ReceivedAnswer>[] = []
    for (const [at, name] of NAMES.entries()) {
      const path = `/unreadable/${at}/${protocol}`
      const before = town.lines.length
      others.push(get(`/good/${at}`))
      const answer = await get(path).catch((error: unknown) => ({ status: `threw ${error}`, reason: '', headers: { get: () => undefined } }) as never)
      const lines = town.lines.slice(before).filter(line => line.includes(path))
      if (answer.status !== 500 || answer.headers.get('set-cookie') !== undefined) faults.push(`${name}: ${answer.status}`)
      if (lines.length !== 1) faults.push(`${name}: ${lines.length} log lines`)
      others.push(get(`/good/${at}`))
    }
    const texts = await Promise.all(others.map(async other => (await other).text()))
    expect(faults).toEqual([])
    expect(texts).toEqual(NAMES.flatMap((_, at) => [`good ${at}`, `good ${at}`]))
  })

  test('sends the largest head that its peers read', async () => {
    const answer = await get('/largest')
    expect([answer.status, await answer.text()]).toEqual([200, 'x'])
  })

  test('sends no content in 204, 205 and a redirect without a body, and keeps the location', async () => {
    for (const path of ['/empty', '/reset', '/moved/local', '/moved/far']) {
      const answer = await get(path)
      const bytes = await answer.bytes()
      if (protocol === 'coap') continue
      expect([path, bytes.length, answer.type]).toEqual([path, 0, ''])
    }
    const local = await get('/moved/local')
    const far = await get('/moved/far')
    expect(local.headers.get('location')).toBe('/lights/the%20hall?a=1&b=2')
    if (protocol === 'coap') {
      expect([local.status, (await local.bytes()).length, far.status, await far.text()]).toEqual([
        500,
        0,
        500,
        'The resource is at https://example.com/a'
      ])
    } else expect([local.status, far.status, far.headers.get('location')]).toEqual([302, 308, 'https://example.com/a'])
  })

  const put = async (path: string, body: Uint8Array, headers: Record<string, string>): Promise<[number, string]> => {
    const answer = await town.ask(protocol, { 'iopa.Method': 'PUT', 'iopa.Path': path, 'iopa.Body': body, 'iopa.Headers': headers })
    return [answer.status, await answer.text()]
  }

  test('gives the request body in chunks of bytes', async () => {
    const json = { 'content-type': 'application/json' }
    expect(await put('/chunks', Buffer.from('{"a":1}'), json)).toEqual([200, '{"kinds":["bytes"],"length":7}'])
    expect(await put('/chunks', new Uint8Array(3000), { 'content-type': 'application/octet-stream' })).toEqual([
      200,
      '{"kinds":["bytes"],"length":3000}'
    ])
  })

  // CoAP has numbers for few types, and none with these parameters.
  test.skipIf(protocol === 'coap')('reads text in the charset of its content type, and refuses others', async () => {
    expect(await put('/text', Uint8Array.of(0xe9), { 'content-type': 'text/plain; charset=iso-8859-1' })).toEqual([200, '{"text":"é"}'])
    expect(await put('/text', Buffer.from('é'), { 'content-type': 'text/plain; charset=utf-8' })).toEqual([200, '{"text":"é"}'])
    for (const [path, type] of [
      ['/text', 'text/plain; charset=utf-16'],
      ['/value', 'application/json; charset=utf-16'],
      ['/value', 'application/json; charset=iso-8859-1']
    ] as const) {
      const [status] = await put(path, Buffer.from('[1]'), { 'content-type': type })
      expect([path, type, status]).toEqual([path, type, 415])
    }
  })

  test('refuses a compressed body', async () => {
    const codings = protocol === 'coap' ? ['deflate'] : ['gzip', 'deflate', 'br']
    for (const coding of codings) {
      const [status, text] = await put('/value', Buffer.from('[1]'), { 'content-type': 'application/json', 'content-encoding': coding })
      expect(status).toBe(415)
      expect(text).toContain('without content-encoding')
    }
  })

  test('reads a value with the codec of its type', async () => {
    // Over MQTT the type of the request is what it accepts, unless it says otherwise.
    const cbor = { 'content-type': 'application/cbor', accept: 'application/json' }
    expect(await put('/value', Uint8Array.of(0xa1, 0x61, 0x61, 1), cbor)).toEqual([200, '{"value":{"a":1}}'])
    expect((await put('/value', Uint8Array.of(0xa1, 0x69, ...Buffer.from('__proto__'), 1), cbor))[0]).toBe(400)
    expect((await put('/value', Uint8Array.of(0xff), cbor))[0]).toBe(400)
  })

  // A Request of the platform takes no objects.
  test.skipIf(protocol === 'fetch')('sends a value with the codec of its type, and none without a codec', async () => {
    const ask = (type: string) =>
      town.ask(protocol, {
        'iopa.Method': 'PUT',
        'iopa.Path': '/value',
        'iopa.Headers': { accept: 'application/json' },
        'iopa.Body': { a: 1 } as never,
        'iopa.ContentType': type
      })
    expect(await (await ask('application/cbor')).text()).toBe('{"value":{"a":1}}')
    await expect(ask('application/x-ndjson')).rejects.toThrow(/'application\/x-ndjson'.*'codecs'/)
  })

  test('passes JSON text on unchanged', async () => {
    for (const text of ['{"id":12345678901234567890}', '[-0,1e400,1.0]', '{"b":1,"2":0,"a":1,"a":2}', '"\\u0061"', '{ "a" : 1 }']) {
      expect(await put('/json', Buffer.from(text), { 'content-type': 'application/json' })).toEqual([200, text])
    }
  })
})

const OBSERVING: readonly Protocol[] = ['http', 'coap', 'mqtt', 'tcp', 'invoke', 'fetch']
test.each(OBSERVING)('%s ends an observation at an answer that no peer can read', async protocol => {
  for (const at of NAMES.keys()) {
    const { status } = await town.peer(protocol).observe(`/unreadable/${at}/observed`)
    expect([NAMES[at], status]).toEqual([NAMES[at], protocol === 'mqtt' ? 502 : 500])
  }
})
