import { App, defineMiddleware, IopaError, type ReceivedAnswer } from '@iopa/appbuilder'
import { describe, expect, test } from 'vitest'
import { router } from '../src/index.ts'

const appWith = (options = {}) => new App({ logger: false }).use(router(options))
const get = (app: App, path: string): Promise<ReceivedAnswer> => app.invoke({ 'iopa.Path': path })

describe('app.registry', () => {
  test('adds a route with attributes and a chain, for packages that do not import the router', async () => {
    const app: App = appWith()
    const tag = { name: 'tag', invoke: async (_: unknown, next: () => Promise<unknown>) => `<${String(await next())}>` }
    app.registry.add('GET', '/lights/:id', { rt: 'light' }, [tag, context => context.params['id']])
    expect(await (await get(app, '/lights/hall')).text()).toBe('<hall>')
    expect([...app.routes()]).toEqual([
      expect.objectContaining({ method: 'GET', pattern: '/lights/:id', attributes: { rt: 'light' }, middleware: ['tag'] })
    ])
  })

  test('throws without a router, and says what to write', () => {
    expect(() => new App({ logger: false }).registry).toThrow(/write app\.use\(router\(\)\) first/)
  })

  test('refuses invalid routes with the line of the call', () => {
    const { registry } = appWith().get('/a', () => 1)
    expect(() => registry.add('GET', '/a', {}, [() => 1])).toThrow(/GET \/a \(.*registry\.test\.ts:\d+\)/)
    expect(() => registry.add('GET', '/b', {}, [])).toThrow(/needs a handler.*\(.*registry\.test\.ts:\d+\)/)
    expect(() => registry.add('get', '/b', {}, [() => 1])).toThrow(/as "GET"; case counts. \(.*registry\.test\.ts:\d+\)/)
    expect(() => registry.add('GET', 'b', {}, [() => 1])).toThrow(/begin it with "\/"/)
  })

  test('removes a route once, and frees its pattern', async () => {
    const app = appWith()
    const route = app.registry.add('GET', '/a/{id}?', {}, [() => 'one'])
    app.put('/a/:id', () => undefined)
    route.remove()
    expect([(await get(app, '/a')).status, (await get(app, '/a/1')).status]).toEqual([404, 405])
    app.registry.add('GET', '/a/{id}?', {}, [() => 'two'])
    route.remove()
    expect([await (await get(app, '/a')).text(), await (await get(app, '/a/1')).text()]).toEqual(['two', 'two'])
    expect(Array.from(app.routes(), ({ method }) => method)).toEqual(['PUT', 'GET'])
  })

  test('ends observers of a removed route with 404, also below mounts', async () => {
    for (const prefix of ['', '/house']) {
      const inner = appWith()
      const route = inner.registry.add('GET', '/lights/:id', {}, [({ params }) => params['id']])
      inner.get('/doors/:id', ({ params }) => params.id)
      const app: App = prefix === '' ? inner : new App({ logger: false }).mount(prefix, inner)
      const seen: unknown[] = []
      const door = app.observe(`${prefix}/doors/1`)[Symbol.asyncIterator]()
      await door.next()
      try {
        for await (const answer of app.observe(`${prefix}/lights/hall`)) {
          seen.push(await answer.text())
          route.remove()
        }
      } catch (error) {
        seen.push((error as IopaError).status)
      }
      expect(seen).toEqual(['hall', 404])
      // An observer of another path hears nothing.
      const next = door.next()
      app.notify(`${prefix}/doors/1`)
      expect(await (await next).value.text()).toBe('1')
      await app.close()
    }
  })

  test('delivers the route that answers after a removal to observers', async () => {
    const app = appWith().get('/*', () => 'rest')
    const route = app.registry.add('GET', '/a', {}, [() => 'a'])
    const seen: string[] = []
    for await (const answer of app.observe('/a')) {
      seen.push(await answer.text())
      if (seen.length === 2) break
      route.remove()
    }
    expect(seen).toEqual(['a', 'rest'])
  })

  test('removes trailing-slash variants as the router reads them', async () => {
    const app = appWith({ trailingSlash: 'ignore' })
    const route = app.registry.add('GET', '/a/', {}, [() => 'a'])
    const observing = app.observe('/a')[Symbol.asyncIterator]()
    await observing.next()
    const end = observing.next()
    route.remove()
    await expect(end).rejects.toMatchObject({ status: 404 })
  })
})

describe('middleware of a route', () => {
  const user = defineMiddleware({ name: 'auth', provides: ['server.User'] }, (context, next) => {
    context['server.User'] = { id: 'ann' }
    return next()
  })
  const greeting = defineMiddleware({ name: 'greeting', requires: ['server.User'] }, (context, next) => {
    context.response.headers.set('x-greeting', `hello ${context['server.User'].id}`)
    return next()
  })

  test('is listed by explain(), in order', () => {
    const app = appWith().get('/a', user, greeting, context => context.user.id)
    app.put('/a', (_, next) => next())
    expect(String(app.explain())).toContain('  GET      /a (auth, greeting)\n  PUT      /a\n')
    expect(app.explain().routes[0]).toMatchObject({ middleware: ['auth', 'greeting'], guarded: true })
  })

  test('runs before preconditions are checked, so that a guard answers first', async () => {
    const guard = defineMiddleware({ name: 'auth', provides: ['server.User'] }, () => new IopaError(401, 'who-is-it'))
    const app = appWith().get('/a', () => 'a')
    app.put('/a', guard, () => undefined)
    app.put('/b', () => undefined).get('/b', () => 'b')
    const change = (path: string): Promise<ReceivedAnswer> =>
      app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': path, 'iopa.Headers': { 'if-match': '"other"' }, 'iopa.Body': 'x' })
    expect([(await change('/a')).status, (await change('/b')).status]).toEqual([401, 412])
  })

  test('may require keys of the route or the pipeline; build() names the route otherwise', () => {
    appWith()
      .get('/a', user, greeting, () => 1)
      .build()
    new App({ logger: false })
      .use(user)
      .use(router())
      .get('/a', greeting, () => 1)
      .build()
    const app = appWith()
    app.registry.add('GET', '/a', {}, [greeting as never, () => 1])
    expect(() => app.build()).toThrow(/route GET \/a requires 'server.User', which nothing before it provides/)
  })
})

describe('middleware of a group', () => {
  const add = (name: string) => async (_: unknown, next: () => Promise<unknown>) => `${name} ${String(await next())}`

  test('runs for the routes of the group and its nested groups, and for no other', async () => {
    const app = appWith()
      .group('/a', group =>
        group
          .use(add('a'))
          .get('/x', () => 'x')
          .group('/b', inner => inner.use({ invoke: add('b') }).get('/y', add('y'), () => 'end'))
      )
      .get('/z', () => 'z')
    const texts = await Promise.all(['/a/x', '/a/b/y', '/z'].map(async path => (await get(app, path)).text()))
    expect(texts).toEqual(['a x', 'a b y end', 'z'])
  })

  test('guards the routes of the group: listings and 405 hide them', async () => {
    const guard = defineMiddleware({ name: 'auth', provides: ['server.User'] }, () => {
      throw new IopaError(401, 'who-is-it')
    })
    const app = appWith().group('/a', group => group.use(guard).put('/x', () => 'x'))
    expect((await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/a/x' })).status).toBe(401)
    expect((await get(app, '/a/x')).headers.get('allow')).toBe('OPTIONS')
    expect([...app.routes()][0]).toMatchObject({ guarded: true })
  })

  test('is refused after a route of the group, and if it is not middleware, with the line of the call', () => {
    const late = /comes before its routes.*\(.*registry\.test\.ts:\d+\)/
    expect(() => appWith().group('/a', group => group.get('/x', () => 1).use(add('a')))).toThrow(late)
    expect(() => appWith().group('/a', group => group.group('/b', () => 1).use(add('a')))).toThrow(late)
    for (const wrong of [[undefined], ['a'], [{}], [add('a'), add('b')]])
      expect(() => appWith().group('/a', group => (group.use as (...values: unknown[]) => unknown)(...wrong))).toThrow(/takes one middleware/)
    expect(() => appWith().group('/a', group => (group.use(add('a')).get as (...values: unknown[]) => unknown)('/x'))).toThrow(/needs a handler/)
  })
})

test('refuses on a route what works for a whole app, and names app.use()', () => {
  const app = new App({ logger: false }).use(router())
  const health = { name: 'health', needsApp: true, extend: () => ({}), invoke: () => undefined }
  expect(() => app.get('/', health, () => 'x')).toThrow(
    /'health' works for a whole app, not for the route GET \/: write app\.use\(health\(\.\.\.\)\)/
  )
})
