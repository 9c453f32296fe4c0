import { App, defineMiddleware, IopaError } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { describe, expect, test } from 'vitest'
import { documents, openapi } from '../src/index.ts'
import { contractApp, INFO, plainApp } from './fixtures/apps.ts'

type Json = Record<string, never> & { readonly paths: Record<string, never> }

const get = (app: App, path: string, headers: Record<string, string> = {}) => {
  const [plain = '', query = ''] = path.split('?')
  return app.invoke({ 'iopa.Method': 'GET', 'iopa.Path': plain, 'iopa.QueryString': query, 'iopa.Headers': headers })
}
const json = async (app: App, path: string): Promise<Json> => (await (await get(app, path)).json()) as Json
const documented = () => plainApp().use(documents(INFO))

describe('documents()', () => {
  test('serves each document with its type and an entity tag, and 304 where it has not changed', async () => {
    const app = documented()
    const types: Record<string, string> = {}
    for (const path of ['/openapi.json', '/asyncapi.json', '/.well-known/wot', '/things', '/docs']) types[path] = (await get(app, path)).type
    expect(types).toEqual({
      '/openapi.json': 'application/json',
      '/asyncapi.json': 'application/json',
      '/.well-known/wot': 'application/td+json',
      '/things': 'application/json',
      '/docs': 'text/html; charset=utf-8'
    })
    const etag = (await get(app, '/openapi.json')).headers.get('etag') ?? ''
    expect(etag).toMatch(/^"[\w-]{8}"$/)
    expect((await get(app, '/openapi.json', { 'if-none-match': etag })).status).toBe(304)
  })

  test('follows the routes that are added and removed later', async () => {
    const app = documented()
    expect(Object.keys((await json(app, '/openapi.json')).paths)).not.toContain('/later')
    const etag = (await get(app, '/openapi.json')).headers.get('etag')
    const route = app.registry.add('GET', '/later', {}, [() => 1])
    expect(Object.keys((await json(app, '/openapi.json')).paths)).toContain('/later')
    route.remove()
    expect((await get(app, '/openapi.json')).headers.get('etag')).toBe(etag)
  })

  test('names the addresses that are open, and of a listener of every address the name that was asked for', async () => {
    const app = documented()
      .use(http({ port: 0, host: '0.0.0.0' }))
      .use(coap({ port: 0 }))
      .use(mqtt({ port: 0, listeners: [{ port: 0 }] }))
    const url = (await app.listen())[0]?.url as URL
    try {
      const answer = await fetch(`http://127.0.0.1:${url.port}/.well-known/wot`)
      const thing = (await answer.json()) as { properties: { weather: { forms: { href: string }[] } } }
      const hosts = new Set(thing.properties.weather.forms.map(({ href }) => href.replace(/:\d+\//, ':PORT/')))
      expect([...hosts]).toEqual(['http://127.0.0.1:PORT/weather', 'coap://127.0.0.1:PORT/weather', 'mqtt://127.0.0.1:PORT/weather'])
      const { servers } = (await (await fetch(`http://127.0.0.1:${url.port}/asyncapi.json`)).json()) as { servers: object }
      expect(Object.keys(servers)).toEqual(['mqtt', 'mqtt2'])
    } finally {
      await app.close({ timeout: 10 })
    }
  })

  test('takes public addresses from the option servers', async () => {
    const servers = ['https://api.example.com/v1', 'mqtts://broker.example.com', 'coaps://api.example.com']
    const app = plainApp().use(documents({ ...INFO, servers }))
    expect((await json(app, '/openapi.json'))['servers']).toEqual([{ url: 'https://api.example.com/v1' }])
    expect((await json(app, '/asyncapi.json'))['servers']).toEqual({
      mqtts: { host: 'broker.example.com', protocol: 'mqtts', protocolVersion: '5.0' }
    })
    expect(JSON.stringify(await json(app, '/.well-known/wot'))).toContain('"https://api.example.com/v1/weather"')
  })

  test('below a mount says its prefix', async () => {
    const app = new App({ logger: false }).mount('/house', documented())
    expect((await json(app, '/house/openapi.json'))['servers']).toEqual([{ url: '/house' }])
    expect(JSON.stringify(await json(app, '/house/.well-known/wot'))).toContain('"href":"/house/weather"')
    expect(await (await get(app, '/house/docs')).text()).toContain('&quot;openapi&quot;:&quot;openapi.json&quot;')
  })

  test('refuses a version of OpenAPI that it does not write, and names those that it does', async () => {
    const app = documented()
    expect((await json(app, '/openapi.json?version=3.1'))['openapi']).toBe('3.1.1')
    expect((await json(app, '/openapi.json?version=3.2.0'))['openapi']).toBe('3.2.0')
    const answer = await get(app, '/openapi.json?version=2.0')
    expect(await answer.json()).toMatchObject({ status: 406, code: 'unknown-document-version', versions: ['3.2', '3.1'] })
  })

  test('does not describe itself, nor what is not discoverable', async () => {
    const { paths } = await json(documented(), '/openapi.json')
    expect(Object.keys(paths).filter(path => /openapi|docs|wot|things|secret/.test(path))).toEqual([])
  })

  test('serves the documents that are asked for, where they are wanted', async () => {
    const app = plainApp().use(documents({ ...INFO, paths: { openapi: '/api/v1.json', asyncapi: false, things: false } }))
    const statuses = await Promise.all(
      ['/api/v1.json', '/openapi.json', '/asyncapi.json', '/things', '/docs'].map(async path => (await get(app, path)).status)
    )
    expect(statuses).toEqual([200, 404, 404, 404, 200])
    expect(await (await get(app, '/docs')).text()).toContain('api/v1.json')
  })
})

describe('documents() in the wrong place', () => {
  const codeOf = (action: () => unknown): unknown => {
    try {
      return action()
    } catch (error) {
      return [(error as IopaError).code, (error as IopaError).detail]
    }
  }

  test('before the router names what to write first', () => {
    expect(codeOf(() => new App().use(documents(INFO)))).toEqual(['no-router', expect.stringContaining('app.use(router()) first')])
  })

  test('twice, or where the app has a route, names the path and the option, and adds nothing', () => {
    expect(codeOf(() => documented().use(documents(INFO)))).toEqual(['document-path-taken', expect.stringContaining('An app uses documents() once')])
    const app = new App().use(router()).get('/docs', () => 1)
    expect(codeOf(() => app.use(documents(INFO)))).toEqual(['document-path-taken', expect.stringContaining("paths: { page: '/api/docs' }")])
    expect([...app.routes()].map(({ pattern }) => pattern)).not.toContain('/openapi.json')
  })

  test('refuses options that do not exist or are missing', () => {
    const given = (options: object) => codeOf(() => documents(options as never))
    expect(given({ ...INFO, titel: 1 })).toEqual(['bad-option', expect.stringContaining("no option 'titel'")])
    expect(given({ ...INFO, paths: { opanapi: '/a' } })).toEqual(['bad-option', expect.stringContaining("no option 'opanapi'")])
    expect(given({ title: 'Home' })).toEqual(['bad-option', expect.stringContaining('needs the version')])
    expect(given({ ...INFO, servers: ['ftp://a'] })).toEqual(['bad-option', expect.stringContaining('"ftp://a"')])
    expect(given({ ...INFO, viewer: {} })).toEqual(['bad-option', expect.stringContaining('scalar()')])
    expect(codeOf(() => openapi(plainApp(), { ...INFO, viewer: 1 } as never))).toEqual([
      'bad-option',
      expect.stringContaining("openapi() has no option 'viewer'")
    ])
  })
})

describe('with protect', () => {
  const auth = defineMiddleware({ name: 'auth', provides: ['server.User'] }, (context, next) => {
    const id = context.headers.get('x-user')
    if (id === undefined) throw new IopaError(401, 'who-is-it')
    context['server.User'] = { id, by: 'test' }
    return next()
  })
  const pathsOf = async (app: App, headers: Record<string, string> = {}) =>
    Object.keys(((await (await get(app, '/openapi.json', headers)).json()) as Json).paths)

  test('shows what stands behind a guard to those that it has let pass', async () => {
    const inner = new App({ logger: false })
      .use(auth)
      .use(router())
      .get('/keys', () => 1)
    const open = new App({ logger: false })
      .mount('/admin', inner)
      .use(router())
      .get('/a', () => 1)
    expect(await pathsOf(open.use(documents({ ...INFO, protect: true })))).toEqual(['/a'])
    const guarded = new App({ logger: false })
      .use(auth)
      .use(router())
      .get('/a', () => 1)
      .use(documents({ ...INFO, protect: true }))
    expect((await get(guarded, '/openapi.json')).status).toBe(401)
    expect(await pathsOf(guarded, { 'x-user': 'ada' })).toEqual(['/a'])
    expect((await get(guarded, '/openapi.json', { 'x-user': 'ada' })).headers.get('cache-control')).toBe('private, no-cache')
  })

  test('shows guarded routes to everyone without it', async () => {
    const inner = new App({ logger: false })
      .use(auth)
      .use(router())
      .get('/keys', () => 1)
    const open = new App({ logger: false })
      .mount('/admin', inner)
      .use(router())
      .get('/a', () => 1)
    expect(await pathsOf(open.use(documents(INFO)))).toEqual(['/admin/keys', '/a'])
  })

  test('runs middleware of its own before documents alone', async () => {
    const app = plainApp().use(documents({ ...INFO, protect: auth }))
    expect([(await get(app, '/openapi.json')).status, (await get(app, '/docs')).status, (await get(app, '/weather')).status]).toEqual([401, 401, 200])
    expect(await pathsOf(app, { 'x-user': 'ada' })).toContain('/weather')
  })
})

describe('things', () => {
  const app = contractApp().use(documents(INFO))

  test('lists the Thing Descriptions of instances, a page at a time', async () => {
    const answer = await get(app, '/things?limit=1')
    const [hall] = (await answer.json()) as [{ title: string; properties: { light: object } }]
    expect(hall.title).toBe('A light hall')
    expect(hall.properties.light).not.toHaveProperty('uriVariables.id')
    expect(answer.headers.get('link')).toBe('</things?offset=1&limit=1>; rel="next"')
    const rest = await get(app, '/things?offset=1')
    expect(((await rest.json()) as { title: string }[]).map(({ title }) => title)).toEqual(['A light kitchen', 'A plug tv'])
    expect(rest.headers.get('link')).toBeUndefined()
  })

  test('describes one instance, and answers 404 for a path without one', async () => {
    const thing = await json(app, '/things/lights/hall')
    expect(thing['properties']?.['light']).toMatchObject({ forms: [{ href: '/lights/hall{?unit}' }, {}, { href: '/lights/hall' }] })
    expect(await (await get(app, '/things/lights/cellar')).json()).toMatchObject({ status: 404, code: 'unknown-thing' })
  })

  test.each(['limit=0', 'limit=5000', 'offset=-1', 'limit=x'])('refuses %s', async query => {
    expect((await get(app, `/things?${query}`)).status).toBe(422)
  })
})

// 10,000 with DOCUMENT_RESOURCES=10000, which prints figures too.
const RESOURCES = Number(process.env['DOCUMENT_RESOURCES'] ?? 1000)

test(`${RESOURCES} resources: other requests are answered while the document is made, and it is made once`, async () => {
  const app = new App({ logger: false })
    .use(router())
    .use(documents(INFO))
    .get('/alive', () => 'yes')
  for (let at = 0; at < RESOURCES; at++) {
    app.get(`/r${at}/{id}`, { title: `Resource ${at}`, rt: `r${at}` }, () => at)
    app.put(`/r${at}/{id}`, { title: `Resource ${at}` }, () => at)
  }
  app.build()
  const start = performance.now()
  let longest = 0
  let last = start
  let done = false
  const watch = async (): Promise<void> => {
    while (!done) {
      await new Promise(next => setImmediate(next))
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }
  }
  const watching = watch()
  const [first, again] = await Promise.all([get(app, '/openapi.json'), get(app, '/openapi.json')])
  done = true
  await watching
  const made = performance.now() - start
  const size = (await first.bytes()).length
  const before = performance.now()
  await get(app, '/openapi.json')
  const kept = performance.now() - before
  expect(again.headers.get('etag')).toBe(first.headers.get('etag'))
  expect(size / RESOURCES).toBeLessThan(1500)
  if (RESOURCES > 1000) console.log({ made, size, longest, kept })
  // A tenth of what it would block without slices, on a busy machine too.
  expect(longest).toBeLessThan(Math.max(250, made / 2))
}, 120_000)
