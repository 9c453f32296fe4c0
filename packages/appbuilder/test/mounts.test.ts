import { App, type Context, type MiddlewareFunction, type Transport } from '@iopa/appbuilder'
import type { AnswerRecord } from '@iopa/context/host'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import type { Endpoint, Host } from '@iopa/transport'
import { describe, expect, test } from 'vitest'

const quiet = { logger: false } as const
const localEndpoint: Endpoint = {
  scheme: 'wire',
  protocol: 'WIRE',
  remoteAddress: '127.0.0.1',
  remotePort: 1,
  localAddress: '127.0.0.1',
  localPort: 1,
  tls: false,
  sessionId: '',
  rawTransport: null,
  bodyLimit: 1000
}
const at = (path: string, method = 'GET') => ({ 'iopa.Path': path, 'iopa.Method': method })
const text = async (app: App, path: string, method = 'GET'): Promise<string> => (await app.invoke(at(path, method))).text()
const answering =
  (name: string): MiddlewareFunction =>
  () =>
    name
const passing =
  (log: string[], name: string): MiddlewareFunction =>
  (_, next) => {
    log.push(name)
    return next()
  }

/** The first `count` answers to an observation of `path`, as text; `change` runs after the first. */
const observed = async (app: App, path: string, count: number, change: () => unknown): Promise<string[]> => {
  const seen: string[] = []
  for await (const answer of app.observe(path)) {
    seen.push(await answer.text())
    if (seen.length === count) break
    await change()
  }
  return seen
}

test('a mounted handler that takes time is answered on the context that the transport has made', async () => {
  let host: Host | null = null
  const transport: Transport = {
    name: 'wire',
    schemes: ['wire'],
    listen: async given => {
      host = given
      return { url: new URL('wire://127.0.0.1'), close: async () => undefined }
    },
    open: () => Promise.reject(new Error('none'))
  }
  const slow = async () => {
    await null
    return 'slow'
  }
  const inner = new App(quiet).use((_, next) => next()).use(slow)
  await using app = new App(quiet)
    .use(transport)
    .mount('/app', inner)
    .mount('/deep', new App(quiet).mount('/er', new App(quiet).use(slow)))
    .mount('/f', slow)
    .use(new App(quiet).use(slow))
  await app.listen()
  for (const path of ['/app', '/deep/er', '/f', '/used']) {
    const { create, run } = host as unknown as Host
    const context = create.call(host, { method: 'GET', path, query: '', rawPath: path, endpoint: localEndpoint, source: null })
    const done = await new Promise<Pick<Context, 'response'>>(resolve => run.call(host, context, answered => resolve(answered as unknown as Context)))
    expect([path, done === context, (done.response as AnswerRecord).payload]).toEqual([path, true, 'slow'])
    await context.end()
  }
})

describe('the order of mounts', () => {
  test('a mount runs at its own place, so that what stands before it runs first', async () => {
    const log: string[] = []
    const app = new App(quiet).mount('/public', answering('public')).use(passing(log, 'middle')).mount('/private', answering('private'))
    expect([await text(app, '/public'), log]).toEqual(['public', []])
    expect([await text(app, '/private'), log]).toEqual(['private', ['middle']])
  })

  test('of neighbouring mounts the most specific one runs, and of one prefix each in use order', async () => {
    const log: string[] = []
    const app = new App(quiet)
      .mount('/', answering('root'))
      .mount('/a', passing(log, 'first'))
      .mount('/a/b', answering('deep'))
      .mount('/a', answering('second'))
    expect([await text(app, '/a/b/c'), await text(app, '/a/x'), await text(app, '/z')]).toEqual(['deep', 'second', 'root'])
    expect(log).toEqual(['first'])
  })

  test('use(app) runs it as one mounted at the root, and goes on with what it does not route', async () => {
    const inner = new App(quiet).use((context, next) => (context.path === '/in' ? `in ${context.pathBase}` : next()))
    const app = new App(quiet).use(inner).use(answering('outer'))
    expect([await text(app, '/in'), await text(app, '/x')]).toEqual(['in ', 'outer'])
  })

  test('an app of another copy of the package is recognised by its mark', async () => {
    const inner = new App(quiet).use(answering('inner'))
    // Another copy has another class, and the same mark.
    const foreign = Object.create(null, { [Symbol.for('iopa.App')]: { value: (inner as never)[Symbol.for('iopa.App')] } })
    const app = new App(quiet).mount('/m', foreign).use(foreign)
    expect([await text(app, '/m'), await text(app, '/x')]).toEqual(['inner', 'inner'])
  })
})

describe('what a mounted handler sees', () => {
  test('is its own path, also in body generators, disposers and callbacks, while the outer side sees its own', async () => {
    const inside: string[] = []
    const outside: string[] = []
    const show = (context: Context) => `${context.pathBase}|${context.path}|${context.segments.join('+')}`
    const inner = new App(quiet).use(async context => {
      context.defer(() => void inside.push(`defer ${show(context)}`))
      context.onSendingHeaders(() => void inside.push(`head ${show(context)}`))
      await Promise.resolve()
      return (async function* () {
        yield show(context)
        await Promise.resolve()
        yield ` ${show(context)}`
      })()
    })
    const app = new App(quiet)
      .use(async (context, next) => {
        context.defer(() => void outside.push(`defer ${show(context)}`))
        context.onSendingHeaders(() => void outside.push(`head ${show(context)}`))
        const value = next()
        // While the inner handler waits.
        outside.push(show(context))
        return await value
      })
      .mount('/a', new App(quiet).mount('/b', inner))
    expect(await text(app, '/a/b/c')).toBe('/a/b|/c|c /a/b|/c|c')
    expect(inside).toEqual(['head /a/b|/c|c', 'defer /a/b|/c|c'])
    expect(outside).toEqual(['|/a/b/c|a+b+c', 'head |/a/b/c|a+b+c', 'defer |/a/b/c|a+b+c'])
  })

  test('params and route leak neither in nor out', async () => {
    const seen: unknown[] = []
    const route =
      (name: string, params: Record<string, string>): MiddlewareFunction =>
      async (context, next) => {
        seen.push([name, context.route, { ...context.params }])
        context['iopa.Route'] = name
        context['iopa.Params'] = params
        const value = await next()
        seen.push([name, context.route, { ...context.params }])
        return value
      }
    const app = new App(quiet)
      .use(route('outer', { a: '1' }))
      .mount('/m', new App(quiet).use(route('inner', { b: '2' })))
      .use(route('rest', { c: '3' }))
      .use(answering('x'))
    await text(app, '/m/x')
    expect(seen).toEqual([
      ['outer', '', {}],
      ['inner', '', {}],
      ['rest', 'outer', { a: '1' }],
      ['rest', 'rest', { c: '3' }],
      ['inner', 'inner', { b: '2' }],
      ['outer', 'rest', { c: '3' }]
    ])
  })

  test('every other key is that of the context, in both directions, extension keys too', async () => {
    const seen: unknown[] = []
    const app = new App(quiet)
      .use(async (context, next) => {
        ;(context as never as Record<string, unknown>)['acme.A'] = 1
        const value = await next()
        seen.push((context as never as Record<string, unknown>)['acme.B'], context.user?.id, context.response.headers.get('x'))
        return value
      })
      .mount('/m', async context => {
        const bag = context as never as Record<string, unknown>
        seen.push(bag['acme.A'], bag['acme.None'], await context.text(), context.method, context.url)
        bag['acme.B'] = 2
        context.user = { id: 'ann' }
        context.response.headers.set('x', '1')
        return context.child('deep').path
      })
    const answer = await app.invoke({ ...at('/m/x', 'PUT'), 'iopa.Body': 'body', 'iopa.Host': 'h', 'iopa.Port': 1, 'iopa.Scheme': 'http' })
    expect(await answer.text()).toBe('/x/deep')
    expect(seen).toEqual([1, undefined, 'body', 'PUT', 'http://h:1/m/x', 2, 'ann', '1'])
  })

  test('its own logger, where the app was given one, also for the error that it throws', async () => {
    const lines: string[] = []
    const logger = (name: string) => {
      const log = (...data: unknown[]): void => void lines.push(`${name} ${String(data[0])}`)
      return { error: log, warn: log, info: log, debug: log }
    }
    const inner = new App({ logger: logger('inner') }).use(context => {
      context.logger.info('hello')
      throw new Error('broken')
    })
    const app = new App({ logger: logger('outer') }).mount('/m', inner).use(context => {
      context.logger.info('rest')
      return 'x'
    })
    await text(app, '/m')
    await text(app, '/x')
    expect(lines).toEqual(['inner hello', expect.stringMatching(/^inner iopa: GET \/m\/? .*answered 500/), 'outer rest'])
  })
})

describe('what a mounted app cannot have for itself', () => {
  test.each([
    ['limits', new App({ ...quiet, limits: { body: 10 } }), /mount\('\/m'\) has the limit 'body' of 10/],
    ['codecs', new App({ ...quiet, codecs: [{ mediaType: 'a/b', encode: String, decode: String }] }), /a codec for a\/b/],
    [
      'transports',
      new App(quiet).use({ name: 'wire', schemes: ['wire'], listen: async () => ({}), open: async () => ({}) } as never),
      /the transport 'wire'/
    ]
  ])('%s are refused at build', (_, inner, sentence) => {
    const app = new App(quiet).mount('/m', inner)
    expect(() => app.build()).toThrow(sentence)
  })

  test('limits and codecs that the app around has as well are accepted', () => {
    const codec = { mediaType: 'a/b', encode: String, decode: String }
    const options = { ...quiet, limits: { body: 10 }, codecs: [codec] }
    expect(() => new App(options).mount('/m', new App(options)).build()).not.toThrow()
  })

  test('a cycle of mounts is refused at build', () => {
    const a = new App(quiet)
    const b = new App(quiet).mount('/a', a)
    a.mount('/b', b)
    expect(() => a.build()).toThrow(/mounted within itself/)
    expect(() => a.explain()).toThrow(/mounted within itself/)
    const self = new App(quiet)
    expect(() => self.use(self).build()).toThrow(/mounted within itself/)
  })

  test('capabilities and dispatch layers are not lost', () => {
    const inner = new App(quiet)
    inner.capabilities['urn:acme:x'] = { a: 1 }
    expect(new App(quiet).mount('/m', inner).capabilities['urn:acme:x']).toEqual({ a: 1 })
  })
})

describe('extension keys in a mounted handler', () => {
  test('are there for in and Object.keys, on both sides of each mount', async () => {
    const seen: unknown[] = []
    const look = (context: Context): void => {
      const names = Object.keys(context).filter(name => name.startsWith('acme.'))
      seen.push([names.sort(), names.every(name => name in context), 'acme.none' in context, 'iopa.Method' in context])
    }
    const set = (context: Context, name: string): void => {
      ;(context as unknown as Record<string, unknown>)[name] = name
    }
    const app = new App(quiet)
      .use(async (context, next) => {
        set(context, 'acme.a')
        await next()
        look(context)
      })
      .mount(
        '/m',
        new App(quiet)
          .use(async (context, next) => {
            look(context)
            set(context, 'acme.b')
            await next()
            look(context)
          })
          .mount('/n', context => {
            set(context, 'acme.c')
            look(context)
            return (context as unknown as Record<string, unknown>)['acme.a']
          })
      )
    expect(await (await app.invoke(at('/m/n'))).text()).toBe('acme.a')
    const all = ['acme.a', 'acme.b', 'acme.c']
    expect(seen).toEqual([['acme.a'], all, all, all].map(names => [names, true, false, true]))
  })
})

describe('changes across mounts', () => {
  const town = () => {
    let value = 0
    const inner = new App(quiet).use((context, next) => {
      if (context.path !== '/x') return next()
      if (context.method === 'PUT') value++
      if (context.method === 'POST') {
        value++
        // Only this tells: the answer is no success.
        context.notify('/x')
        context.response.status = 302
        return undefined
      }
      return `${value}`
    })
    const app = new App(quiet).mount('/api', new App(quiet).mount('/v1', inner))
    return { app, inner, add: () => value++ }
  }

  test('reach the observers at every place where the app is mounted', async () => {
    let value = 0
    const inner = new App(quiet).use(context => (context.method === 'PUT' ? void value++ : `${value}`))
    const app = new App(quiet)
      .mount('/a', inner)
      .mount(
        '/b',
        new App(quiet).fork(
          () => true,
          branch => branch.mount('/c', inner)
        )
      )
      .use(new App(quiet).mount('/d', inner))
    for (const [seen, changed] of [
      ['/a/x', '/b/c/x'],
      ['/b/c/x', '/d/x'],
      ['/d/x', '/a/x']
    ] as const) {
      const before = String(value)
      expect(await observed(app, seen, 2, () => app.invoke(at(changed, 'PUT'))), `${changed} to ${seen}`).toEqual([before, String(value)])
    }
    const before = String(value)
    expect(await observed(app, '/b/c/x', 2, () => inner.invoke(at('/x', 'PUT')))).toEqual([before, String(value)])
  })

  test('named with a bad path are an error of the app', async () => {
    const inner = new App(quiet).use(context => context.notify('lights'))
    expect((await new App(quiet).mount('/a', inner).invoke(at('/a/x'))).status).toBe(500)
  })

  test.each(['/api/v1/x', '/x'])('reach an observer of %s, wherever they are made', async path => {
    const ways: ((world: ReturnType<typeof town>) => unknown)[] = [
      ({ inner, add }) => (add(), inner.notify('/x')),
      ({ app, add }) => (add(), app.notify('/api/v1/x')),
      ({ app }) => app.invoke(at('/api/v1/x', 'PUT')),
      ({ inner }) => inner.invoke(at('/x', 'PUT')),
      ({ app }) => app.invoke(at('/api/v1/x', 'POST')),
      ({ inner }) => inner.invoke(at('/x', 'POST'))
    ]
    for (const [index, change] of ways.entries()) {
      const world = town()
      const app = path === '/x' ? world.inner : world.app
      expect(await observed(app, path, 2, () => change(world)), `way ${index}`).toEqual(['0', '1'])
      await world.app.close()
    }
  })

  test('the root of a mount is the path of the mount', async () => {
    let value = 0
    const inner = new App(quiet).use(context => (context.method === 'PUT' ? `${++value}` : `${value}`))
    const app = new App(quiet).mount('/api', inner)
    expect(await observed(app, '/api', 2, () => (value++, inner.notify('/')))).toEqual(['0', '1'])
    await app.close()
  })
})

describe('a run through mounts', () => {
  const later = async (value: unknown): Promise<unknown> => {
    await null
    return value
  }
  test.each<[string, (app: App) => App]>([
    ['an asynchronous handler', app => app.mount('/a', () => later('x'))],
    [
      'an app with an asynchronous handler',
      app =>
        app.mount(
          '/a',
          new App(quiet).use(() => later('x'))
        )
    ],
    [
      'asynchronous middleware in it',
      app =>
        app.mount(
          '/a',
          new App(quiet).use(async (_, next) => await next()).use(() => later('x'))
        )
    ],
    [
      'an app in a branch in an app',
      app =>
        app.use(
          new App(quiet).fork(
            () => true,
            branch =>
              branch.mount(
                '/a',
                new App(quiet).use(() => later('x'))
              )
          )
        )
    ],
    [
      'a handler that fails',
      app =>
        app.mount(
          '/a',
          new App(quiet).use((_, next) => next()).use(() => Promise.reject(new Error('no')))
        )
    ],
    [
      'a change with a precondition',
      app => {
        const inner = new App(quiet).use(router())
        inner.get('/a/x', () => 'x').put('/a/x', () => undefined)
        return app.use(inner)
      }
    ]
  ])('hands its own context to the transport: %s', async (_, build) => {
    const app = build(new App(quiet))
    const host = app.host()
    const context = app.create({ ...at('/a/x', 'PUT'), 'iopa.Headers': { 'if-match': '*' } })
    expect(await new Promise(resolve => host.run(context, resolve))).toBe(context)
    await context.end()
    await app.close()
  })
})

describe('a closed app', () => {
  test('answers 503 to every request of its own, and runs no handler', async () => {
    let runs = 0
    const app = new App(quiet).use(() => `${++runs}`)
    const pipeline = app.build()
    const host = app.host()
    await app.close()
    const answer = await app.invoke(at('/'))
    expect([answer.status, answer.error?.code, answer.ok]).toEqual([503, 'shutdown', false])
    await expect(
      (async () => {
        for await (const _ of app.observe('/')) break
      })()
    ).rejects.toMatchObject({ status: 503 })
    const context = app.create(at('/'))
    await host.invoke(context)
    expect(context.response.status).toBe(503)
    await expect(pipeline(app.create(at('/')))).rejects.toMatchObject({ status: 503 })
    await expect(app.connect('memory://app')).rejects.toMatchObject({ code: 'app-closed' })
    await expect(app.listen()).rejects.toMatchObject({ code: 'app-closed' })
    expect([runs, app.live]).toEqual([0, 0])
  })

  test('still serves the requests that work in progress makes', async () => {
    const clock = virtualClock()
    const app = new App({ ...quiet, clock }).use(context => (context.path === '/b' ? 'b' : 'a'))
    const closing = app.close()
    expect((await app.invoke(at('/'))).status).toBeOneOf([200, 503])
    await closing
  })

  test('ends the contexts of the apps within, and a closed app within answers 503', async () => {
    const inner = new App(quiet).use(answering('x'))
    const app = new App(quiet).mount('/m', inner).use(answering('rest'))
    const context = inner.create(at('/'))
    await app.close()
    expect([context.ended, context.endReason, inner.live, (await inner.invoke(at('/'))).status]).toEqual([true, 'shutdown', 0, 503])

    const alone = new App(quiet).use(answering('x'))
    const around = new App(quiet).mount('/m', alone).use(answering('rest'))
    await alone.close()
    expect([(await around.invoke(at('/m'))).status, await text(around, '/y')]).toEqual([503, 'rest'])
  })

  test('within two apps ends with the last of them', async () => {
    const inner = new App(quiet).use(answering('x'))
    const one = new App(quiet).mount('/m', inner)
    const two = new App(quiet).mount('/n', inner)
    await one.close()
    expect(await text(two, '/n')).toBe('x')
    await two.close()
    expect((await inner.invoke(at('/'))).status).toBe(503)
  })
})
