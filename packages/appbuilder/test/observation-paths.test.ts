import { App, type Context, type MiddlewareFunction, type Next, reply } from '@iopa/appbuilder'
import type { LinkAnswer } from '@iopa/context'
import type { OwnedContext } from '@iopa/context/host'
import { router } from '@iopa/router'
import type { Host } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { turns, watch } from './observation-support.ts'

/** A state at /n of a router. */
const states = (options: Parameters<typeof router>[0] = {}) => {
  const state = { n: 0 }
  const routes = (app: App): App =>
    app
      .use(router(options))
      .get('/n', ({ query }) => `${state.n}${query.get('q') ?? ''}`)
      .put('/n', () => void state.n++)
      .put('/other', context => {
        state.n++
        context.notify('/n')
      }) as unknown as App
  return { state, routes }
}

const put = (app: App, path: string): Promise<unknown> => app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': path })

/** Takes /v1 off the path, and puts it back where `restored`. */
const rewriting =
  (restored: boolean): MiddlewareFunction =>
  async (context: Context, next: Next) => {
    const { path } = context
    if (path.startsWith('/v1/')) context.path = path.slice(3)
    const value = await next()
    if (restored) context.path = path
    return value
  }

/** An app in which two paths lead to one state, by the app that names them. */
const KINDS: readonly (readonly [string, (app: App, routes: (app: App) => App) => App, string, string])[] = [
  ['a rewriting middleware', (app, routes) => routes(app.use(rewriting(false))), '/n', '/v1/n'],
  ['a rewriting middleware that puts the path back', (app, routes) => routes(app.use(rewriting(true))), '/n', '/v1/n'],
  ['a router that ignores trailing slashes', (app, routes) => routes(app), '/n', '/n/']
]

describe.each(KINDS)('one state at two paths by %s', (name, build, ...paths) => {
  const setUp = () => {
    const { state, routes } = states(name.includes('slash') ? { trailingSlash: 'ignore' } : {})
    const app = build(new App({ logger: false }), routes)
    return { app, state, host: app.host() }
  }

  test.each([
    [paths[0], paths[0]],
    [paths[0], paths[1]],
    [paths[1], paths[0]],
    [paths[1], paths[1]]
  ])('tells who observes %s of a PUT of %s', async (observed, changed) => {
    const { app, host } = setUp()
    const watching = watch(app, host, { 'iopa.Path': observed, 'iopa.QueryString': 'q=!' })
    await watching.active
    for (let count = 0; count < 2; count++) {
      await put(app, changed)
      await turns(3)
    }
    // A query survives the rewrite: the run enters at the top with the path of the registration.
    expect(watching.payloads).toEqual(['0!', '1!', '2!'])
  })

  // The app learns that middleware rewrites a path only from an observer of that path. A notify of such a path reaches the observers of that path.
  test('tells both of a notify of the resource, wherever it comes from', async () => {
    const { app, state, host } = setUp()
    const watching = paths.map(path => watch(app, host, { 'iopa.Path': path }))
    await Promise.all(watching.map(({ active }) => active))
    for (const notify of [(path: string) => app.notify(path), (path: string) => host.notify(path), () => put(app, '/other')]) {
      for (const path of name.includes('slash') ? paths : [paths[0]]) {
        state.n++
        await notify(path)
        await turns(4)
        expect(watching.map(({ payloads }) => payloads.at(-1))).toEqual([String(state.n), String(state.n)])
      }
    }
  })

  test('runs each as often as it changes', async () => {
    const { app, host } = setUp()
    const watching = paths.map(path => watch(app, host, { 'iopa.Path': path }))
    await Promise.all(watching.map(({ active }) => active))
    for (const path of paths) {
      await put(app, path)
      await turns(4)
    }
    expect(watching.map(({ payloads }) => payloads)).toEqual([
      ['0', '1', '2'],
      ['0', '1', '2']
    ])
  })

  test('hands both a representation that comes from elsewhere', async () => {
    const { app, host } = setUp()
    const watching = paths.map(path => watch(app, host, { 'iopa.Path': path }))
    await Promise.all(watching.map(({ active }) => active))
    const answer = (await app.invoke({ 'iopa.Path': '/n' })) as LinkAnswer
    host.deliver('/n', answer)
    expect(watching.map(({ answers }) => answers.at(-1) === answer)).toEqual([true, true])
  })

  test('tells a change of the other path that comes while the first GET is under way', async () => {
    let n = 0
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => (open = resolve))
    const app = new App({ logger: false }).use(rewriting(name.includes('back'))).use(router({ trailingSlash: 'ignore' }))
    app.get('/n', async () => {
      const now = n
      await gate
      return now
    })
    const watching = watch(app, app.host(), { 'iopa.Path': paths[1] })
    await turns(2)
    n = 1
    app.notify('/n')
    open()
    await watching.active
    await turns(3)
    expect(watching.payloads.at(-1)).toBe('1')
  })
})

test('an observer of a path whose resource moves gets the changes of the current resource', async () => {
  let current = 'a'
  const values: Record<string, number> = { a: 0, b: 0 }
  const app = new App({ logger: false }).use((context, next) => {
    if (context.path === '/current') context.path = `/items/${current}`
    return next()
  })
  app.use(context => {
    const id = context.path.split('/')[2] as string
    if (context.method === 'PUT') return reply(204, void (values[id] = (values[id] ?? 0) + 1))
    return `${id}${values[id]}`
  })
  const host = app.host()
  const watching = watch(app, host, { 'iopa.Path': '/current' })
  await watching.active
  await put(app, '/items/a')
  await turns(3)
  current = 'b'
  app.notify('/current')
  await turns(3)
  await put(app, '/items/b')
  await turns(3)
  await put(app, '/items/a')
  await turns(3)
  expect(watching.payloads).toEqual(['a0', 'a1', 'b0', 'b1'])
  await (watching.context as OwnedContext).end('unsubscribe')
})

test('observers of one path that read different resources are told of their own alone', async () => {
  const runs: string[] = []
  const app = new App({ logger: false }).use((context, next) => {
    if (context.path === '/me') context.path = `/users/${context.user?.id}`
    return next()
  })
  app.use(context => {
    if (context['server.IsNotification']) runs.push(context.path)
    return context.path
  })
  const host = app.host()
  const watching = ['ann', 'bob'].map(id => watch(app, host, { 'iopa.Path': '/me', 'server.User': { id } }))
  await Promise.all(watching.map(({ active }) => active))
  app.notify('/users/ann')
  await turns(3)
  expect([runs, watching.map(({ answers }) => answers.length)]).toEqual([['/users/ann'], [2, 1]])
})

describe('a mounted app', () => {
  const mounted = () => {
    const { state, routes } = states()
    const inner = routes(new App({ logger: false }))
    const outer = new App({ logger: false }).mount('/in', inner)
    return { state, inner, outer }
  }
  const CHANGES: readonly (readonly [string, (outer: App, inner: App) => unknown])[] = [
    ['a PUT of the outer app', outer => put(outer, '/in/n')],
    ['a PUT of the inner app', (_, inner) => put(inner, '/n')],
    ['a notify of a handler within', outer => put(outer, '/in/other')],
    ['a notify of a handler of the inner app', (_, inner) => put(inner, '/other')],
    ['outer.notify', outer => outer.notify('/in/n')],
    ['inner.notify', (_, inner) => inner.notify('/n')],
    ['a PUT of a host of the inner app', (_, inner) => invokeBy(inner.host(), inner, '/n')]
  ]

  test.each(CHANGES)('and the one around it tell their observers of %s', async (name, change) => {
    const { state, inner, outer } = mounted()
    const within = inner.observe('/n')[Symbol.asyncIterator]()
    const around = outer.observe('/in/n')[Symbol.asyncIterator]()
    expect([(await within.next()).value?.payload, (await around.next()).value?.payload]).toEqual(['0', '0'])
    if (!name.includes('PUT') && !name.includes('handler')) state.n = 1
    await change(outer, inner)
    expect([(await within.next()).value?.payload, (await around.next()).value?.payload]).toEqual(['1', '1'])
    await within.return?.()
    await around.return?.()
    await outer.close({ timeout: 0 })
  })

  const invokeBy = async (host: Host, app: App, path: string): Promise<void> => {
    const context = app.create({ 'iopa.Method': 'PUT', 'iopa.Path': path })
    await host.invoke(context)
    await context.end()
  }
})
