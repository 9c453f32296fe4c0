import { App, reply } from '@iopa/appbuilder'
import { contentTag } from '@iopa/appbuilder/extension'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { cache, cacheControl, etag } from '../src/index.ts'

const app = new App().use(etag()).use(router())
app.get('/text', () => 'text')
app.get('/json', () => ({ a: [1] }))
app.get('/bytes', () => Buffer.from('bytes'))
app.get('/tagged', () => reply(200, 'x', { etag: '"own"' }))
app.get('/stream', () =>
  (async function* () {
    yield 'x'
  })()
)
app.put('/text', () => undefined)

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  app.invoke({ 'iopa.Method': method, 'iopa.Path': path, 'iopa.Headers': headers })

test('tags answers as the core does, and keeps tags that handlers set', async () => {
  const tags = await Promise.all(['/text', '/json', '/bytes', '/tagged', '/stream', '/none'].map(async path => (await ask(path)).headers.get('etag')))
  expect(tags).toEqual([contentTag('text'), contentTag('{"a":[1]}'), contentTag('bytes'), '"own"', undefined, undefined])
  const json = await ask('/json')
  expect([json.type, await json.json()]).toEqual(['application/json', { a: [1] }])
  expect(await (await ask('/stream')).text()).toBe('x')
})

test('lets the core judge preconditions', async () => {
  const tag = contentTag('text')
  expect((await ask('/text', { 'if-none-match': tag })).status).toBe(304)
  expect((await ask('/text', {}, 'HEAD')).headers.get('etag')).toBe(tag)
  expect((await ask('/text', { 'if-match': tag }, 'PUT')).status).toBe(204)
  expect((await ask('/text', { 'if-match': '"other"' }, 'PUT')).status).toBe(412)
})

test('sets directives where the handler sets none', async () => {
  const app = new App().use(router())
  app.get('/a', cacheControl({ maxAge: 60, sMaxAge: 120, public: true, staleWhileRevalidate: 5 }), () => 'x')
  app.get('/b', cacheControl({ private: true, noCache: true }), () => reply(200, 'x', { 'cache-control': 'no-store' }))
  app.get('/c', cacheControl({ maxAge: 60 }), () => reply(500, 'x'))
  app.get('/d', cacheControl({ noStore: true, mustRevalidate: true, noTransform: true, immutable: true, private: false }), () => 'x')
  const fields = ['/a', '/b', '/c', '/d'].map(async path => (await app.invoke({ 'iopa.Path': path })).headers.get('cache-control'))
  expect(await Promise.all(fields)).toEqual([
    'public, max-age=60, s-maxage=120, stale-while-revalidate=5',
    'no-store',
    undefined,
    'no-store, must-revalidate, no-transform, immutable'
  ])
})

test('refuses wrong directives', () => {
  for (const wrong of [{}, { maxAge: -1 }, { maxAge: '1' }, { public: true, private: true }, { public: 1 }, { max: 1 }])
    expect(() => cacheControl(wrong as never)).toThrow('cacheControl()')
})

test('serves HTTP and CoAP from the cache, with Age, 304, 2.03 and Max-Age', async () => {
  let runs = 0
  const served = new App()
    .use(http({ port: 0 }))
    .use(coap({ port: 0 }))
    .use(cache())
    .use(etag())
    .use(router())
  served.get('/a', cacheControl({ maxAge: 30 }), () => `n${++runs}`)
  const [web, things] = await served.listen()
  const url = `${web!.url.href}a`
  const first = await fetch(url)
  expect([await first.text(), first.headers.get('age'), first.headers.get('cache-control')]).toEqual(['n1', null, 'max-age=30'])
  const second = await fetch(url)
  expect([await second.text(), second.headers.get('age'), second.headers.get('etag')]).toEqual(['n1', '0', contentTag('n1')])
  expect((await fetch(url, { headers: { 'if-none-match': contentTag('n1') } })).status).toBe(304)
  const device = await served.connect(things!.url)
  expect(await (await device.get('/a')).text()).toBe('n2')
  const again = await device.get('/a')
  expect([await again.text(), again.headers.get('cache-control')]).toEqual(['n2', expect.stringMatching(/^max-age=(?:30|29|28)$/)])
  await device.close()
  await served.close()
  expect(served.live).toBe(0)
})
