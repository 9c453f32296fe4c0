import { App, type Context, defineKeys, defineMiddleware, IopaError, type MiddlewareFunction, type Next, reply } from '@iopa/appbuilder'
import { isUnrouted } from '@iopa/appbuilder/extension'
import type { LinkAnswer } from '@iopa/context'
import type { AnswerRecord } from '@iopa/context/host'
import { memory, virtualClock } from '@iopa/testing'
import { HeaderMap } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

const quiet = { logger: false } as const
const at = (path: string, method = 'GET') => ({ 'iopa.Path': path, 'iopa.Method': method })
const logging = () => {
  const lines: unknown[][] = []
  return {
    lines,
    logger: { error: (...data: unknown[]) => void lines.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  }
}

describe('a pipeline', () => {
  test('runs in use order, outermost first, and unwinds in reverse', async () => {
    const order: string[] = []
    const layer =
      (name: string): MiddlewareFunction =>
      async (_, next) => {
        order.push(`${name} in`)
        const value = await next()
        order.push(`${name} out`)
        return value
      }
    const answer = await new App(quiet)
      .use(layer('a'))
      .use(layer('b'))
      .use(() => 'x')
      .invoke(at('/'))
    expect([order, (answer as LinkAnswer).payload]).toEqual([['a in', 'b in', 'b out', 'a out'], 'x'])
  })

  test('writes what a handler returned before it unwinds, so that a forgotten return loses nothing', async () => {
    const seen: unknown[] = []
    const app = new App(quiet)
      .use(async (context, next) => {
        await next()
        seen.push(context.response.body)
      })
      .use(async (_, next) => {
        await next()
      })
      .use(async () => ({ on: true }))
    const answer = await app.invoke(at('/'))
    expect([seen, (answer as LinkAnswer).payload, (answer as unknown as AnswerRecord).value]).toEqual([[{ on: true }], '{"on":true}', { on: true }])
  })

  test('writes what a layer in the middle has answered, at once or later, before the layers around it go on', async () => {
    const seen: unknown[] = []
    const appWith = (gate: MiddlewareFunction): App =>
      new App(quiet)
        .use(async (context, next) => {
          await next()
          seen.push(context.response.body)
        })
        .use(gate)
        .use(() => 'the handler, which no gate lets through')
    const answers = [await appWith(() => 'closed').invoke(at('/')), await appWith(async () => 'closed later').invoke(at('/'))]
    expect([seen, answers.map(answer => (answer as LinkAnswer).payload)]).toEqual([
      ['closed', 'closed later'],
      ['closed', 'closed later']
    ])
  })

  test('replaces the body by what the outermost layer returns instead', async () => {
    const app = new App(quiet).use(async (_, next) => ({ wrapped: await next() })).use(async () => 1)
    expect(((await app.invoke(at('/'))) as LinkAnswer).payload).toBe('{"wrapped":1}')
    const inner = new App(quiet)
      .use((_, next) => next())
      .use((_, next) => (void next(), 'other'))
      .use(() => 'first')
    expect(((await inner.invoke(at('/'))) as LinkAnswer).payload).toBe('other')
  })

  test('does not write a value again that passes outward, so that edits on the way stay', async () => {
    const app = new App(quiet)
      .use(async (context, next) => {
        const value = await next()
        context.response.status = 202
        return value
      })
      .use(() => reply(201, 'x'))
    expect((await app.invoke(at('/'))).status).toBe(202)
  })

  test('stays synchronous through layers that return next()', () => {
    const app = new App(quiet)
      .use((_, next) => next())
      .use((_, next) => next())
      .use(() => 'x')
    const host = app.host()
    const context = app.create(at('/'))
    let done = false
    host.run(context, () => {
      done = true
    })
    expect([done, context.response.payload]).toEqual([true, 'x'])
  })

  test('keeps concurrent runs apart where layers return the promise of next()', async () => {
    const app = new App(quiet)
      .use((_, next) => next())
      .use(async (context, next) => (context.path === '/slow' ? (await null, next()) : next()))
      .use(context => context.path)
    const answers = await Promise.all(['/slow', '/a', '/slow', '/b'].map(path => app.invoke(at(path))))
    expect(answers.map(answer => (answer as LinkAnswer).payload)).toEqual(['/slow', '/a', '/slow', '/b'])
  })

  test('refuses a second next(), and runs the inner pipeline once', async () => {
    let ran = 0
    let second: unknown
    const app = new App(quiet)
      .use(async (_, next) => {
        const value = await next()
        second = await next().catch(error => error)
        return value
      })
      .use(() => ++ran)
    expect([((await app.invoke(at('/'))) as LinkAnswer).payload, ran, (second as IopaError).code]).toEqual(['1', 1, 'next-called-twice'])
  })

  test('runs the rest with other contexts by next.invoke, as often as needed', async () => {
    const app = new App(quiet)
      .use(async (context, next) => {
        const answers: unknown[] = []
        for (const path of ['a', 'b']) {
          await using inner = context.child(path)
          answers.push(await next.invoke(inner))
        }
        return answers
      })
      .use(context => context.path)
    const answer = await app.invoke(at('/x'))
    expect([(answer as LinkAnswer).payload, app.live]).toEqual(['["/x/a","/x/b"]', 0])
  })

  test('treats a synchronous throw and an async rejection the same', async () => {
    for (const fail of [
      () => {
        throw new IopaError(418, 'teapot')
      },
      () => Promise.reject(new IopaError(418, 'teapot'))
    ]) {
      let caught: unknown
      const app = new App(quiet)
        .use(async (_, next) => {
          try {
            return await next()
          } catch (error) {
            caught = error
            throw error
          }
        })
        .use(fail)
      const answer = await app.invoke(at('/'))
      expect([answer.status, answer.error?.code, (caught as IopaError).code]).toEqual([418, 'teapot', 'teapot'])
      const context = app.create(at('/'))
      await expect(app.build()(context)).rejects.toMatchObject({ code: 'teapot' })
      await context.end()
    }
  })

  test('hands the value to the caller of the built function', async () => {
    const app = new App(quiet).use((_, next) => next()).use(() => 42)
    await using context = app.create(at('/'))
    expect(await app.build()(context)).toBe(42)
  })

  test('says so when a middleware finishes before the handler that it called', async () => {
    const { lines, logger } = logging()
    const app = new App({ logger })
      .use((_, next) => {
        void next()
      })
      .use(async () => {
        await new Promise(resolve => setTimeout(resolve, 5))
        return 'late'
      })
    const answer = await app.invoke(at('/'))
    expect([answer.status, answer.error?.code]).toEqual([500, 'missing-await'])
    expect(lines).toHaveLength(1)
  })

  test('lets a middleware catch the rejection of the handler and answer', async () => {
    const app = new App(quiet)
      .use(async (_, next) => {
        await next().catch(() => undefined)
        return 'caught'
      })
      .use(async () => {
        await null
        throw new Error('x')
      })
    expect(((await app.invoke(at('/'))) as LinkAnswer).payload).toBe('caught')
  })

  test('survives a handler that nobody waits for and that fails later', async () => {
    const unhandled: unknown[] = []
    const hear = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', hear)
    const app = new App(quiet)
      .use((_, next) => {
        void next()
      })
      .use(async () => {
        await new Promise(resolve => setTimeout(resolve, 5))
        throw new Error('late')
      })
    expect((await app.invoke(at('/'))).error?.code).toBe('missing-await')
    await new Promise(resolve => setTimeout(resolve, 20))
    process.off('unhandledRejection', hear)
    expect(unhandled).toEqual([])
  })

  test('answers 404 no-route where nobody handles, and lets outer layers answer instead', async () => {
    const app = new App(quiet).use(async (context, next) => {
      context.response.headers.set('x-a', '1')
      await next()
      if (isUnrouted(context) && context.path === '/fallback') {
        context.response.reset()
        return 'fallback'
      }
    })
    const none = await app.invoke(at('/none'))
    expect([none.status, none.error?.code, none.headers.get('x-a'), none.type]).toEqual([404, 'no-route', '1', 'application/problem+json'])
    const fallback = await app.invoke(at('/fallback'))
    expect([fallback.status, (fallback as LinkAnswer).payload]).toEqual([200, 'fallback'])
  })

  test('answers 404 to GET and HEAD and 204 to the rest when a handler sets nothing', async () => {
    const app = new App(quiet).use(() => undefined)
    const statuses = await Promise.all(['GET', 'HEAD', 'PUT', 'DELETE', 'CONNECT'].map(async method => (await app.invoke(at('/', method))).status))
    expect(statuses).toEqual([404, 404, 204, 204, 204])
    expect((await app.invoke(at('/'))).error?.code).toBe('not-found')
  })

  test('leaks nothing of an unexpected error, and logs it once with its stack', async () => {
    const { lines, logger } = logging()
    const app = new App({ logger }).use(() => {
      throw new Error('password is 1234')
    })
    const answer = await app.invoke(at('/secret', 'PUT'))
    expect([answer.status, await answer.text()]).toEqual([
      500,
      '{"type":"about:blank","title":"Internal Server Error","status":500,"code":"internal-error"}'
    ])
    expect(lines).toHaveLength(1)
    expect(String(lines[0]?.[0])).toContain('PUT /secret IOPA/5.0')
    expect(lines[0]?.[1]).toMatchObject({ message: 'password is 1234' })
  })

  test('does not log what is the fault of the peer', async () => {
    const { lines, logger } = logging()
    await new App({ logger }).use(() => Promise.reject(new IopaError(422, 'x'))).invoke(at('/'))
    expect(lines).toEqual([])
  })

  test('answers 500 when a value has no form, or a callback throws while the answer is sealed', async () => {
    expect((await new App(quiet).use(() => () => 1).invoke(at('/'))).status).toBe(500)
    const app = new App(quiet).use(context => {
      context.onSendingHeaders(() => {
        throw new Error('x')
      })
      return 'x'
    })
    expect((await app.invoke(at('/'))).status).toBe(500)
  })

  test('takes objects, and classes that it constructs once with the app and options', async () => {
    let made = 0
    class Tag {
      readonly #name: string
      readonly app: App
      constructor(app: App, name: string) {
        made++
        this.app = app
        this.#name = name
      }
      async invoke(context: Context, next: Next): Promise<unknown> {
        const value = await next()
        context.response.headers.set('tag', this.#name)
        return value
      }
    }
    const app = new App(quiet)
      .use({ invoke: (_, next) => next() })
      .use(Tag, 'v1')
      .use(() => 'x')
    await app.invoke(at('/'))
    expect([(await app.invoke(at('/'))).headers.get('tag'), made]).toEqual(['v1', 1])
  })

  test('calls a function of one parameter, or of defaults, per request and never at use', async () => {
    let calls = 0
    const app = new App(quiet).use((context, _ = undefined as never) => (calls++, context.path))
    expect(calls).toBe(0)
    expect(((await app.invoke(at('/a'))) as LinkAnswer).payload).toBe('/a')
  })

  test.each([null, 1, 'x', {}, [], { run: () => 1 }])('refuses %j as middleware', value => {
    expect(() => new App(quiet).use(value as never)).toThrow(IopaError)
  })

  test('surfaces the error of a constructor unchanged', () => {
    class Broken {
      constructor() {
        throw new RangeError('mine')
      }
      invoke(): void {}
    }
    expect(() => new App(quiet).use(Broken)).toThrow(RangeError)
  })

  test('is fixed once it is built', async () => {
    const app = new App(quiet).use(() => 'x')
    await app.invoke(at('/'))
    for (const late of [
      () => app.use(() => 1),
      () => app.mount('/a', () => 1),
      () =>
        app.fork(
          () => true,
          () => 1
        )
    ])
      expect(late).toThrow(/after build/)
  })

  test('refuses an illegal path of a bag', async () => {
    await expect(new App(quiet).invoke(at('/a/../b'))).rejects.toMatchObject({ status: 400 })
  })

  test('ends the context of a bag at once, or when its streamed answer has been read', async () => {
    const ended: string[] = []
    const app = new App(quiet).use(context => {
      context.defer(reason => void ended.push(`${context.path} ${reason}`))
      return context.path === '/stream' ? new Set(['a', 'b']) : 'x'
    })
    await app.invoke(at('/plain'))
    const answer = await app.invoke(at('/stream'))
    expect([ended, app.live]).toEqual([['/plain finish'], 1])
    expect(await answer.text()).toBe('ab')
    expect([ended, app.live]).toEqual([['/plain finish', '/stream finish'], 0])
  })
})

describe('limits of work', () => {
  test('answer 504 after the request timeout, tell the handler, and ignore what comes later', async () => {
    const clock = virtualClock()
    const { lines, logger } = logging()
    const app = new App({ clock, logger, limits: { requestTimeout: 8000 } })
    let finish: (value: unknown) => void = () => undefined
    let reason: unknown
    app.use(context => {
      context.signal.addEventListener('abort', () => {
        reason = context.signal.reason.code
      })
      return new Promise(resolve => {
        finish = resolve
      })
    })
    const invoked = app.invoke(at('/slow'))
    await clock.advance(7900)
    expect(app.live).toBe(1)
    await clock.advance(1200)
    const answer = await invoked
    finish('late')
    await clock.advance(0)
    expect([answer.status, answer.error?.code, reason, app.live, lines.length]).toEqual([504, 'timeout', 'timeout', 0, 1])
    await clock.advance(60_000)
    expect(clock.pending).toBe(0)
    expect(await answer.text()).not.toContain('late')
  })

  test('call back once and count down once, also where the handler finishes or fails after its timeout', async () => {
    const clock = virtualClock()
    const { lines, logger } = logging()
    const app = new App({ clock, logger, limits: { requestTimeout: 1000, inFlight: 1 } })
    const handlers: ((settle: boolean) => void)[] = []
    app.use(() => new Promise((resolve, reject) => handlers.push(late => (late ? resolve('late') : reject(new Error('late'))))))
    const host = app.host()
    const bag = app.create(at('/'))
    const statuses: number[] = []
    for (const late of [true, false]) {
      const context = host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint: bag.endpoint, source: null })
      host.run(context, ({ response }) => {
        statuses.push(response.status)
        void context.end()
      })
      await clock.advance(2000)
      handlers.pop()?.(late)
      await clock.advance(0)
    }
    await host.idle()
    expect([statuses, lines.length]).toEqual([[504, 504], 2])
  })

  test('end a request as reset when its transport fails to send the answer, and say so', async () => {
    const { lines, logger } = logging()
    const app = new App({ logger }).use(() => 'x')
    const host = app.host()
    const context = host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint: app.create(at('/')).endpoint, source: null })
    host.run(context, () => {
      throw new Error('no such socket')
    })
    expect([context.ended, context.endReason, lines.length]).toEqual([true, 'reset', 1])
  })

  test('set no timer for synchronous requests, and none when nothing waits', async () => {
    const clock = virtualClock()
    const app = new App({ clock, logger: false }).use(context => (context.path === '/async' ? Promise.resolve('x') : 'x'))
    await app.invoke(at('/'))
    expect(clock.pending).toBe(0)
    await app.invoke(at('/async'))
    await clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })

  test('answer 503 beyond the requests that may be in work', async () => {
    let release: (value: unknown) => void = () => undefined
    const gate = new Promise(resolve => {
      release = resolve
    })
    const app = new App({ ...quiet, limits: { inFlight: 2 } }).use(() => gate)
    const waiting = [app.invoke(at('/1')), app.invoke(at('/2'))]
    const refused = await app.invoke(at('/3'))
    expect([refused.status, refused.error?.code, refused.headers.get('retry-after')]).toEqual([503, 'overloaded', '1'])
    release('x')
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200])
    expect((await app.invoke(at('/4'))).status).toBe(200)
  })

  test('refuse unknown names and values that are no positive number', () => {
    expect(() => new App({ limits: { bodyy: 1 } as never })).toThrow(/no limit 'bodyy'/)
    expect(() => new App({ limits: { body: 0 } })).toThrow(/positive/)
    expect(new App({ limits: { body: 5 } }).limits.body).toBe(5)
  })
})

describe('declarations', () => {
  const provides = defineMiddleware({ name: 'tenant', provides: ['acme.Tenant'] }, (context, next) => {
    context['acme.Tenant'] = 'a'
    return next()
  })
  const requires = defineMiddleware({ name: 'quota', requires: ['acme.Tenant'] }, (_, next) => next())

  test('fail at build with a sentence that says who must move where', () => {
    expect(() =>
      new App(quiet)
        .use(requires as never)
        .use(provides)
        .build()
    ).toThrow("'quota' requires 'acme.Tenant', which nothing before it provides: move 'tenant' before 'quota'.")
    expect(() => new App(quiet).use(requires as never).build()).toThrow(/add a middleware that provides it before 'quota'/)
    expect(() => new App(quiet).use(provides).use(requires).build()).not.toThrow()
  })

  test('fail where a key is provided after the routes that would need it', () => {
    const routes = { name: 'router', extend: () => ({}), routes: () => [], invoke: (_: unknown, next: Next) => next() }
    expect(() => new App(quiet).use(routes).use(provides).build()).toThrow(
      "'tenant' provides 'acme.Tenant' after 'router', whose routes would run without it: move 'tenant' before 'router'."
    )
    expect(() => new App(quiet).use(provides).use(routes).build()).not.toThrow()
  })

  test('hold for plain functions that carry them', () => {
    const plain = Object.assign((_: unknown, next: () => unknown) => next(), { requires: ['acme.Tenant'] })
    expect(() => new App(quiet).use(plain as never).build()).toThrow(/requires 'acme.Tenant'/)
  })

  test('are provided to what is mounted or forked', () => {
    const inner = new App(quiet).use(requires as never)
    expect(() => new App(quiet).use(provides).mount('/a', inner).build()).not.toThrow()
    expect(() => new App(quiet).mount('/a', new App(quiet).use(requires as never)).build()).toThrow(/quota/)
  })

  test('fail when two owners claim one namespace, naming both', () => {
    const one = defineMiddleware({ name: 'one', keys: defineKeys('acme', { owner: '@acme/one' }) }, (_, next) => next())
    const two = defineMiddleware({ name: 'two', keys: defineKeys('acme', { owner: '@other/two' }) }, (_, next) => next())
    expect(() => new App(quiet).use(one).use(two).build()).toThrow(/'@acme\/one' and '@other\/two' both claim namespace 'acme'/)
    expect(() => new App(quiet).use(one).use(one).build()).not.toThrow()
  })

  test('are checked against those of transports, too', () => {
    const transport = { ...memory(), keys: defineKeys('acme', { owner: '@acme/transport', keys: { Secret: { redact: true } } }) }
    const other = defineMiddleware({ name: 'other', keys: defineKeys('acme', { owner: '@other/two' }) }, (_, next) => next())
    expect(() => new App(quiet).use(transport).use(other).build()).toThrow(/both claim namespace 'acme'/)
    expect(String(new App(quiet).use(transport).explain())).toContain('acme.* of @acme/transport: Secret (redacted)')
  })

  test('cannot claim a reserved or malformed namespace', () => {
    for (const name of ['iopa', 'server', 'Acme', 'a b']) expect(() => defineKeys(name, { owner: 'x' })).toThrow(IopaError)
    expect(() => defineKeys('acme', { owner: 'x', keys: { lower: {} } })).toThrow(/PascalCase/)
  })
})

describe('mount and fork', () => {
  const show: MiddlewareFunction = context => `${context.pathBase}|${context.path}`

  test('move the prefix to PathBase for whole segments, the most specific first, and back', async () => {
    const outside: string[] = []
    const app = new App(quiet)
      .use(async (context, next) => {
        const value = await next()
        outside.push(`${context.pathBase}|${context.path}`)
        return value
      })
      .mount('/a', show)
      .mount('/a/b/', context => `deep ${context.path}`)
    const payloads = await Promise.all(['/a', '/a/', '/a/x', '/a/b/c', '/ab'].map(async path => ((await app.invoke(at(path))) as LinkAnswer).payload))
    expect(payloads.slice(0, 4)).toEqual(['/a|/', '/a|/', '/a|/x', 'deep /c'])
    expect(JSON.parse(payloads[4] as string).code).toBe('no-route')
    expect(outside).toEqual(['|/a', '|/a/', '|/a/x', '|/a/b/c', '|/ab'])
  })

  test('restore the path after an error, and while the rest of the outer pipeline runs', async () => {
    const seen: string[] = []
    const app = new App(quiet)
      .use(async (context, next) => {
        await next().catch(() => undefined)
        seen.push(context.path)
        return 'x'
      })
      .mount('/fail', () => {
        throw new Error()
      })
      .mount('/on', async (context, next) => {
        await next()
        seen.push(`after ${context.path}`)
      })
      .use(context => (seen.push(`rest ${context.path}`), 'rest'))
    await app.invoke(at('/fail/x'))
    await app.invoke(at('/on/x'))
    expect(seen).toEqual(['/fail/x', 'rest /on/x', 'after /x', '/on/x'])
  })

  test('run another app, whose unrouted requests go on, and whose notifications reach the outer observers', async () => {
    let state = 1
    const inner = new App(quiet).use((context, next) => (context.path === '/state' ? state : next()))
    const app = new App(quiet).mount('/in', inner).use(() => 'outer')
    expect(((await app.invoke(at('/in/state'))) as LinkAnswer).payload).toBe('1')
    expect(((await app.invoke(at('/in/none'))) as LinkAnswer).payload).toBe('outer')
    const seen: unknown[] = []
    const stop = new AbortController()
    const watching = (async () => {
      for await (const answer of app.observe('/in/state', { signal: stop.signal })) {
        seen.push((answer as LinkAnswer).payload)
        if (seen.length === 2) stop.abort()
        else {
          state = 2
          inner.notify('/state')
        }
      }
    })()
    await watching
    expect(seen).toEqual(['1', '2'])
  })

  test('fork exclusively, with the capabilities of the app', async () => {
    const app = new App(quiet)
      .fork(
        context => context.path === '/fork',
        branch => branch.use((context, next) => (context.method === 'PUT' ? next() : Object.keys(context['server.Capabilities'])))
      )
      .use(() => 'main')
    expect(((await app.invoke(at('/fork'))) as LinkAnswer).payload).toBe('["urn:io.iopa:app"]')
    expect((await app.invoke(at('/fork', 'PUT'))).error?.code).toBe('no-route')
    expect(((await app.invoke(at('/other'))) as LinkAnswer).payload).toBe('main')
  })
})

describe('two apps', () => {
  test('share no state, and leave the process alone', async () => {
    const events = process.eventNames().length
    const one = new App(quiet).use(() => 'one')
    const two = new App(quiet)
    expect(((await one.invoke(at('/'))) as LinkAnswer).payload).toBe('one')
    expect((await two.invoke(at('/'))).status).toBe(404)
    one.capabilities['urn:x'] = { a: 1 }
    expect(two.capabilities['urn:x']).toBeUndefined()
    expect(process.eventNames().length).toBe(events)
  })

  test('explain themselves', () => {
    const app = new App(quiet).use(
      defineMiddleware(
        { name: 'auth', provides: ['server.User'], keys: defineKeys('acme', { owner: '@acme/auth', keys: { Tenant: {} } }) },
        (_, next) => next()
      )
    )
    const text = String(app.explain())
    expect(text).toContain('auth provides server.User')
    expect(text).toContain('acme.* of @acme/auth: Tenant')
    expect(app.explain().limits.body).toBe(1024 * 1024)
  })

  test('take a prebuilt list of headers by reference', async () => {
    const pairs = ['etag', '"1"']
    const answer = await new App(quiet).use(context => ((context.response.headers = new HeaderMap(pairs)), 'x')).invoke(at('/'))
    expect((answer as LinkAnswer).headerPairs).toBe(pairs)
  })
})
