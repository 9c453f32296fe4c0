import { getEventListeners } from 'node:events'
import { App, type Bag, type Context, defineMiddleware, IopaError, type Limits, type Next, reply, type Transport } from '@iopa/appbuilder'
import type { RouteInfo } from '@iopa/appbuilder/extension'
import type { AnswerRecord } from '@iopa/context/host'
import { router } from '@iopa/router'
import { type Host, type Link, type OpenOptions, pathsOfRoute, receivedAnswer } from '@iopa/transport'
import { describe, expect, test, vi } from 'vitest'

const quiet = { logger: false } as const

interface Fake extends Transport {
  readonly log: string[]
  readonly sent: Bag[]
  host: Host | null
}

/** A transport that records its requests and gives the answers of the test. */
const fake = (
  options: { fail?: boolean; address?: string; allowUnauthenticated?: boolean; limits?: Partial<Limits>; scheme?: string } = {}
): Fake => {
  const scheme = options.scheme ?? 'fake'
  const log: string[] = []
  const sent: Bag[] = []
  return {
    name: scheme,
    schemes: [scheme],
    capabilities: { [`urn:io.iopa:${scheme}`]: { version: '1', observe: true } },
    log,
    sent,
    host: null,
    async listen(given) {
      const host = given.withLimits(options.limits)
      this.host = host
      host.assertProtected(options.address ?? '127.0.0.1', options.allowUnauthenticated)
      if (options.fail) throw new IopaError(500, 'bind-failed', 'Port taken.')
      log.push('listen')
      host.scope.defer(reason => void log.push(`scope ${reason}`))
      return { url: new URL(`${scheme}://127.0.0.1:1`), close: async settings => void log.push(`close ${settings?.timeout}`) }
    },
    async open(url: URL, opening: OpenOptions): Promise<Link> {
      log.push(`open ${url} ${typeof opening.clock}`)
      return {
        concurrency: Number.POSITIVE_INFINITY,
        closed: new Promise(() => undefined),
        request: async message => {
          sent.push(message.bag)
          const { method, path, query, headers, type, body } = message
          return receivedAnswer(200, {
            type: 'application/json',
            payload: JSON.stringify({
              method,
              path,
              query,
              a: headers.get('a'),
              type,
              body: body === null ? null : new TextDecoder().decode(body as Uint8Array)
            })
          })
        },
        subscribe: async (message, sink) => {
          sent.push(message.bag)
          for (const payload of ['1', '2']) void sink.next(receivedAnswer(200, { payload }))
        },
        close: async () => void log.push('closed')
      }
    }
  }
}

describe('an app and its transports', () => {
  test('listens on all of them, shows their capabilities, and closes once', async () => {
    const one = fake()
    const two = fake({ scheme: 'other' })
    const app = new App(quiet)
      .use(one)
      .use(two)
      .use(context => Object.keys(context['server.Capabilities']))
    expect((await app.listen()).map(({ url }) => url.href)).toEqual(['fake://127.0.0.1:1', 'other://127.0.0.1:1'])
    expect(((await app.invoke({ 'iopa.Path': '/' })) as unknown as AnswerRecord).value).toEqual([
      'urn:io.iopa:app',
      'urn:io.iopa:fake',
      'urn:io.iopa:other'
    ])
    await expect(app.listen()).rejects.toThrow(/already/)
    await Promise.all([app.close({ timeout: 5 }), app.close()])
    expect(one.log).toEqual(['listen', 'close 5', 'scope shutdown'])
    await expect(app.listen()).rejects.toThrow(/closed/)
  })

  test('rejects when one cannot bind, and closes the others', async () => {
    const one = fake()
    await expect(
      new App(quiet)
        .use(one)
        .use(fake({ fail: true }))
        .listen()
    ).rejects.toThrow('Port taken.')
    expect(one.log).toEqual(['listen', 'close 0', 'scope shutdown'])
  })

  test('refuses to listen unprotected off loopback, and names allowUnauthenticated: true', async () => {
    await expect(new App(quiet).use(fake({ address: '0.0.0.0' })).listen()).rejects.toThrow(/allowUnauthenticated: true/)
    await expect(new App(quiet).use(fake({ address: '::' })).listen()).rejects.toThrow(/allowUnauthenticated: true/)
    const auth = defineMiddleware({ provides: ['server.User'] }, (_, next) => next())
    for (const app of [
      new App(quiet).use(fake({ address: '0.0.0.0', allowUnauthenticated: true })),
      new App(quiet).use(auth).use(fake({ address: '0.0.0.0' })),
      new App(quiet).use(fake({ address: '::1' }))
    ]) {
      await app.listen()
      await app.close()
    }
  })

  test('gives a transport its own limits', async () => {
    const transport = fake({ limits: { body: 5 } })
    const app = new App({ ...quiet, limits: { inFlight: 7 } }).use(transport)
    await app.listen()
    expect([transport.host?.limits.body, transport.host?.limits.inFlight]).toEqual([5, 7])
    await app.close()
  })

  test('ends live contexts of a listener when it closes, with reason shutdown', async () => {
    const transport = fake()
    const app = new App(quiet).use(transport).use(() => new Promise(() => undefined))
    await app.listen()
    const endpoint = {
      scheme: 'fake',
      protocol: 'F/1',
      remoteAddress: '',
      remotePort: 0,
      localAddress: '',
      localPort: 0,
      tls: false,
      sessionId: '',
      rawTransport: null,
      bodyLimit: 1
    }
    const context = transport.host?.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint, source: null })
    void transport.host?.invoke(context as NonNullable<typeof context>)
    await app.close({ timeout: 0 })
    expect([context?.ended, context?.endReason, app.live]).toEqual([true, 'shutdown', 0])
  })
})

describe('a client', () => {
  test('sends through the transport of its scheme, with prefix, query, headers and body', async () => {
    const transport = fake()
    const app = new App(quiet).use(transport)
    const client = await app.connect('fake://host:7/base/')
    const answer = await client.put('/a?x=1', { on: true }, { headers: { A: '1' } })
    expect(await answer.json()).toEqual({ method: 'PUT', path: '/base/a', query: 'x=1', a: '1', type: 'application/json', body: '{"on":true}' })
    expect(((await (await client.get('/b')).json()) as { body: null }).body).toBeNull()
    expect(((await (await client.post('/b', 'text', { type: 'text/x' })).json()) as { type: string }).type).toBe('text/x')
    expect(app.live).toBe(0)
    await client.close()
    expect(transport.log).toEqual(['open fake://host:7/base/ object', 'closed'])
  })

  test('runs dispatch layers in reverse order of use, around every request', async () => {
    const order: string[] = []
    const layer = (name: string) => ({
      dispatch: async (context: { headers: { set(name: string, value: string): void } }, next: () => Promise<unknown>) => {
        order.push(name)
        context.headers.set('a', name)
        return next()
      }
    })
    const app = new App(quiet)
      .use(layer('first') as never)
      .use(layer('second') as never)
      .use(fake())
    const client = await app.connect('fake://host')
    const answer = await client.get('/')
    expect([order, ((await answer.json()) as { a: string }).a]).toEqual([['second', 'first'], 'first'])
  })

  test('observes as a sequence', async () => {
    const client = await new App(quiet).use(fake()).connect('fake://host')
    const seen: unknown[] = []
    for await (const answer of client.observe('/x')) seen.push(await answer.text())
    expect(seen).toEqual(['1', '2'])
  })

  test('leaves no live context behind, whether an observation came to its end or was left', async () => {
    const app = new App(quiet).use(fake())
    const client = await app.connect('fake://host')
    for await (const answer of client.observe('/x')) expect(answer.ok).toBe(true)
    for await (const answer of client.observe('/x')) {
      expect(app.live).toBe(1)
      if (answer.ok) break
    }
    expect(app.live).toBe(0)
  })

  test('observes with another method only where its protocol does', async () => {
    const client = await new App(quiet).use(fake()).connect('fake://host')
    const first = (method: string) => client.observe({ 'iopa.Method': method, 'iopa.Path': '/x' })[Symbol.asyncIterator]().next()
    expect(await (await first('GET')).value.text()).toBe('1')
    await expect(first('FETCH')).rejects.toMatchObject({ status: 501, code: 'not-observable' })
    const other = await new App(quiet).use({ ...fake(), observable: ['FETCH'] }).connect('fake://host')
    const fetched = await other.observe({ 'iopa.Method': 'FETCH', 'iopa.Path': '/x' })[Symbol.asyncIterator]().next()
    expect(await fetched.value.text()).toBe('1')
  })

  test('rejects for a scheme without a transport, and says which there are', async () => {
    await expect(new App(quiet).use(fake()).connect('mqtt://host')).rejects.toThrow(
      "No transport of this app serves 'mqtt:': add one with use(); it has fake."
    )
  })

  test('hands the signal of a request on', async () => {
    const transport = fake()
    const client = await new App(quiet).use(transport).connect('fake://host')
    const stop = new AbortController()
    const answer = client.get('/', { signal: stop.signal })
    await vi.waitFor(() => expect(transport.sent).toHaveLength(1))
    stop.abort()
    await answer.catch(() => undefined)
    expect(transport.sent[0]?.['iopa.CallCancelled']?.aborted).toBe(true)
  })
})

describe('a transport with routes of its own', () => {
  const routed = (): Transport => ({
    ...fake(),
    attach: ({ registry, notifyWhere }) => {
      registry.add('GET', '/fake/state', { title: 'State' }, [(_, next) => next(), () => 'state'])
      registry.add('POST', '/fake/state', {}, [() => notifyWhere(path => path === '/fake/state')])
    }
  })

  test('adds them when it is used, behind the middleware before the router', async () => {
    const seen: string[] = []
    const app = new App(quiet)
      .use((context, next) => {
        seen.push(context.path)
        return next()
      })
      .use(router())
      .use(routed())
    expect(Array.from(app.routes(), ({ pattern }) => pattern)).toEqual(['/fake/state', '/fake/state'])
    expect(await (await app.invoke({ 'iopa.Path': '/fake/state' })).text()).toBe('state')
    expect((await app.invoke({ 'iopa.Method': 'POST', 'iopa.Path': '/fake/state' })).status).toBe(204)
    expect(seen).toEqual(['/fake/state', '/fake/state'])
  })

  test('needs a router before it', () => {
    expect(() => new App(quiet).use(routed())).toThrow(expect.objectContaining({ code: 'no-router' }))
  })
})

describe('an app that is closed', () => {
  /** A transport that binds on request. */
  const slow = () => {
    let bind = (): void => undefined
    const bound = new Promise<void>(resolve => {
      bind = resolve
    })
    const log: string[] = []
    const transport: Transport = {
      name: 'slow',
      schemes: ['slow'],
      listen: async () => {
        log.push('listen')
        await bound
        return { url: new URL('slow://127.0.0.1'), close: async () => void log.push('close') }
      },
      open: () => Promise.reject(new Error('none'))
    }
    return { transport, log, bind }
  }

  test('while it begins to listen closes what it has bound, binds no more, and says so', async () => {
    const { transport, log, bind } = slow()
    const app = new App(quiet).use(transport).use(transport)
    const listening = app.listen()
    const closing = app.close()
    bind()
    await expect(listening).rejects.toMatchObject({ code: 'app-closed' })
    await closing
    expect(log).toEqual(['listen', 'close'])
  })

  test('listens once, however often it is asked to', async () => {
    const { transport, log, bind } = slow()
    const app = new App(quiet).use(transport)
    bind()
    const [first, second] = await Promise.allSettled([app.listen(), app.listen()])
    expect([first?.status, second?.status, log]).toEqual(['fulfilled', 'rejected', ['listen']])
    await app.close()
    expect(log).toEqual(['listen', 'close'])
  })

  test('answers 503 to what is still in work', async () => {
    const app = new App(quiet).use(() => new Promise(() => undefined))
    const host = app.host()
    const context = host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint: app.create({}).endpoint, source: null })
    const invoked = [app.invoke({}), host.invoke(context).then(() => context.response)]
    await app.close({ timeout: 1 })
    expect((await Promise.all(invoked)).map(({ status }) => status)).toEqual([503, 503])
    expect(app.live).toBe(0)
  })

  test('does not wait for a disposer that never settles, nor for a listener that never closes, and says so', async () => {
    const lines: unknown[][] = []
    const logger = { error: (...data: unknown[]) => void lines.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
    const stuck: Transport = {
      name: 'stuck',
      schemes: ['stuck'],
      listen: async () => ({ url: new URL('stuck://127.0.0.1'), close: () => new Promise(() => undefined) }),
      open: () => Promise.reject(new Error('none'))
    }
    for (const transport of [stuck, fake()]) {
      const app = new App({ logger, limits: { drainTimeout: 20 } }).use(transport).use(context => {
        context.defer(() => new Promise(() => undefined))
        return new Promise(() => undefined)
      })
      await app.listen()
      void app.invoke({})
      await app.close({ timeout: 1 })
      expect(app.live).toBe(0)
    }
    const said = (what: RegExp): number => lines.filter(([line]) => what.test(String(line))).length
    expect([said(/app owns has not ended in time/), said(/disposer has not settled in time/)]).toEqual([1, 2])
  })
})

describe('app.invoke', () => {
  test('ends the context with its signal, and leaves no listener on one that lives longer', async () => {
    const stop = new AbortController()
    let reason: unknown
    const app = new App(quiet).use(context => {
      if (context.path === '/quick') return 'x'
      return new Promise(resolve => {
        context.signal.addEventListener('abort', () => {
          reason = (context.signal.reason as IopaError).code
          resolve('x')
        })
      })
    })
    await app.invoke({ 'iopa.Path': '/quick', 'iopa.CallCancelled': stop.signal })
    expect(getEventListeners(stop.signal, 'abort')).toEqual([])
    const invoked = app.invoke({ 'iopa.Path': '/slow', 'iopa.CallCancelled': stop.signal })
    stop.abort()
    await expect(invoked).rejects.toBe(stop.signal.reason)
    expect([reason, app.live]).toEqual(['disconnect', 0])
  })

  test('leaves nothing behind of a bag that cannot be a request', async () => {
    const app = new App(quiet).use(() => 'x')
    await expect(app.invoke({ 'iopa.Headers': { 'bad name': 'x' } })).rejects.toThrow(/header name/)
    await expect(app.invoke({ 'iopa.Body': () => 1 })).rejects.toThrow(/JSON/)
    expect(app.live).toBe(0)
  })
})

describe('a dispatch layer', () => {
  const client = async (dispatch: (context: Context, next: Next) => unknown) => {
    const app = new App(quiet).use(fake()).use({ dispatch })
    return await app.connect('fake://host')
  }

  test('need not return what next gave', async () => {
    const forgetful = await client(async (_, next) => {
      await next()
    })
    expect((await forgetful.get('/x')).status).toBe(200)
    const seen: unknown[] = []
    for await (const answer of forgetful.observe('/x')) seen.push(answer.status)
    expect(seen).toEqual([200, 200])
  })

  test('may answer itself, with any value', async () => {
    const answering = await client(context => (context.path === '/none' ? undefined : reply(203, { cached: true })))
    const answer = await answering.get('/x')
    expect([answer.status, await answer.json(), (await answering.get('/none')).status]).toEqual([203, { cached: true }, 204])
  })

  test('sees no request to a URL that cannot be one, and its channel is closed', async () => {
    const transport = fake()
    const app = new App(quiet).use(transport)
    await expect(app.connect('fake://host/a%2fb')).rejects.toMatchObject({ status: 400 })
    expect(transport.log.at(-1)).toBe('closed')
  })
})

describe('the paths of a route', () => {
  const route = (segments: RouteInfo['segments'], instances?: () => string[]): RouteInfo => ({
    method: 'GET',
    pattern: '/x',
    segments,
    attributes: instances === undefined ? {} : { instances }
  })

  test('are its own, or the instances that it names', () => {
    expect([...pathsOfRoute(route([]))]).toEqual(['/'])
    expect([
      ...pathsOfRoute(
        route([
          { kind: 'static', value: 'a' },
          { kind: 'static', value: 'b' }
        ])
      )
    ]).toEqual(['/a/b'])
    expect([...pathsOfRoute(route([{ kind: 'param', name: 'id' }]))]).toEqual([])
    expect([...pathsOfRoute(route([{ kind: 'param', name: 'id' }], () => ['/1', '/2']))]).toEqual(['/1', '/2'])
  })

  test('carry the prefix of the mount around them', () => {
    const inner = Object.assign((_: unknown, next: () => unknown) => next(), {})
    const object = { name: 'routes', invoke: inner, routes: () => [route([{ kind: 'param', name: 'id' }], () => ['/1'])] }
    const [found] = [...new App(quiet).mount('/in', object as never).routes()]
    expect([found?.pattern, [...pathsOfRoute(found as RouteInfo)]]).toEqual(['/in/x', ['/in/1']])
  })
})
