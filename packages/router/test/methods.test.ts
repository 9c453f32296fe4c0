import { App, type Context, IopaError, type MiddlewareFunction, type Next, type ReceivedAnswer } from '@iopa/appbuilder'
import { isUnrouted } from '@iopa/appbuilder/extension'
import type { LinkAnswer } from '@iopa/context'
import { describe, expect, test } from 'vitest'
import { router } from '../src/index.ts'

const appWith = () => new App({ logger: false }).use(router())
const send = (app: App, method: string, path: string): Promise<ReceivedAnswer> => app.invoke({ 'iopa.Method': method, 'iopa.Path': path })
const verdict = async (app: App, method: string, path: string) => {
  const answer = await send(app, method, path)
  return [answer.status, answer.headers.get('allow')]
}

describe('HEAD', () => {
  test('is answered by the GET route at once, also before a later catch-all', async () => {
    const app = appWith()
      .get('/x', context => `got ${context.method} ${context.route}`)
      .use(context => (context.method === 'GET' ? 'fallback' : new IopaError(404, 'not-here')))
    expect([(await send(app, 'HEAD', '/x')).status, await (await send(app, 'HEAD', '/x')).text()]).toEqual([200, 'got HEAD /x'])
    expect((await send(app, 'HEAD', '/y')).status).toBe(404)
  })

  test('follows the most specific pattern of GET before a route for every method', async () => {
    const app = appWith()
      .all('/a/*', () => 'all')
      .get('/a/:id', () => 'get')
      .head('/a/1', () => 'head')
    expect(await (await send(app, 'HEAD', '/a/2')).text()).toBe('get')
    expect(await (await send(app, 'HEAD', '/a/1')).text()).toBe('head')
    expect(await (await send(app, 'HEAD', '/a/b/c')).text()).toBe('all')
  })

  test('passes a mount that has the path only for other methods', async () => {
    const inner = appWith().put('/x', () => 'put')
    const app = new App({ logger: false })
      .mount('/m', inner)
      .use(router())
      .get('/m/x', () => 'get')
    expect([(await send(app, 'HEAD', '/m/x')).status, (await send(app, 'GET', '/m/x')).status]).toEqual([200, 200])
    expect(await verdict(app, 'DELETE', '/m/x')).toEqual([405, 'GET, HEAD, OPTIONS, PUT'])
  })
})

describe('a route with its own guard', () => {
  const guard = {
    provides: ['server.User'] as const,
    invoke: (context: Context, next: Next) => {
      if (context.headers.get('authorization') === undefined) throw new IopaError(401, 'unauthorized')
      context.user = { id: 'ann' }
      return next()
    }
  }
  const guarded = () =>
    appWith()
      .get('/open', () => 'x')
      .put('/open', guard, () => 'put')
      .put('/hidden', guard, () => 'put')

  test('is hidden from 405 and OPTIONS without a user', async () => {
    const app = guarded()
    expect(await verdict(app, 'DELETE', '/open')).toEqual([405, 'GET, HEAD, OPTIONS'])
    expect(await verdict(app, 'OPTIONS', '/open')).toEqual([204, 'GET, HEAD, OPTIONS'])
    // The path is taken all the same: over MQTT it is not a public topic.
    expect(await verdict(app, 'DELETE', '/hidden')).toEqual([405, 'OPTIONS'])
    expect(await verdict(app, 'OPTIONS', '/hidden')).toEqual([204, 'OPTIONS'])
    expect((await send(app, 'PUT', '/hidden')).status).toBe(401)
  })

  test('is shown to a user', async () => {
    const app = new App({ logger: false }).use((context, next) => ((context.user = { id: 'ann' }), next())).mount('/m', guarded())
    expect(await verdict(app, 'DELETE', '/m/open')).toEqual([405, 'GET, HEAD, OPTIONS, PUT'])
    expect(await verdict(app, 'OPTIONS', '/m/hidden')).toEqual([204, 'OPTIONS, PUT'])
  })
})

describe('a method without a route', () => {
  const inner = () => appWith().put('/x', () => 'put')

  test('is answered by later middleware', async () => {
    const proxy: MiddlewareFunction = context => `proxied ${context.method}`
    const app = appWith()
      .get('/x', () => 'get')
      .use(proxy)
    expect(await (await send(app, 'POST', '/x')).text()).toBe('proxied POST')
    const cors: MiddlewareFunction = (context, next) => {
      if (context.method !== 'OPTIONS') return next()
      context.response.status = 204
      context.response.headers.set('access-control-allow-origin', '*')
      return undefined
    }
    const preflight = await send(
      appWith()
        .get('/x', () => 'get')
        .use(cors),
      'OPTIONS',
      '/x'
    )
    expect([preflight.status, preflight.headers.get('allow'), preflight.headers.get('access-control-allow-origin')]).toEqual([204, undefined, '*'])
  })

  test('gets 405 with the methods of every router and mount on the way', async () => {
    const app = new App({ logger: false })
      .mount('/m', inner())
      .use(appWith().patch('/m/x', () => 'patch'))
      .use(router())
      .get('/m/x', () => 'get')
    expect(await verdict(app, 'POST', '/m/x')).toEqual([405, 'GET, HEAD, OPTIONS, PATCH, PUT'])
    expect(await verdict(app, 'OPTIONS', '/m/x')).toEqual([204, 'GET, HEAD, OPTIONS, PATCH, PUT'])
    expect((await send(app, 'POST', '/m/y')).error?.code).toBe('no-route')
  })

  test('gets 405 without methods that a guard hides', async () => {
    const app = appWith()
      .get('/x', () => 'get')
      .use(() => {
        throw new IopaError(401, 'who-is-it')
      })
      .mount('/', inner())
    expect(await verdict(app, 'DELETE', '/x')).toEqual([401, undefined])
  })

  test('gets no-route for a control method; 405 is not no-route', async () => {
    const seen: boolean[] = []
    const app = new App({ logger: false })
      .use(async (context, next) => {
        const value = await next()
        seen.push(isUnrouted(context))
        return value
      })
      .use(router())
      .get('/x', () => 'get')
    expect((await send(app, 'SUBSCRIBE', '/x')).error?.code).toBe('no-route')
    expect((await send(app, 'PUT', '/x')).error?.code).toBe('method-not-allowed')
    expect(seen).toEqual([true, false])
  })

  test('does not affect another path or another run', async () => {
    const rewriting = appWith()
      .get('/x', () => 'get')
      .use((context, next) => {
        context.path = '/y'
        return next()
      })
    expect((await send(rewriting, 'PUT', '/x')).error?.code).toBe('no-route')
  })

  test('stays synchronous', () => {
    const app = appWith().get('/x', () => 'get')
    const context = app.create({ 'iopa.Method': 'PUT', 'iopa.Path': '/x' })
    let done = false
    app.host().run(context, () => {
      done = true
    })
    expect([done, context.response.status]).toEqual([true, 405])
  })
})

describe('middleware of a route', () => {
  const log: string[] = []
  const guard: MiddlewareFunction = (context, next) => {
    log.push(`guard ${context.route}`)
    if (context.headers.get('authorization') === undefined) throw new IopaError(401, 'who-is-it')
    return next()
  }
  const tag = { invoke: async (_: Parameters<MiddlewareFunction>[0], next: () => Promise<unknown>) => `<${String(await next())}>` }

  test.each<[string, (app: ReturnType<typeof appWith>) => App]>([
    ['a function', app => app.get('/s', guard, () => 'secret')],
    ['an array', app => app.get('/s', [guard], () => 'secret')],
    ['arrays in arrays', app => app.get('/s', [[guard]], () => 'secret')],
    ['an object', app => app.get('/s', { invoke: guard }, () => 'secret')],
    ['attributes and a function', app => app.get('/s', { rt: 'x' }, guard, () => 'secret')],
    ['attributes and an array', app => app.get('/s', { rt: 'x' }, [guard], () => 'secret')],
    ['on()', app => app.on('GET', '/s', guard, () => 'secret')],
    ['on() with attributes', app => app.on('GET', '/s', { rt: 'x' }, [guard], () => 'secret')],
    ['all()', app => app.all('/s', guard, () => 'secret')],
    ['a group', app => app.group('/g', group => group.get('/s', [guard], () => 'secret'))]
  ])('runs before the handler: %s', async (name, add) => {
    const app = add(appWith())
    const path = name === 'a group' ? '/g/s' : '/s'
    log.length = 0
    for (const method of ['GET', 'HEAD']) expect([(await send(app, method, path)).status, method]).toEqual([401, method])
    const allowed = await app.invoke({ 'iopa.Path': path, 'iopa.Headers': { authorization: 'x' } })
    expect([await allowed.text(), log]).toEqual(['secret', Array(3).fill(`guard ${path}`)])
    expect([...app.routes()]).toHaveLength(1)
  })

  test('runs in order, may change the answer, and stays synchronous', async () => {
    const order: string[] = []
    const step =
      (name: string): MiddlewareFunction =>
      (_, next) => {
        order.push(name)
        return next()
      }
    const app = appWith().get('/a', step('1'), [step('2'), step('3')], tag, () => 'x')
    expect([await (await send(app, 'GET', '/a')).text(), order]).toEqual(['<x>', ['1', '2', '3']])
    const plain = appWith().get('/a', step('1'), () => 'x')
    const context = plain.create({ 'iopa.Path': '/a' })
    let done = false
    plain.host().run(context, () => {
      done = true
    })
    expect(done).toBe(true)
  })

  test('lets the handler call the rest of the pipeline', async () => {
    const app = appWith()
      .get(
        '/a',
        (_, next) => next(),
        (_, next) => next()
      )
      .use(context => `rest ${context.route}`)
    expect(await (await send(app, 'GET', '/a')).text()).toBe('rest /a')
  })

  test.each<[string, readonly unknown[]]>([
    ['no handler', []],
    ['attributes only', [{ rt: 'x' }]],
    ['a text', ['secret']],
    ['an array last', [[() => 'secret']]],
    ['attributes behind a function', [() => 'guard', { rt: 'x' }, () => 'secret']],
    ['attributes last', [() => 'secret', { rt: 'x' }]],
    ['nothing where middleware stands', [undefined, () => 'secret']],
    ['null', [null, () => 'secret']],
    ['a promise', [Promise.resolve(() => 'guard'), () => 'secret']],
    ['a wrong member of an array', [[() => 'guard', 'x'], () => 'secret']]
  ])('is refused as %s, with the line of the call', (_, rest) => {
    const app = appWith()
    expect(() => (app.get as (...values: unknown[]) => unknown)('/s', ...rest)).toThrow(/needs a handler.*\(.*methods\.test\.ts:\d+\)$/)
    expect([...app.routes()]).toEqual([])
  })

  test('group() and router() refuse surplus and wrong arguments', () => {
    const app = appWith()
    expect(() => (app.group as (...values: unknown[]) => unknown)('/g')).toThrow(/one function/)
    expect(() =>
      (app.group as (...values: unknown[]) => unknown)(
        '/g',
        () => 1,
        () => 1
      )
    ).toThrow(/one function.*methods\.test\.ts/)
    expect(() => app.group('/g', async () => undefined)).toThrow(/make it synchronous/)
    expect(() => router({ trailingSlashes: 'ignore' } as never)).toThrow(/router\(\) has no option 'trailingSlashes'; it has trailingSlash/)
    expect(() => new App({ logger: false }).use(router as never)).toThrow(/as in router\(\)/)
  })
})

describe('the resource path of an answer', () => {
  test('is the same with or without slash and mount', async () => {
    const inner = new App({ logger: false }).use(router({ trailingSlash: 'ignore' }))
    inner.get('/', () => 'root').get('/a', () => 'a')
    const app = new App({ logger: false }).mount('/m', inner)
    const resource = async (path: string) => ((await send(app, 'GET', path)) as LinkAnswer).resource
    expect([await resource('/m'), await resource('/m/'), await resource('/m/a'), await resource('/m/a/')]).toEqual(['/m', '/m', '/m/a', '/m/a'])
    const root = new App({ logger: false }).use(router({ trailingSlash: 'ignore' })).get('/', () => 'x')
    expect(((await send(root, 'GET', '/')) as LinkAnswer).resource).toBe('/')
    expect(
      (
        (await send(
          appWith().get('/a/', () => 'x'),
          'GET',
          '/a/'
        )) as LinkAnswer
      ).resource
    ).toBe('/a/')
  })
})
