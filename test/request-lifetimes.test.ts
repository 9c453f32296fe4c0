// Requests whose stream hangs, whose peer leaves or whose upstream fails end the same way on every protocol.
import { App, type AppOptions, type Client, type Context, IopaError } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { toFetchHandler } from '@iopa/http/fetch'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { memory } from '@iopa/testing'
import { udp } from '@iopa/udp'
import { afterAll, describe, expect, test, vi } from 'vitest'

const PROTOCOLS = ['http', 'coap', 'mqtt', 'tcp', 'udp', 'memory'] as const
type Protocol = (typeof PROTOCOLS)[number]

const open: (() => unknown)[] = []
// The tests wait more than they work, so they run side by side.
afterAll(() => Promise.all(open.splice(0).map(close => close())))

const logging = () => {
  const lines: string[] = []
  const line = (...data: unknown[]): void => void lines.push(data.map(String).join(' '))
  return { lines, logger: { error: line, warn: line, info: line, debug: line } }
}

const transport = (protocol: Protocol) =>
  ({
    http: () => http({ port: 0 }),
    coap: () => coap({ port: 0 }),
    mqtt: () => mqtt({ port: 0, statistics: false }),
    tcp: () => tcp({ port: 0 }),
    udp: () => udp({ port: 0 }),
    memory: () => memory()
  })[protocol]()

/** An app on one protocol, and clients that reach it. */
const serve = async (protocol: Protocol, options: AppOptions, build: (app: App & ReturnType<typeof routed>) => unknown) => {
  const app = routed(options)
  build(app)
  const served = transport(protocol)
  app.use(served)
  const [listener] = await app.listen()
  open.push(() => app.close({ timeout: 100 }))
  const clients = new App({ logger: false }).use(protocol === 'memory' ? served : transport(protocol))
  open.push(() => clients.close({ timeout: 0 }))
  return { app, connect: (): Promise<Client> => clients.connect(listener!.url) }
}

const routed = (options: AppOptions) => new App(options).use(router())

/** A stream whose first chunk comes and whose second one never does; it counts how often it is given up. */
const stalled = () => {
  const state = { given: 0 }
  const stream = {
    count: 0,
    next(): Promise<IteratorResult<Uint8Array>> {
      return this.count++ === 0 ? Promise.resolve({ done: false, value: Buffer.from('x') }) : new Promise(() => undefined)
    },
    return(): Promise<IteratorResult<Uint8Array>> {
      state.given++
      return Promise.resolve({ done: true, value: undefined })
    },
    [Symbol.asyncIterator]() {
      return this
    }
  }
  return { state, stream }
}

describe.concurrent('an endless stream', () => {
  test.each(['coap', 'mqtt', 'tcp', 'udp', 'memory'] as const)('gets 504 over %s and is cancelled', async protocol => {
    const { stream, state } = stalled()
    const { lines, logger } = logging()
    const { app, connect } = await serve(protocol, { logger, limits: { requestTimeout: 200, inFlight: 1 } }, app => {
      app.get('/stalled', () => stream)
      app.get('/next', () => 'next')
    })
    const client = await connect()
    expect((await client.get('/stalled')).status).toBe(504)
    await vi.waitFor(() =>
      expect([state.given, app.live > 0 && protocol !== 'mqtt' && protocol !== 'tcp' && protocol !== 'memory']).toEqual([1, false])
    )
    // Nothing is in flight any more.
    expect((await client.get('/next')).status).toBe(200)
    expect(lines.filter(line => line.includes('504'))).toHaveLength(1)
  })

  test.each(['coap', 'mqtt', 'tcp', 'memory'] as const)(
    'is cancelled over %s when its peer disconnects, and is no longer in flight',
    async protocol => {
      const { stream, state } = stalled()
      const { connect } = await serve(protocol, { logger: false, limits: { requestTimeout: 1500, inFlight: 1 } }, app => {
        app.get('/stalled', () => stream)
        app.get('/next', () => 'next')
      })
      const client = await connect()
      const lost = client.get('/stalled').catch(() => undefined)
      await vi.waitFor(() => expect(stream.count).toBeGreaterThan(1))
      await client.close()
      await lost
      await vi.waitFor(() => expect(state.given).toBe(1), 3000)
      const other = await connect()
      await vi.waitFor(async () => expect((await other.get('/next')).status).toBe(200), { timeout: 3000, interval: 100 })
    }
  )

  test('is broken off over HTTP without progress', async () => {
    const { stream, state } = stalled()
    const { lines, logger } = logging()
    const { connect } = await serve('http', { logger, limits: { idleTimeout: 300 } }, app => app.get('/stalled', () => stream))
    const answer = await (await connect()).get('/stalled')
    await expect(answer.bytes()).rejects.toThrow()
    await vi.waitFor(() => expect(state.given).toBe(1))
    expect(lines.filter(line => line.includes('no progress'))).toHaveLength(1)
  })

  test('is broken off by the fetch handler without progress', async () => {
    const { stream, state } = stalled()
    const app = new App({ logger: false, limits: { idleTimeout: 100 } }).use(() => stream)
    open.push(() => app.close())
    const response = await toFetchHandler(app)(new Request('http://localhost/'))
    await expect(response.text()).rejects.toThrow()
    await vi.waitFor(() => expect([state.given, app.live]).toEqual([1, 0]))
  })
})

describe.concurrent('a stream that fails before its first chunk', () => {
  const failing = (error: Error) => () =>
    (async function* () {
      await new Promise(resolve => setTimeout(resolve, 5))
      if (error.message !== '') throw error
      yield 'x'
    })()
  test.each(PROTOCOLS)('gets 500, or its own error, over %s', async protocol => {
    const { lines, logger } = logging()
    const { connect } = await serve(protocol, { logger }, app => {
      app.get('/fails', failing(new Error('the secret')))
      app.get('/gone', failing(new IopaError(410, 'gone', 'It has gone.')))
    })
    const client = await connect()
    const [fails, gone] = [await client.get('/fails'), await client.get('/gone')]
    expect([fails.status, await fails.text().then(text => text.includes('secret'))]).toEqual([500, false])
    expect(gone.status).toBe(protocol === 'coap' ? 404 : 410)
    expect(lines.filter(line => line.includes('secret'))).toHaveLength(1)
  })

  test.sequential('does not delay the head over HTTP for more than 100 ms', async () => {
    const { connect } = await serve('http', { logger: false }, app =>
      app.get('/slow', () =>
        (async function* () {
          await new Promise(resolve => setTimeout(resolve, 1000))
          yield 'x'
        })()
      )
    )
    const began = performance.now()
    const answer = await (await connect()).get('/slow')
    expect(answer.status).toBe(200)
    expect(performance.now() - began).toBeLessThan(900)
    expect(await answer.text()).toBe('x')
  })
})

describe.concurrent('a change whose peer does not wait for the answer', () => {
  /** What the last handler has read, and what lets it go on: no handler finishes by itself, however slow the machine is. */
  interface Change {
    value: string
    finish(): void
  }
  const change = (): Change => ({ value: '', finish: () => undefined })
  const changing = (state: Change) => async (context: Context) => {
    state.value = await context.text()
    await new Promise<void>(resolve => (state.finish = resolve))
    context.notify('/other')
    return context['iopa.Params']['id'] === 'refused' ? Promise.reject(new IopaError(409, 'taken', 'Taken.')) : undefined
  }

  /** Paths that were notified. */
  const served = async (protocol: Protocol, options: AppOptions) => {
    const state = change()
    const changes: string[] = []
    const { app, connect } = await serve(protocol, { logger: false, ...options }, app => {
      app.put('/lights/:id', changing(state))
      app.get('/lights/:id', () => state.value)
    })
    app.host('test').changes(({ path }) => void changes.push(path))
    return { state, changes, connect, app }
  }

  test.each(PROTOCOLS)('reaches observers when the peer leaves, over %s', async protocol => {
    const { state, changes, connect, app } = await served(protocol, {})
    const client = await connect()
    const lost = client.put('/lights/hall', 'on').catch(() => undefined)
    await vi.waitFor(() => expect(state.value).toBe('on'))
    await client.close()
    await lost
    state.finish()
    await vi.waitFor(() => expect(changes).toEqual(['/other', '/lights/hall']), 2000)
    if (protocol !== 'mqtt' && protocol !== 'coap') await vi.waitFor(() => expect(app.live).toBe(0))
  })

  test.each(PROTOCOLS)('reaches observers when the handler finishes after a 504, over %s', async protocol => {
    const { state, changes, connect } = await served(protocol, { limits: { requestTimeout: 80 } })
    const client = await connect()
    expect((await client.put('/lights/hall', 'on')).status).toBe(504)
    expect(changes).toEqual([])
    state.finish()
    await vi.waitFor(() => expect(changes).toEqual(['/other', '/lights/hall']), 2000)
  })

  const places: [string, string, (app: App, inside: App) => unknown][] = [
    ['an app given to use', '', (app, inside) => app.use(inside)],
    ['a mounted app', '/m', (app, inside) => app.mount('/m', inside)],
    ['an app mounted in a mounted app', '/m/n', (app, inside) => app.mount('/m', new App().mount('/n', inside))]
  ]
  for (const [what, base, place] of places) {
    test.each(PROTOCOLS)(`reaches observers of ${what} after a 504 or when the peer has left, over %s`, async protocol => {
      const state = change()
      const inside = new App().use(router())
      inside.put('/lights/:id', changing(state)).get('/lights/:id', () => state.value)
      const { app, connect } = await serve(protocol, { logger: false, limits: { requestTimeout: 80 } }, app => void place(app, inside))
      const seen: string[] = []
      const ending = new AbortController()
      const observing = (async () => {
        for await (const answer of app.observe(`${base}/lights/hall`, { signal: ending.signal })) seen.push(await answer.text())
      })().catch(() => undefined)
      await vi.waitFor(() => expect(seen).toHaveLength(1))
      const client = await connect()
      expect((await client.put(`${base}/lights/hall`, 'on')).status).toBe(504)
      state.finish()
      await vi.waitFor(() => expect(seen).toEqual(['', 'on']), 2000)
      const lost = client.put(`${base}/lights/hall`, 'off').catch(() => undefined)
      await vi.waitFor(() => expect(state.value).toBe('off'))
      await client.close()
      await lost
      state.finish()
      await vi.waitFor(() => expect(seen).toEqual(['', 'on', 'off']), 2000)
      ending.abort()
      await observing
    })
  }

  test.each(PROTOCOLS)('does not reach observers when its handler fails later, over %s', async protocol => {
    const { state, changes, connect } = await served(protocol, { limits: { requestTimeout: 80 } })
    const client = await connect()
    expect((await client.put('/lights/refused', 'on')).status).toBe(504)
    state.finish()
    await vi.waitFor(() => expect(changes).toEqual(['/other']), 2000)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(changes).toEqual(['/other'])
  })

  test.each(PROTOCOLS)('ends within the limit when the peer leaves and the handler never finishes, over %s', async protocol => {
    const ended: string[] = []
    let begun = false
    const { connect } = await serve(protocol, { logger: false, limits: { requestTimeout: 1500, drainTimeout: 100 } }, app =>
      app.put('/hangs', context => {
        begun = true
        context.defer(reason => void ended.push(reason))
        return new Promise(() => undefined)
      })
    )
    const client = await connect()
    const lost = client.put('/hangs', 'x').catch(() => undefined)
    await vi.waitFor(() => expect(begun).toBe(true))
    await client.close()
    await lost
    const began = performance.now()
    await vi.waitFor(() => expect(ended).toHaveLength(1), 4000)
    // Elsewhere it cannot be seen that a peer has left, or what it has sent is finished first; there the deadline comes before.
    if (protocol === 'http' || protocol === 'memory') expect(performance.now() - began).toBeLessThan(1000)
  })

  test('ends within the limit when its handler never finishes', async () => {
    const ended: string[] = []
    const { app, connect } = await serve('memory', { logger: false, limits: { requestTimeout: 40, drainTimeout: 100 } }, app =>
      app.put('/hangs', context => {
        context.defer(reason => void ended.push(reason))
        return new Promise(() => undefined)
      })
    )
    const client = await connect()
    expect((await client.put('/hangs', 'x')).status).toBe(504)
    expect(ended).toEqual([])
    await vi.waitFor(() => expect(ended).toEqual(['timeout']))
    await client.close()
    expect(app.live).toBe(0)
  })
})

test.concurrent.each(PROTOCOLS)('a change that is cancelled before it is sent does not run, over %s', async protocol => {
  let ran = 0
  const { connect } = await serve(protocol, { logger: false }, app => app.put('/a', () => void ran++))
  const client = await connect()
  await expect(client.put('/a', 'x', { signal: AbortSignal.abort(new Error('cancelled')) })).rejects.toThrow('cancelled')
  expect((await client.put('/a', 'x')).status).toBe(204)
  expect(ran).toBe(1)
})

describe.concurrent('an error of the server or of another server', () => {
  const SECRET = /127\.0\.0\.1|9999|lights and more|<html>|content-type/
  const cases: [string, number, (app: App, upstream: Client) => (context: Context) => unknown][] = [
    ['a server that cannot be reached', 502, app => () => app.connect('http://127.0.0.1:1').then(client => client.get('/'))],
    [
      'a server that cannot be reached, in Promise.all',
      502,
      app => () => Promise.all([1, app.connect('http://127.0.0.1:1').then(client => client.get('/'))])
    ],
    [
      'servers that cannot be reached, in Promise.any',
      502,
      app => () => Promise.any([app.connect('http://127.0.0.1:1').then(client => client.get('/'))])
    ],
    [
      'a server that cannot be reached, wrapped',
      502,
      app => () =>
        app
          .connect('http://127.0.0.1:1')
          .then(client => client.get('/'))
          .catch(cause => Promise.reject(new Error('lights and more', { cause })))
    ],
    ['a server that does not answer in time', 504, (_, upstream) => () => upstream.get('/hangs')],
    ['an answer that is no JSON', 502, (_, upstream) => async () => (await upstream.get('/html')).json()],
    ['a problem of another server, thrown', 502, (_, upstream) => async () => Promise.reject((await upstream.get('/taken')).error)],
    ['a path that a client cannot ask for', 502, (_, upstream) => () => upstream.get('/../lights and more')],
    ['a scheme without a transport', 500, app => () => app.connect('lights://127.0.0.1')],
    ['a path that cannot be notified', 500, () => context => context.notify('lights and more')],
    ['a path that the app cannot notify', 500, app => () => app.notify('lights and more')],
    ['a path that cannot be invoked', 500, app => () => app.invoke({ 'iopa.Path': 'lights and more' })],
    ['the error of an answer of the app itself, thrown', 500, app => async () => Promise.reject((await app.invoke({ 'iopa.Path': '/none' })).error)],
    [
      'a request that is cancelled before it is sent',
      500,
      (_, upstream) => () => upstream.get('/html', { signal: AbortSignal.abort(new Error('lights and more')) })
    ],
    [
      'a path that cannot be observed',
      500,
      app => async () => {
        for await (const answer of app.observe('lights and more')) return answer
      }
    ],
    [
      'an observed path that is not there',
      500,
      app => async () => {
        for await (const answer of app.observe('/nothing')) return answer
      }
    ]
  ]
  test.each(cases)('is logged and hidden from the peer: %s', async (_, status, handler) => {
    const { lines, logger } = logging()
    const upstream = routed({ logger: false })
    const beside = memory({ name: 'beside' })
    upstream.use(beside)
    upstream.get('/hangs', () => new Promise(() => undefined))
    upstream.get('/html', context => {
      context.response.type = 'text/html'
      return '<html>'
    })
    upstream.get('/taken', () => Promise.reject(new IopaError(409, 'taken', 'lights and more')))
    await upstream.listen()
    open.push(() => upstream.close({ timeout: 0 }))
    const client = await new App({ logger: false }).use(beside).connect('memory://beside', { timeout: 100 })
    const app = routed({ logger }).use(http({ port: 0 }))
    open.push(() => app.close({ timeout: 0 }))
    app.get('/', handler(app, client))
    const answer = await app.invoke({ 'iopa.Path': '/' })
    expect([answer.status, SECRET.test(await answer.text())]).toEqual([status, false])
    expect(lines).toHaveLength(1)
  })

  test('is shown to the peer if it has no origin, and if an answer is passed on', async () => {
    const app = routed({ logger: false })
    app.get('/own', () => Promise.reject(new IopaError(409, 'taken', 'Taken.')))
    app.post('/body', context => context.json())
    app.get('/passed', () => app.invoke({ 'iopa.Path': '/own' }))
    const given = { 'iopa.Method': 'POST', 'iopa.Path': '/body', 'iopa.Body': '{', 'iopa.ContentType': 'application/json' }
    expect([(await app.invoke({ 'iopa.Path': '/own' })).status, (await app.invoke({ 'iopa.Path': '/passed' })).status]).toEqual([409, 409])
    expect((await app.invoke(given)).status).toBe(400)
  })
})
