import { App, defineMiddleware, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { cors } from '../src/index.ts'
import { ask, fieldsOf, preflight } from './support.ts'

const ORIGIN = 'https://app.example.com'

const guard = defineMiddleware({ name: 'guard', provides: ['server.User'] }, context => {
  throw new IopaError(401, 'who', `Who asks for ${context.path}?`)
})

describe('a preflight', () => {
  test('is answered before authentication', async () => {
    const app = new App({ logger: false }).use(cors({ origin: ORIGIN, credentials: true })).use(guard)
    const answer = await preflight(app, ORIGIN, 'PUT', '/', { 'access-control-request-headers': 'authorization, content-type' })
    expect([answer.status, fieldsOf(answer)]).toEqual([
      204,
      {
        'access-control-allow-origin': ORIGIN,
        'access-control-allow-credentials': 'true',
        'access-control-allow-methods': 'GET, HEAD, PUT, POST, PATCH, DELETE',
        'access-control-allow-headers': 'authorization, content-type',
        vary: 'Origin, Access-Control-Request-Headers'
      }
    ])
    expect((await ask(app, { origin: ORIGIN }, { 'iopa.Method': 'OPTIONS' })).status).toBe(401)
    expect((await ask(app, { 'access-control-request-method': 'PUT' }, { 'iopa.Method': 'OPTIONS' })).status).toBe(401)
  })

  test('of another origin is answered without a permission, and calls nothing', async () => {
    let calls = 0
    const app = new App({ logger: false }).use(cors({ origin: ORIGIN })).use(() => void calls++)
    const answer = await preflight(app, 'https://evil.com')
    expect([answer.status, fieldsOf(answer), calls]).toEqual([204, { vary: 'Origin, Access-Control-Request-Headers' }, 0])
  })

  test('has what the options say', async () => {
    const app = new App({ logger: false }).use(
      cors({ origin: ORIGIN, methods: ['PUT', 'LINK'], allowHeaders: ['x-a', 'x-b'], maxAge: 600, privateNetwork: true, exposeHeaders: ['etag'] })
    )
    const answer = await preflight(app, ORIGIN, 'LINK', '/', {
      'access-control-request-headers': 'x-evil',
      'access-control-request-private-network': 'true'
    })
    expect(fieldsOf(answer)).toEqual({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'PUT, LINK',
      'access-control-allow-headers': 'x-a, x-b',
      'access-control-max-age': '600',
      'access-control-allow-private-network': 'true',
      vary: 'Origin'
    })
  })

  test('walks over the routes of the app once, until they change', async () => {
    let walks = 0
    const counting = { name: 'counting', extend: () => ({}), routes: () => (walks++, []) }
    const app = new App({ logger: false }).use(cors()).use(router()).use(counting)
    app.get('/n/:id', () => 1)
    app.put('/n/:id', () => 1)
    await preflight(app, ORIGIN, 'PUT', '/n/1')
    const before = walks
    for (let at = 0; at < 20; at++) await preflight(app, ORIGIN, 'PUT', `/n/${at}`)
    expect(walks).toBe(before)
    const { remove } = app.registry.add('POST', '/n/:id', {}, [() => 1])
    expect(fieldsOf(await preflight(app, ORIGIN, 'PUT', '/n/1'))['access-control-allow-methods']).toBe('GET, PUT, POST, HEAD')
    remove()
    expect(fieldsOf(await preflight(app, ORIGIN, 'PUT', '/n/1'))['access-control-allow-methods']).toBe('GET, PUT, HEAD')
  })

  test('gets no private network unless it is asked for and allowed', async () => {
    const asks = { 'access-control-request-private-network': 'true' }
    const field = 'access-control-allow-private-network'
    const closed = await preflight(new App().use(cors({ origin: ORIGIN })), ORIGIN, 'PUT', '/', asks)
    const open = await preflight(new App().use(cors({ origin: ORIGIN, privateNetwork: true })), ORIGIN)
    expect([closed.headers.has(field), open.headers.has(field)]).toEqual([false, false])
  })

  test('does not get back what is no list of names', async () => {
    const app = new App().use(cors())
    for (const names of ['x y', 'x;y', 'x, ,y', ',', 'é', '"x"'])
      expect(
        (await preflight(app, ORIGIN, 'PUT', '/', { 'access-control-request-headers': names })).headers.has('access-control-allow-headers')
      ).toBe(false)
  })
})

describe('the methods of a preflight', () => {
  const house = () => {
    const inner = new App({ logger: false }).use(router())
    inner.on('LINK', '/deep/:id', () => 'x')
    const app = new App({ logger: false })
      .use(cors({ origin: ORIGIN }))
      .mount('/in', inner)
      .use(router())
    app.get('/lights/:id', () => 'x')
    app.put('/lights/:id', () => 'x')
    app.delete('/lights/hall', () => 'x')
    app.all('/all', () => 'x')
    app.get('/half', () => 'x')
    app.put('/half', guard, () => 'x')
    app.put('/secret', guard, () => 'x')
    return app
  }
  const methods = async (app: ReturnType<typeof house>, path: string) =>
    (await preflight(app, ORIGIN, 'PUT', path)).headers.get('access-control-allow-methods')?.split(', ').sort().join(' ')
  const USUAL = 'DELETE GET HEAD PATCH POST PUT'

  test.each([
    ['of the routes of the path', '/lights/hall', 'DELETE GET HEAD PUT'],
    ['of the routes of another path', '/lights/x', 'GET HEAD PUT'],
    ['of a mounted app', '/in/deep/1', 'LINK'],
    ['of a route for all methods', '/all', USUAL],
    // What a guard hides, a preflight hides: these do not differ from a path that does not exist.
    ['of a path that a guard protects', '/secret', USUAL],
    ['of a path that a guard protects in part', '/half', USUAL],
    ['of a path that does not exist', '/nothing', USUAL]
  ])('are those %s', async (_, path, wanted) => expect(await methods(house(), path)).toBe(wanted))

  test('follow routes that come and go', async () => {
    const app = house()
    const route = app.registry.add('LINK', '/later', {}, [() => 'x'])
    expect(await methods(app, '/later')).toBe('LINK')
    route.remove()
    expect(await methods(app, '/later')).toBe(USUAL)
  })

  test('are the usual ones where there is no router', async () => {
    const app = new App({ logger: false }).use(cors({ origin: ORIGIN }))
    expect(await methods(app as never, '/x')).toBe(USUAL)
  })
})

describe('options', () => {
  test.each([
    [{ credentials: 'yes' }, "'credentials'"],
    [{ privateNetwork: 1 }, "'privateNetwork'"],
    [{ maxAge: -1 }, "'maxAge'"],
    [{ maxAge: 1.5 }, "'maxAge'"],
    [{ maxAge: 90_000 }, "'maxAge'"],
    [{ methods: 'GET' }, "'methods'"],
    [{ methods: ['GET, PUT'] }, "'methods'"],
    [{ allowHeaders: ['x\r\ny'] }, "'allowHeaders'"],
    [{ exposeHeaders: [''] }, "'exposeHeaders'"],
    [{ exposeHeaders: ['*'], origin: ORIGIN, credentials: true }, 'literally'],
    [{ origins: ORIGIN }, "no option 'origins'"]
  ])('%j is refused', (options, sentence) =>
    expect(() => cors(options as never)).toThrow(expect.objectContaining({ code: 'bad-option', detail: expect.stringContaining(sentence) }))
  )
})
