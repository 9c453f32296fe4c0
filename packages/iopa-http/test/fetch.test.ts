import { App, type AppOptions, type Context, IopaError, type MiddlewareFunction, reply } from '@iopa/appbuilder'
import { virtualClock } from '@iopa/testing'
import { HeaderMap } from '@iopa/transport'
import { build } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { type FetchOptions, toFetchHandler } from '../src/fetch.ts'
import { atEnd, eventually, gate } from './support.ts'

const handle = (handler: MiddlewareFunction<Context>, options: FetchOptions & { readonly app?: AppOptions } = {}) => {
  const errors: unknown[][] = []
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const { app: appOptions, ...rest } = options
  const app = new App({ logger, ...appOptions }).use(handler)
  atEnd(() => app.close({ timeout: 0 }))
  const answer = toFetchHandler(app, rest)
  const request = (path: string, init?: RequestInit): Promise<Response> => answer(new Request(`https://lights.example${path}`, init))
  return { app, request, errors }
}

const chunk = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<string> => new TextDecoder().decode((await reader.read()).value)

describe('the fetch handler', () => {
  test('makes a context from a request and a response from its answer', async () => {
    const { app, request } = handle(context =>
      reply(201, [context.method, context.path, context['iopa.QueryString'], context.scheme, context.host, context.port], { 'x-own': 'yes' })
    )
    const response = await request('/k%C3%BCche?a=%20b', { method: 'PUT' })
    expect([response.status, response.headers.get('x-own'), response.headers.get('content-type')]).toEqual([201, 'yes', 'application/json'])
    expect(await response.json()).toEqual(['PUT', '/küche', 'a=%20b', 'https', 'lights.example', 443])
    expect(app.live).toBe(0)
  })

  test('reads a body once for all readers, and limits it', async () => {
    const { request } = handle(async context => [await context.text(), (await context.bytes()).length], { limits: { body: 1000 } })
    expect(await (await request('/', { method: 'POST', body: 'hello' })).json()).toEqual(['hello', 5])
    expect((await request('/', { method: 'POST', body: 'x'.repeat(1001) })).status).toBe(413)
    expect((await request('/', { method: 'POST', body: '', headers: { 'content-length': '1001' } })).status).toBe(413)
  })

  test('streams in both directions at the pace of the reader', async () => {
    let made = 0
    const { app, request } = handle(context =>
      (async function* () {
        for await (const part of context.body as AsyncIterable<Uint8Array>) {
          made++
          yield part
        }
      })()
    )
    const parts = new ReadableStream<Uint8Array>({ pull: controller => controller.enqueue(chunk('part ')) }, { highWaterMark: 0 })
    const response = await request('/', { method: 'POST', body: parts, duplex: 'half' } as RequestInit)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    expect(await textOf(reader)).toBe('part ')
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(made).toBeLessThan(5)
    expect(app.live).toBe(1)
    await reader.cancel()
    await eventually('nothing lives', () => app.live === 0)
  })

  test('ends the context when a streamed body has been read', async () => {
    let reason = ''
    const { app, request } = handle(context => {
      context.defer(why => (reason = why))
      return (async function* () {
        yield chunk('a')
        yield chunk('b')
      })()
    })
    expect(await (await request('/')).text()).toBe('ab')
    await eventually('the scope has ended', () => reason !== '')
    expect([app.live, reason]).toEqual([0, 'finish'])
  })

  test('sends no body with HEAD, 204, 205 and 304, and the length of a stream of known size', async () => {
    const sized = {
      size: 2,
      read: async () => chunk('ab'),
      [Symbol.asyncIterator]: async function* () {
        yield chunk('ab')
      }
    }
    const { app, request } = handle(context => (context.path === '/sized' ? sized : reply(Number(context.path.slice(1)), 'x')))
    for (const path of ['/204', '/205', '/304']) expect((await request(path)).body).toBe(null)
    expect((await request('/200', { method: 'HEAD' })).body).toBe(null)
    const head = await request('/sized', { method: 'HEAD' })
    expect([head.body, head.headers.get('content-length')]).toEqual([null, '2'])
    expect((await request('/sized')).headers.get('content-length')).toBe('2')
    await eventually('only the unread stream lives', () => app.live === 1)
  })

  test('keeps cookies separate, and drops connection fields', async () => {
    const { request } = handle(() => reply(200, 'x', { 'set-cookie': ['a=1', 'b=2'], connection: 'close', 'transfer-encoding': 'chunked' }))
    const { headers } = await request('/')
    expect(headers.getSetCookie()).toEqual(['a=1', 'b=2'])
    expect([headers.get('connection'), headers.get('transfer-encoding')]).toEqual([null, null])
  })

  test('refuses paths, hosts and methods as the listener does', async () => {
    const { request } = handle(() => 'x', { hosts: ['lights.example'] })
    expect((await request('/a//b')).status).toBe(400)
    expect((await request('/%00')).status).toBe(400)
    expect((await request('/a%2Fb')).status).toBe(400)
    expect((await request('/a'.repeat(1000))).status).toBe(414)
    expect((await request('/', { method: 'SUBSCRIBE' })).status).toBe(400)
    const other = handle(() => 'x', { hosts: ['other.example'] })
    const refused = await other.request('/')
    expect([refused.status, refused.headers.get('content-type')]).toEqual([421, 'application/problem+json'])
  })

  test('uses the address from remoteAddress', async () => {
    const { request } = handle(context => context.remoteAddress, { remoteAddress: ({ headers }) => headers.get('cf-connecting-ip') ?? '' })
    expect(await (await request('/', { headers: { 'cf-connecting-ip': '203.0.113.7' } })).text()).toBe('203.0.113.7')
  })

  test('answers errors with problems, and unwritable answers with 500', async () => {
    const { app, request, errors } = handle(context => {
      if (context.path === '/error') throw new IopaError(409, 'taken', 'It is taken.')
      context.response.headers = new HeaderMap(['x', 'a\nb'])
      return 'x'
    })
    expect(await (await request('/error')).json()).toMatchObject({ status: 409, code: 'taken' })
    expect((await request('/bad')).status).toBe(500)
    expect(errors).toHaveLength(1)
    expect(app.live).toBe(0)
  })

  test('cancels a request when its signal aborts', async () => {
    const arrived = gate<Context>()
    const { app, request } = handle(context => {
      void context.signal
      arrived.open(context)
      return new Promise(() => undefined)
    })
    const stop = new AbortController()
    const answered = request('/', { signal: stop.signal })
    const context = await arrived.promise
    stop.abort(new Error('enough'))
    await expect(answered).rejects.toThrow('enough')
    expect((context.signal.reason as IopaError).code).toBe('disconnect')
    expect(app.live).toBe(0)
    await expect(request('/', { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
  })

  test('cuts a stream that fails', async () => {
    const { app, request, errors } = handle(() =>
      (async function* () {
        yield chunk('half')
        throw new Error('secret')
      })()
    )
    await expect((await request('/')).text()).rejects.toThrow('too early')
    expect(errors).toHaveLength(1)
    expect(app.live).toBe(0)
  })

  test('sends an observation as server-sent events, and ends with its reader', async () => {
    let n = 0
    const { app, request } = handle(() => ({ n }))
    const response = await request('/n', { headers: { accept: 'text/event-stream' } })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    expect(await textOf(reader)).toMatch(/^retry: 3000\ncontent-type: application\/json\nid: \w+\ndata: \{"n":0\}\n\n$/)
    n = 1
    app.notify('/n')
    expect(await textOf(reader)).toMatch(/^id: \w+\ndata: \{"n":1\}\n\n$/)
    for (n = 2; n < 100; n++) {
      app.notify('/n')
      await new Promise(resolve => setImmediate(resolve))
    }
    n = 99
    const late: string[] = []
    while (!late.at(-1)?.includes('"n":99')) late.push(await textOf(reader))
    expect(late.length).toBeLessThan(5)
    await reader.cancel()
    await eventually('nothing lives', () => app.live === 0)
  })

  test('answers an observer plainly with 204, or if another type is preferred to events', async () => {
    const { app, request } = handle(context => (context.path === '/none' ? reply(204) : context.observe === true))
    const none = await request('/none', { headers: { accept: 'text/event-stream' } })
    expect([none.status, none.headers.get('content-type')]).toEqual([204, null])
    const json = await request('/', { headers: { accept: 'application/json, text/event-stream;q=0.1' } })
    expect([json.headers.get('content-type'), await json.text()]).toEqual(['application/json', 'false'])
    expect(app.live).toBe(0)
  })

  test('refuses a method with other characters than letters and hyphens', async () => {
    const { request } = handle(() => 'ran')
    for (const method of ['0123456789GET', 'GET_ALL', '-GET']) expect((await request('/', { method })).status, method).toBe(400)
    for (const method of ['FETCH', 'M-SEARCH']) expect((await request('/', { method })).status, method).toBe(200)
  })

  test('answers an observer plainly if there is nothing to observe, and with an error event later', async () => {
    let status = 404
    const { app, request } = handle(() => reply(status, 'x'))
    expect((await request('/', { headers: { accept: 'text/event-stream' } })).status).toBe(404)
    status = 200
    const reader = ((await request('/', { headers: { accept: 'text/event-stream' } })).body as ReadableStream<Uint8Array>).getReader()
    expect(await textOf(reader)).toMatch(/data: x\n\n$/)
    status = 410
    app.notify('/')
    expect(await textOf(reader)).toMatch(/^event: error\ndata: .*"status":410/)
    expect((await reader.read()).done).toBe(true)
    expect(app.live).toBe(0)
  })

  test('sends comments to a silent observer, and ends it with the app', async () => {
    const clock = virtualClock()
    const { app, request } = handle(() => 'x', { app: { clock }, heartbeat: 1000 })
    const reader = ((await request('/', { headers: { accept: 'text/event-stream' } })).body as ReadableStream<Uint8Array>).getReader()
    expect(await textOf(reader)).toMatch(/data: x/)
    const next = textOf(reader)
    await clock.advance(1000)
    expect(await next).toBe(':\n\n')
    await app.close({ timeout: 0 })
    expect((await reader.read()).done).toBe(true)
    expect(app.live).toBe(0)
  })
})

test('the fetch handler bundles for a browser without Node modules', async () => {
  const { outputFiles, metafile } = await build({
    entryPoints: [new URL('../src/fetch.ts', import.meta.url).pathname],
    conditions: ['@iopa/source'],
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: 'esm',
    logLevel: 'silent'
  })
  expect(Object.values(metafile.inputs).flatMap(({ imports }) => imports.filter(({ external }) => external === true))).toEqual([])
  expect(outputFiles[0]?.text).not.toMatch(/\b(?:process|Buffer|setImmediate)\b\s*[.(]/)
})

test('an observation gets 500 at once if its first answer has a header that HTTP cannot express', async () => {
  const app = new App({ logger: false }).use(() => reply(200, 'x', { 'x-note': '日本' }))
  const response = await toFetchHandler(app)(new Request('http://localhost/', { headers: { accept: 'text/event-stream' } }))
  expect(response.status).toBe(500)
  await eventually('nothing lives', () => app.live === 0)
})
