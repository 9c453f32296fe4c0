import { App, type AppOptions, type Context, IopaError, type MiddlewareFunction, type ReceivedAnswer, reply } from '@iopa/appbuilder'
import type { LinkAnswer } from '@iopa/context'
import type { OwnedContext } from '@iopa/context/host'
// A run ends once, whatever middleware and handlers do with its promises: the answer leaves, `done` comes once, nothing is lost.
import { type AnswerRecord, sealAnswer } from '@iopa/context/host'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

const loose: unknown[] = []
const heard = (error: unknown): void => void loose.push(error)
beforeAll(() => {
  process.on('unhandledRejection', heard)
  process.on('uncaughtException', heard)
})
afterAll(async () => {
  await new Promise(resolve => setTimeout(resolve, 50))
  process.off('unhandledRejection', heard)
  process.off('uncaughtException', heard)
  expect(loose).toEqual([])
})

const logging = () => {
  const lines: unknown[][] = []
  const line = (...data: unknown[]): void => void lines.push(data)
  return { lines, text: () => lines.map(([first]) => String(first)), logger: { error: line, warn: line, info: line, debug: line } }
}

const within = <T>(work: Promise<T>, ms = 1000): Promise<T> =>
  Promise.race([work, new Promise<never>((_, reject) => setTimeout(() => reject(new Error('it does not settle')), ms))])

const answered = (app: App, path = '/', method = 'GET'): Promise<ReceivedAnswer> => within(app.invoke({ 'iopa.Path': path, 'iopa.Method': method }))

/** Calls the host as a transport does, and counts how often `done` comes. */
const run = async (app: App, path: string, method = 'GET') => {
  const host = app.host('test')
  const context = host.create({
    method,
    path,
    query: '',
    rawPath: path,
    endpoint: {
      scheme: 'test',
      protocol: 'TEST/1.0',
      remoteAddress: '127.0.0.1',
      remotePort: 1,
      localAddress: '127.0.0.1',
      localPort: 2,
      tls: false,
      sessionId: '',
      rawTransport: null,
      bodyLimit: 1024
    },
    source: null
  })
  let count = 0
  // A transport knows its request by the context that it has made, never by the view of a mount.
  await within(new Promise<void>(resolve => host.run(context, finished => (expect(finished).toBe(context), count++, resolve()))))
  const at = context.response.status
  await context.end()
  await pause(5)
  await within(host.idle())
  return { status: at, count, answer: context.response }
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

/** Lets others take so many turns of the timers, also on a busy machine. */
const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await pause(1)
}

const boom = (): never => {
  throw new Error('boom')
}

/** Handlers that fail, at once, as a promise, and after a while. */
const FAILING: [string, MiddlewareFunction<Context>][] = [
  ['at once', boom],
  ['as a promise', async () => boom()],
  ['after a turn', async () => (await pause(1), boom())]
]
const named = (name: string, middleware: MiddlewareFunction<Context>): MiddlewareFunction<Context> =>
  Object.defineProperty(middleware, 'name', { value: name })

describe('a promise that a middleware lets go', () => {
  const careless: [string, MiddlewareFunction<Context>][] = [
    ['returns another value', (_, next) => (void next(), 'x')],
    ['returns nothing', (_, next) => void next()],
    ['returns another promise', (_, next) => (void next(), Promise.resolve('x'))],
    ['is asynchronous', async (_, next) => (void next(), 'x')],
    ['outlives the handler', async (_, next) => (void next(), await turns(10), 'x')],
    [
      'calls again and returns the first',
      (_, next) => {
        const first = next()
        void next()
        return first
      }
    ]
  ]
  for (const [what, middleware] of careless) {
    test.each(FAILING)(`of a middleware that ${what}, before a handler that fails %s, is a 500 that names it`, async (_, handler) => {
      const { logger, text } = logging()
      const app = new App({ logger }).use(named('gate', middleware)).use(handler)
      const { status, count } = await run(app, '/')
      expect([status, count]).toEqual([500, 1])
      expect(text().filter(line => line.includes('answered 500'))).toHaveLength(1)
    })
  }

  /** Middleware between the careless one and the handler, whose own promise is the one that is lost. */
  const between: [string, MiddlewareFunction<Context>][] = [
    ['hands the promise on', (_, next) => next()],
    ['waits for it', async (_, next) => await next()],
    ['waits for it and goes on', async (_, next) => next().finally(() => pause(2))],
    ['fails by itself', async (_, next) => (await next().catch(() => undefined), boom())],
    ['fails by itself later', async (_, next) => (await next().catch(() => undefined), await pause(2), boom())]
  ]
  describe.each(between)('with middleware between that %s', (_what, inner) => {
    for (const [what, middleware] of careless) {
      test.each(FAILING)(`of a middleware that ${what}, before a handler that fails %s, is a 500 that names it`, async (_, handler) => {
        const { logger, text } = logging()
        const app = new App({ logger }).use(named('gate', middleware)).use(named('between', inner)).use(handler)
        const { status, count } = await run(app, '/')
        await pause(10)
        expect([status, count]).toEqual([500, 1])
        expect(text()).toEqual([expect.stringMatching(what.startsWith('calls again') ? /answered 500/ : /answered 500 .* by 'gate'/)])
      })
    }

    test.each(FAILING)('leaves no rejection where the gate makes another promise of it, before a handler that fails %s', async (_, handler) => {
      for (const derive of [
        (rest: Promise<unknown>) => rest.then(() => 'then'),
        (rest: Promise<unknown>) => rest.finally(() => undefined),
        (rest: Promise<unknown>) => rest.catch(boom)
      ]) {
        const { logger, text } = logging()
        const gate = named('gate', async (_, next) => (void derive(next()), await turns(20), 'x'))
        expect((await answered(new App({ logger }).use(gate).use(inner).use(handler))).status).toBe(500)
        expect(text()).toHaveLength(1)
        expect(text()[0]).toMatch(/by 'gate'/)
      }
    })

    test.each(FAILING)('may be awaited after it was rejected, by a handler that fails %s', async (_, handler) => {
      const late: MiddlewareFunction<Context> = async (_, next) => {
        const rest = next()
        await pause(10)
        return rest.catch(() => 'caught')
      }
      const answer = await answered(new App({ logger: false }).use(late).use(inner).use(handler))
      expect([answer.status, (answer as LinkAnswer).payload]).toEqual([200, 'caught'])
    })
  })

  describe.each([
    ['in a mounted app', (app: App, inside: App) => app.mount('/m', inside)],
    ['in an app given to use', (app: App, inside: App) => app.use(inside)],
    ['in a mount within a mount', (app: App, inside: App) => app.mount('/m', new App({ logger: false }).mount('/n', inside))]
  ])('%s', (_where, place) => {
    for (const [what, middleware] of careless) {
      test.each(FAILING)(`of a middleware that ${what}, before a handler that fails %s, is a 500 that names it`, async (_, handler) => {
        const { logger, text } = logging()
        const inside = new App({ logger }).use(named('gate', middleware)).use(handler)
        const app = new App({ logger: false })
        place(app, inside)
        const { status, count } = await run(app, '/m/n')
        expect([status, count]).toEqual([500, 1])
        expect(text().filter(line => line.includes('answered 500'))).toHaveLength(1)
      })
    }
  })

  test.each([
    ['another value', (_: Context, next: () => unknown) => (void next(), 'x')],
    ['a promise', async (_: Context, next: () => unknown) => (void next(), 'x')]
  ])('is named in the log, where the middleware returned %s', async (_, middleware) => {
    const { logger, text } = logging()
    await answered(new App({ logger }).use(named('gate', middleware)).use(boom))
    expect(text()[0]).toMatch(/answered 500 .*'gate'/)
  })

  test('is named in the log while the handler is at work', async () => {
    const { logger, text } = logging()
    const app = new App({ logger }).use(named('gate', (_, next) => (void next(), 'x'))).use(async () => pause(20))
    expect((await answered(app)).error?.code).toBe('missing-await')
    expect(text()[0]).toMatch(/'gate'/)
  })

  test('is a 500 for a second next() although the first one is returned, also with a handler that succeeds', async () => {
    for (const handler of [() => 'x', async () => 'x']) {
      const { logger, text } = logging()
      const app = new App({ logger })
        .use(
          named('gate', (_, next) => {
            const first = next()
            void next()
            return first
          })
        )
        .use(handler)
      const answer = await answered(app)
      expect([answer.status, answer.error?.code]).toEqual([500, 'next-called-twice'])
      expect(text()).toHaveLength(1)
      expect(text()[0]).toMatch(/'gate'/)
    }
  })

  test('is no fault where the middleware handles the rejection', async () => {
    const app = new App({ logger: false })
      .use(async (_, next) => {
        await next().catch(() => undefined)
        return 'instead'
      })
      .use(boom)
    const answer = await answered(app)
    expect([answer.status, (answer as LinkAnswer).payload]).toEqual([200, 'instead'])
  })

  test('of next.invoke is a 500 where nothing waits for it', async () => {
    for (const [, handler] of FAILING.slice(0, 1)) {
      const { logger, text } = logging()
      const app = new App({ logger }).use(named('batch', (context, next) => (void next.invoke(context.child('one')), 'x'))).use(handler)
      expect((await answered(app)).status).toBe(500)
      expect(text()[0]).toMatch(/'batch'/)
    }
  })

  test('of next.invoke is logged once where it fails after the answer has left', async () => {
    const { logger, text } = logging()
    const app = new App({ logger })
      .use(named('batch', (context, next) => (void next.invoke(context.child('one')), 'x')))
      .use(async () => (await pause(5), boom()))
    expect((await answered(app)).status).toBe(200)
    await vi.waitFor(() => expect(text()).toHaveLength(1))
    expect(text()[0]).toMatch(/'batch'/)
  })
})

describe('an asynchronous onSendingHeaders callback that rejects', () => {
  const rejecting: [string, () => unknown][] = [
    ['at once', () => Promise.reject(new Error('boom'))],
    ['after a turn', async () => (await pause(1), boom())],
    ['as a thenable', () => ({ then: (_: unknown, reject: (error: Error) => void) => reject(new Error('boom')) })]
  ]
  const bodies: [string, () => unknown][] = [
    ['a text', () => 'x'],
    ['an asynchronous text', async () => 'x'],
    [
      'a stream',
      () =>
        (async function* () {
          yield 'x'
        })()
    ]
  ]
  for (const [when, callback] of rejecting) {
    for (const [what, handler] of bodies) {
      test.each(['', '/m'])(`${when} is a 500 that is logged once, for ${what}, mounted at '%s'`, async mount => {
        const { logger, text } = logging()
        const inside = new App().use(named('stamp', (context, next) => (context.onSendingHeaders(callback as never), next()))).use(handler)
        const app = new App({ logger })
        if (mount === '') app.use(inside)
        else app.mount(mount, inside)
        const { status, count, answer } = await run(app, '/m')
        expect([status, count]).toEqual([500, 1])
        expect(String(answer.payload)).not.toContain('boom')
        expect(text()).toEqual([expect.stringMatching(/answered 500/)])
      })
    }
  }
})

describe('next() after the answer has been sealed', () => {
  test('does not run the rest, and is logged once with the name of the middleware', async () => {
    const { logger, text } = logging()
    let ran = 0
    const app = new App({ logger }).use(named('late', (_, next) => (setTimeout(next, 1), setTimeout(next, 2), 'x'))).use(() => void ran++)
    expect(((await answered(app)) as LinkAnswer).payload).toBe('x')
    await pause(20)
    expect([ran, text().length]).toEqual([0, 1])
    expect(text()[0]).toMatch(/'late'/)
  })

  test('breaks a body off that is still on its way', async () => {
    const { logger } = logging()
    let ended = ''
    const app = new App({ logger }).use((context, next) => {
      context.defer(reason => void (ended = reason))
      setTimeout(next, 5)
      return (async function* () {
        yield 'a'
        await pause(50)
        yield 'b'
      })()
    })
    const answer = await answered(app)
    await vi.waitFor(() => expect(ended).toBe('reset'))
    await answer.bytes().catch(() => undefined)
  })
})

describe('promises of a body', () => {
  test.each(['bytes', 'text', 'json'] as const)('that %s() gave may be awaited after they were rejected', async read => {
    const app = new App({ logger: false }).use(async context => {
      const body = context[read]()
      await pause(5)
      return body.then(
        () => 'read',
        () => 'failed'
      )
    })
    const failing = (async function* () {
      yield new Uint8Array(1)
      throw new Error('the peer has gone')
    })()
    const answer = await within(app.invoke({ 'iopa.Method': 'PUT', 'iopa.ContentType': 'application/json', 'iopa.Body': failing }))
    expect((answer as LinkAnswer).payload).toBe('failed')
  })

  test.each(['bytes', 'text', 'json'] as const)('that %s() of an answer gave may be awaited after they were rejected', async read => {
    const app = new App({ logger: false }).use(() =>
      (async function* () {
        yield 'x'
        throw new Error('gone')
      })()
    )
    const answer = await answered(app)
    const body = answer[read]()
    await pause(5)
    await expect(body).rejects.toThrow()
  })
})

describe('a failed handler', () => {
  const swallow: [string, MiddlewareFunction<Context>][] = [
    [
      'catches',
      async (_, next) => {
        try {
          return await next()
        } catch {
          return undefined
        }
      }
    ],
    ['catches with catch()', (_, next) => next().catch(() => undefined)],
    ['catches and returns nothing at once', (_, next) => void next().catch(() => undefined)]
  ]
  for (const [what, middleware] of swallow) {
    test.each(FAILING.slice(0, what.endsWith('once') ? 1 : 3))(
      `is a 500 that notifies nothing where a middleware ${what}, failing %s`,
      async (_, handler) => {
        const { logger, lines } = logging()
        const app = new App({ logger }).use(middleware).use(handler)
        const changes: string[] = []
        app.host('test').changes(({ path }) => void changes.push(path))
        const answer = await answered(app, '/x', 'PUT')
        expect([answer.status, answer.error?.code, changes]).toEqual([500, 'internal-error', []])
        expect(lines).toHaveLength(1)
      }
    )
  }

  test('gives its own status where nothing takes its place', async () => {
    const app = new App({ logger: false }).use(swallow[0]![1]).use(() => Promise.reject(new IopaError(409, 'taken', 'Taken.')))
    expect((await answered(app, '/x', 'PUT')).status).toBe(409)
  })

  const instead: [string, MiddlewareFunction<Context>, number, unknown][] = [
    ['a value', () => 'instead', 200, 'instead'],
    ['null', () => null, 200, 'null'],
    ['a status', context => void (context.response.status = 202), 202, null],
    ['a body', context => void (context.response.body = 'instead'), 200, 'instead']
  ]
  test.each(instead)('is no change where a middleware sets %s in its place', async (_, set, status, payload) => {
    const app = new App({ logger: false })
      .use(async (context, next) => {
        try {
          return await next()
        } catch {
          return set(context, next)
        }
      })
      .use(boom)
    const changes: string[] = []
    app.host('test').changes(({ path }) => void changes.push(path))
    const answer = await answered(app, '/x', 'PUT')
    expect([answer.status, (answer as LinkAnswer).payload, changes]).toEqual([status, payload, []])
  })

  test('that runs again and succeeds is a change', async () => {
    let count = 0
    const app = new App({ logger: false })
      .use((context, next) => next().catch(() => next.invoke(context)))
      .use(() => (count++ === 0 ? boom() : undefined))
    const changes: string[] = []
    app.host('test').changes(({ path }) => void changes.push(path))
    expect([(await answered(app, '/x', 'PUT')).status, changes]).toEqual([204, ['/x']])
  })
})

describe('a context that is invoked within its own run', () => {
  const handlers: [string, (value: unknown) => unknown][] = [
    ['at once', value => value],
    ['as a promise', async value => value],
    ['later', async value => (await pause(2), value)]
  ]
  for (const [when, give] of handlers) {
    test(`is answered once by an internal redirect, ${when}`, async () => {
      const app: App = new App({ logger: false }).use(context => {
        if (context['iopa.Path'] !== '/a') return give(`at ${context['iopa.Path']}`)
        context['iopa.Path'] = '/b'
        return app.invoke(context)
      })
      const { status, count, answer } = await run(app, '/a')
      expect([status, count, answer.payload]).toEqual([200, 1, 'at /b'])
    })

    test(`is answered once by another app, ${when}`, async () => {
      const other = new App({ logger: false }).use(() => give('other'))
      const app = new App({ logger: false }).use(context => other.invoke(context))
      const { status, count, answer } = await run(app, '/a')
      expect([status, count, answer.payload]).toEqual([200, 1, 'other'])
    })

    test(`can be edited by the middleware outside, ${when}`, async () => {
      const other = new App({ logger: false }).use(() => give('other'))
      const app = new App({ logger: false })
        .use(async (context, next) => {
          await next()
          context.response.headers.set('x-outer', '1')
        })
        .use(context => other.invoke(context))
      const { answer } = await run(app, '/a')
      expect([answer.payload, answer.headers.get('x-outer')]).toEqual(['other', '1'])
    })
  }

  test.each(FAILING)('is a 500 where the inner run fails %s', async (_, handler) => {
    const { logger, lines } = logging()
    const other = new App({ logger }).use(handler)
    const { status, count } = await run(
      new App({ logger }).use(context => other.invoke(context)),
      '/a',
      'PUT'
    )
    expect([status, count, lines.length]).toEqual([500, 1, 1])
  })

  test.each([
    ['at once', (app: () => App) => (context: Context) => app().invoke(context)],
    ['later', (app: () => App) => async (context: Context) => (await pause(0), app().invoke(context))]
  ])('is a 500 where it leads back to itself, %s', async (_, handler) => {
    const app: App = new App({ logger: false }).use(handler(() => app))
    const { status, count } = await run(app, '/a')
    expect([status, count]).toEqual([500, 1])
  })

  test('ends with the run around it, at its deadline', async () => {
    const other = new App({ logger: false }).use(() => new Promise(() => undefined))
    let inner: Promise<unknown> | undefined
    const app = new App({ logger: false, limits: { requestTimeout: 20 } }).use(context => (inner = other.invoke(context)))
    const { status, count } = await run(app, '/a')
    expect([status, count]).toEqual([504, 1])
    await within(Promise.resolve(inner))
  })

  test('is handed back as it is where its answer has been sealed', async () => {
    const app = new App({ logger: false }).use(context => {
      context.response.status = 201
      void sealAnswer(context.response as AnswerRecord, (context as OwnedContext).environment.codecs)
      return pause(1)
    })
    const { status, count } = await run(app, '/a')
    expect([status, count]).toEqual([201, 1])
    const context = app.create({})
    await within(app.invoke(context))
    expect((await within(app.invoke(context))).status).toBe(201)
    await context.end()
  })
})

describe('an error', () => {
  const revoked = (target: object): object => {
    const { proxy, revoke } = Proxy.revocable(target, {})
    revoke()
    return proxy
  }
  const throwing = (name: string, target: object = new Error('x')): object => Object.defineProperty(target, name, { get: boom })
  const errors: [string, unknown][] = [
    ['a proxy', new Proxy(new Error('x'), { get: boom, getPrototypeOf: boom, has: boom })],
    ['a revoked proxy', revoked(new Error('x'))],
    ['a revoked function', revoked(boom)],
    ...['name', 'message', 'status', 'code', 'detail', 'toJSON', 'stack', 'cause', 'errors', 'headers', 'extensions'].map(
      (name): [string, unknown] => [`with a ${name} that throws`, throwing(name)]
    ),
    ...['status', 'detail', 'headers', 'extensions', 'toJSON', 'message'].map((name): [string, unknown] => [
      `of ours with a ${name} that throws`,
      throwing(name, new IopaError(500, 'x', 'y'))
    ]),
    ['of ours whose extensions throw', new IopaError(500, 'x', 'y', { extensions: throwing('a', {}) as Record<string, unknown> })],
    ['of ours whose extensions have no JSON form', new IopaError(500, 'x', 'y', { extensions: { a: { toJSON: boom } } })],
    ['without a prototype', Object.create(null)],
    ['that is no primitive', { [Symbol.toPrimitive]: boom }],
    ['undefined', undefined],
    ['null', null],
    ['a symbol', Symbol('x')]
  ]
  const loggers: [string, AppOptions['logger']][] = [
    ['a console', logging().logger],
    ['a logger that throws', { error: boom, warn: boom, info: boom, debug: boom }],
    ['a logger that rejects', { error: async () => boom(), warn: boom, info: boom, debug: boom }],
    [
      'a logger that reads what it is given',
      Object.assign(logging().logger, { error: (...data: unknown[]) => void data.map(item => JSON.stringify(item) + String(item)) })
    ]
  ]
  for (const [what, logger] of loggers) {
    test.each(errors)(`%s is a 500, with ${what}`, async (_, error) => {
      for (const handler of [
        () => {
          throw error
        },
        async () => {
          throw error
        }
      ]) {
        const app = new App({ logger: logger as never }).use((_, next) => next()).use(handler)
        const { status, count, answer } = await run(app, '/')
        expect([status, count]).toEqual([500, 1])
        expect(JSON.parse(answer.payload as string).status).toBe(500)
      }
    })
  }
})

describe('the logger of a host', () => {
  test.each([boom, async () => boom()])('does not throw or reject, whatever the logger of the app does', async log => {
    const { logger } = new App({ logger: { error: log, warn: log, info: log, debug: log } as never }).host('test')
    for (const level of ['error', 'warn', 'info', 'debug'] as const) expect(logger[level]('line', new Error('x'))).toBeUndefined()
  })
})

describe('the end of a request', () => {
  test('does not wait for a disposer that never settles longer than the limit, and says so once', async () => {
    const { logger, text } = logging()
    let others = 0
    const app = new App({ logger, limits: { drainTimeout: 30 } }).use(context => {
      context.defer(() => void others++)
      context.defer(() => new Promise(() => undefined))
      context.defer(() => new Promise(() => undefined))
      return reply(200, 'x')
    })
    expect((await answered(app)).status).toBe(200)
    expect([others, app.live, text().length]).toEqual([1, 0, 1])
  })
})
