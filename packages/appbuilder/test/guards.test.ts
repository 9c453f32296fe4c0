import { App, type Context, defineMiddleware, IopaError, type MiddlewareFunction } from '@iopa/appbuilder'
import { parsePattern, type RouteInfo } from '@iopa/appbuilder/extension'
import { describe, expect, test } from 'vitest'

const quiet = { logger: false } as const
const at = (path: string) => ({ 'iopa.Path': path, 'iopa.Method': 'GET' })
const guard = (name = 'auth') =>
  defineMiddleware({ name, provides: ['server.User'] }, (context, next) => {
    if (context.user === undefined) throw new IopaError(401, 'who-is-it')
    return next()
  })
const answering: MiddlewareFunction = context => `at ${context.pathBase}${context.path}`

type Segments = RouteInfo['segments']
const literal = (path: string): Segments =>
  path
    .slice(1)
    .split('/')
    .map(value => ({ kind: 'static', value }))
/** A stand-in for a router: routes that match everything, with these patterns. */
const routes = (...patterns: readonly (string | readonly [string, Segments])[]) => ({
  name: 'router',
  extend: () => ({}),
  invoke: answering,
  routes: (): RouteInfo[] =>
    patterns.map(item => {
      const [pattern, segments] = typeof item === 'string' ? [item, literal(item)] : item
      return { method: 'GET', pattern, segments, attributes: {} }
    })
})
const warnings = () => {
  const lines: string[] = []
  return { lines, logger: { error: () => undefined, warn: (line: string) => void lines.push(line), info: () => undefined, debug: () => undefined } }
}

describe('a guard of every path', () => {
  test('covers what stands behind it and nothing before it, and the app says so once', async () => {
    const { lines, logger } = warnings()
    const app = new App({ logger }).mount('/public', answering).use(guard()).mount('/admin', answering)
    expect([(await app.invoke(at('/admin'))).status, (await app.invoke(at('/public'))).status]).toEqual([401, 200])
    app.build()
    expect(lines).toEqual(["iopa: 'auth' does not cover mount('/public'), which stands before it."])
    expect(app.explain().open).toEqual(["'auth' does not cover mount('/public'), which stands before it."])
    expect(String(app.explain())).toContain("'auth' does not cover mount('/public')")
  })

  test('says nothing where it stands before everything, or another guard covers the rest', () => {
    const { lines, logger } = warnings()
    new App({ logger }).use(guard()).use(routes('/a')).mount('/b', answering).build()
    new App({ logger }).mount('/b', guard('b')).mount('/b', answering).use(guard()).build()
    expect(lines).toEqual([])
  })

  test('names routes, forks, apps and files that stand before it', () => {
    const { lines, logger } = warnings()
    const files = Object.assign((_: unknown, next: () => unknown) => next(), { answers: true })
    new App({ logger })
      .use(files)
      .fork(
        () => false,
        branch => branch.use(routes('/f'))
      )
      .use(new App(quiet).use(routes('/r')))
      .mount('/m', new App(quiet).use(routes('/a', '/b')))
      .use(guard())
      .build()
    expect(lines).toEqual(["iopa: 'auth' does not cover 'middleware 1', GET /f, GET /r, GET /m/a, GET /m/b, which stand before it."])
  })
})

describe('a guard of a path', () => {
  test.each<[string, (app: App) => App]>([
    ['a mount below', app => app.mount('/admin/users', answering).mount('/admin', guard())],
    ['a mount at the path', app => app.mount('/admin', answering).mount('/admin', guard())],
    [
      'a mount before other middleware',
      app =>
        app
          .mount('/admin/x', answering)
          .use((_, next) => next())
          .mount('/admin', guard())
    ],
    ['a route below', app => app.use(routes('/admin/users')).mount('/admin', guard())],
    ['a route with a parameter', app => app.use(routes(['/:any', [{ kind: 'param', name: 'any' }]])).mount('/admin', guard())],
    ['a route with text beside a parameter', app => app.use(routes(['/ad{x}n/y', parsePattern('/ad{x}n/y').segments])).mount('/admin', guard())],
    ['a route that takes all', app => app.use(routes(['/*', [{ kind: 'tail', name: '*' }]])).mount('/admin', guard())],
    [
      'a route with an optional segment',
      app => app.use(routes(['/:l?/admin', [{ kind: 'param', name: 'l', optional: true }, ...literal('/admin')]])).mount('/admin', guard())
    ],
    ['a route of a used app', app => app.use(new App(quiet).use(routes('/admin/x'))).mount('/admin', guard())],
    [
      'a route of a branch',
      app =>
        app
          .fork(
            () => true,
            branch => branch.use(routes('/admin/x'))
          )
          .mount('/admin', guard())
    ],
    ['a route of a mounted app', app => app.mount('/', new App(quiet).use(routes('/admin/x'))).mount('/admin', guard())],
    ['a guard in a mounted app', app => app.use(routes('/admin/x')).mount('/admin', new App(quiet).use(guard()).use(answering))],
    ['a guard in a mounted app beside a more specific mount', app => app.mount('/admin', new App(quiet).use(guard())).mount('/admin/x', answering)]
  ])('is refused behind %s', (_, build) => {
    expect(() => build(new App(quiet)).build()).toThrow(/guards \/admin, but .* stands before it and answers without it: move the guard before it/)
  })

  test.each<[string, (app: App) => App]>([
    ['a route elsewhere', app => app.use(routes('/administration', '/a/admin')).mount('/admin', guard())],
    ['a parameter that cannot be the path', app => app.use(routes(['/:n', parsePattern('/{n:[0-9]+}').segments])).mount('/admin', guard())],
    [
      'text beside a parameter that cannot be the path',
      app => app.use(routes(['/x{n}', parsePattern('/x{n}').segments], ['/{n}x', parsePattern('/{n}x').segments])).mount('/admin', guard())
    ],
    ['a mount elsewhere', app => app.mount('/public', answering).mount('/admin', guard())],
    [
      'an app with a guard of its own',
      app => app.mount('/admin/x', new App(quiet).use(guard()).use(answering)).mount('/admin', new App(quiet).use(guard()))
    ]
  ])('is accepted behind %s', (_, build) => {
    expect(() => build(new App(quiet)).build()).not.toThrow()
  })

  test('runs before a more specific neighbour that stands behind it', async () => {
    const app = new App(quiet).mount('/admin', guard()).mount('/admin/users', answering)
    expect((await app.invoke(at('/admin/users'))).status).toBe(401)
  })

  test('a mounted middleware without declarations that a neighbour overtakes is named', () => {
    const { lines, logger } = warnings()
    new App({ logger })
      .mount('/admin', (_, next) => next())
      .mount('/admin/users', answering)
      .build()
    expect(lines).toEqual([expect.stringContaining("mount('/admin') does not run for mount('/admin/users'), which is more specific")])
  })

  test('provides its key to what is mounted at or below its path, and to nothing else', () => {
    const needy = defineMiddleware({ name: 'needy', requires: ['server.User'] }, (_, next) => next())
    expect(() =>
      new App(quiet)
        .mount('/a', guard())
        .mount('/a/b', needy as never)
        .build()
    ).not.toThrow()
    expect(() =>
      new App(quiet)
        .mount('/a', guard())
        .mount('/ab', needy as never)
        .build()
    ).toThrow(/requires 'server.User'/)
    expect(() =>
      new App(quiet)
        .mount('/a', needy as never)
        .mount('/a', guard())
        .build()
    ).toThrow(/requires 'server.User'/)
    expect(() =>
      new App(quiet)
        .mount('/a', new App(quiet).use(needy as never))
        .use(guard())
        .build()
    ).toThrow(/requires 'server.User'/)
    expect(() =>
      new App(quiet)
        .use(new App(quiet).use(guard()))
        .use(needy as never)
        .build()
    ).not.toThrow()
  })
})

describe('the check of public addresses', () => {
  const protects = (app: App): string => {
    try {
      app.host('wire').assertProtected('0.0.0.0', undefined)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }

  test('counts a guard that stands before everything', () => {
    expect(protects(new App(quiet).use(guard()).use(routes('/a')).mount('/b', answering))).toBe('')
    expect(
      protects(
        new App(quiet)
          .use((_, next) => next())
          .use(new App(quiet).use(guard()))
          .use(routes('/a'))
      )
    ).toBe('')
    expect(protects(new App(quiet).mount('/b', new App(quiet).use(guard()).use(answering)).use(guard()))).toBe('')
  })

  test.each<[string, (app: App) => App, RegExp]>([
    ['nothing', app => app.use(answering), /the paths without a route/],
    ['a mount before the guard', app => app.mount('/public', answering).use(guard()), /mount\('\/public'\)/],
    ['a guard of one path only', app => app.mount('/admin', guard()).mount('/admin', answering), /the paths without a route/],
    [
      'a branch without a guard',
      app =>
        app
          .fork(
            () => true,
            () => undefined
          )
          .use(guard()),
      /the paths without a route/
    ],
    ['a route of a used app', app => app.use(new App(quiet).use(routes('/r'))).use(guard()), /GET \/r/]
  ])('refuses %s, and names what is open', (_, build, open) => {
    const message = protects(build(new App(quiet)))
    expect(message).toMatch(open)
    expect(message).toContain('allowUnauthenticated: true')
  })
})

describe('listings', () => {
  const app = new App(quiet)
    .use(routes('/open'))
    .mount('/admin', guard())
    .mount('/admin', new App(quiet).use(routes('/users')))
    .mount('/own', new App(quiet).use(guard()).use(routes('/x')))
  const listed = (as?: ReturnType<App['create']>): string[] => Array.from(app.host().routes(as), ({ pattern }) => pattern).sort()

  test('show everything to the app itself and to a user, and without a user nothing behind a guard', () => {
    expect(listed()).toEqual(['/admin/users', '/open', '/own/x'])
    const nobody = app.create(at('/'))
    expect(listed(nobody)).toEqual(['/open'])
    nobody.user = { id: 'ann' }
    expect(listed(nobody)).toEqual(['/admin/users', '/open', '/own/x'])
    expect(Array.from(app.routes(), ({ pattern }) => pattern)).toHaveLength(3)
  })

  test('show what an unbound guard has let pass', async () => {
    const lenient = defineMiddleware({ name: 'lenient', provides: ['server.User'] }, (_, next) => next())
    const house = new App(quiet).use(lenient).use({ ...routes('/a'), invoke: (_: unknown, next: () => unknown) => next() })
    const context = house.create(at('/.well-known/core'))
    expect([...house.host().routes(context)]).toEqual([])
    await house.invoke(context)
    expect(Array.from(house.host().routes(context), ({ pattern }) => pattern)).toEqual(['/a'])
  })
})

describe('what a guard hides', () => {
  const user = (context: Context): string => context.headers.get('x-user') ?? ''
  const asking = () =>
    defineMiddleware({ name: 'auth', provides: ['server.User'] }, (context: Context, next) => {
      if (user(context) === '') throw new IopaError(401, 'who-is-it')
      return next()
    })
  const stripping: MiddlewareFunction = (context, next) => {
    if (context.path.startsWith('/v1')) context.path = context.path.slice(3)
    return next()
  }
  const listed = async (app: App): Promise<string[]> => {
    const host = app.host()
    const context = app.create(at('/.well-known/core'))
    await host.invoke(context)
    const patterns = Array.from(host.routes(context), ({ pattern }) => pattern)
    await context.end()
    return patterns
  }
  const inside = (...paths: string[]): App => new App().use(routes(...paths))

  test.each<[string, (app: App) => App]>([
    [
      'a guard in a branch',
      app =>
        app.fork(
          ({ path }) => path.startsWith('/admin'),
          branch => branch.use(asking()).use(routes('/admin/x'))
        )
    ],
    ['a guard of a path before an app that is used', app => app.mount('/admin', asking()).use(inside('/admin/x'))],
    ['a guard of a path before an app that is mounted above it', app => app.mount('/a/admin', asking()).mount('/a', inside('/admin/x'))],
    [
      'a guard of a path before a branch',
      app =>
        app.mount('/admin', asking()).fork(
          ({ path }) => path.startsWith('/admin'),
          branch => branch.use(routes('/admin/x'))
        )
    ],
    [
      'a guard of an app at the root beside a more specific mount',
      app => app.mount('/', new App(quiet).use(asking()).use(routes('/admin/x'))).mount('/.well-known', (_, next) => next())
    ]
  ])('is not listed for a request without a user: %s', async (_, build) => {
    const app = build(new App(quiet))
    expect((await app.invoke(at('/admin/x'))).ok).toBe(false)
    expect(await listed(app)).toEqual([])
    expect([...app.routes()]).toHaveLength(1)
  })

  test.each<[string, (app: App) => App]>([
    ['routes', app => app.mount('/admin', asking()).use(stripping).use(routes('/admin/x'))],
    ['a mount', app => app.mount('/admin', asking()).use(stripping).mount('/admin', answering)],
    ['an app', app => app.mount('/admin', asking()).use(stripping).mount('/admin', inside('/x'))],
    ['an app that rewrites by itself', app => app.mount('/admin', asking()).use(new App().use(stripping).use(routes('/admin/x')))],
    [
      'a branch',
      app =>
        app
          .mount('/admin', asking())
          .use(stripping)
          .fork(
            () => true,
            branch => branch.use(routes('/admin/x'))
          )
    ],
    [
      'a context made by middleware',
      app =>
        app
          .mount('/admin', asking())
          .use((context, next) => {
            const other = context.child('')
            other.path = '/admin/x'
            return next.invoke(other)
          })
          .mount('/admin', answering)
    ]
  ])('is not reached by a path that is rewritten behind the guard: %s', async (_, build) => {
    const logged: unknown[] = []
    const app = build(new App({ logger: { ...console, error: (...line) => void logged.push(line), warn: () => undefined } }))
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT']) {
      const answer = await app.invoke({ 'iopa.Method': method, 'iopa.Path': '/v1/admin/x' })
      expect([answer.status, await answer.text()], method).toEqual([500, expect.not.stringContaining('auth')])
    }
    expect(String(logged)).toContain('/admin/x')
  })

  test('is reached where the path is rewritten before the guard, or the run begins again', async () => {
    const before = new App(quiet).use(stripping).mount('/admin', asking()).mount('/admin', answering)
    const redirecting: App = new App(quiet)
      .mount('/admin', asking())
      .use((context, next) => {
        if (context.path !== '/v1/admin/x') return next()
        context.path = '/admin/x'
        return redirecting.invoke(context)
      })
      .mount('/admin', answering)
    for (const app of [before, redirecting]) {
      expect((await app.invoke(at('/v1/admin/x'))).status).toBe(401)
      expect(await (await app.invoke({ ...at('/v1/admin/x'), 'iopa.Headers': { 'x-user': 'ann' } })).text()).toBe('at /admin/x')
    }
  })
})

describe('how users authenticate', () => {
  const scheme = (name: string) => ({ name, type: 'http', scheme: 'basic' }) as const
  const saying = (...names: string[]) =>
    defineMiddleware({ name: names.join(), provides: ['server.User'], security: names.map(scheme) }, (_, next) => next())

  test('is said by each route, for the guards that its requests pass, each scheme once', () => {
    const app = new App(quiet)
      .use(routes('/open'))
      .mount('/in', new App(quiet).use(saying('inner', 'outer')).use(routes('/a')))
      .use(saying('outer', 'token'))
      .mount('/all', new App(quiet).use(saying('outer')).use(routes('/b')))
    const said = [...app.routes()].map(({ pattern, security }) => [pattern, security?.map(({ name }) => name)])
    expect(said).toEqual([
      ['/open', undefined],
      ['/in/a', ['inner', 'outer']],
      ['/all/b', ['outer', 'token']]
    ])
  })

  test('is empty where a guard does not say', () => {
    const app = new App(quiet).use(guard()).use(routes('/a'))
    expect([...app.routes()].map(({ security }) => security)).toEqual([[]])
  })
})
