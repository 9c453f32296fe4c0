import { App, type Context, IopaError, reply } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'
import { type CacheOptions, cache } from '../src/index.ts'

type Handler = (context: Context) => unknown

/** An app that counts the runs of its handler, behind a cache. */
const cached = (handler: Handler, options: CacheOptions = { ttl: 60 }, clock = virtualClock()) => {
  let runs = 0
  const app = new App({ clock, logger: false })
    .use((context, next) => {
      const id = context.headers.get('x-user')
      if (id !== undefined) context.user = { id, role: context.headers.get('x-role') ?? '' }
      return next()
    })
    .use(cache(options))
    .use(context => {
      runs++
      return handler(context)
    })
  const get = async (path = '/a', headers: Record<string, string> = {}, more: object = {}) => {
    const [name, query = ''] = path.split('?') as [string, string?]
    const bag = { 'iopa.Path': name, 'iopa.QueryString': query, 'iopa.Scheme': 'http', 'iopa.Headers': headers, ...more }
    const answer = await app.invoke(bag as never)
    return { status: answer.status, text: await answer.text(), headers: answer.headers, age: answer.headers.get('age') }
  }
  return { app, get, clock, runs: () => runs }
}

const counting = (): Handler => {
  let count = 0
  return () => `n${++count}`
}

test('gives an answer again while it is fresh, with its age', async () => {
  const { get, clock } = cached(counting())
  expect(await get()).toMatchObject({ text: 'n1', age: undefined })
  await clock.advance(59_000)
  expect(await get()).toMatchObject({ text: 'n1', age: '59' })
  await clock.advance(1000)
  expect(await get()).toMatchObject({ text: 'n2', age: undefined })
})

test('gives status, headers and type again, and leaves those of middleware around', async () => {
  let id = 0
  const app = new App()
    .use((context, next) => {
      context.response.headers.set('x-request-id', String(++id))
      return next()
    })
    .use(cache({ ttl: 60 }))
    .use(() =>
      reply(200, { a: 1 }, [
        ['link', '<a>'],
        ['link', '<b>'],
        ['x-own', '1']
      ] as never)
    )
  await app.invoke({ 'iopa.Path': '/' })
  const answer = await app.invoke({ 'iopa.Path': '/' })
  expect([answer.type, await answer.json()]).toEqual(['application/json', { a: 1 }])
  expect(['x-request-id', 'x-own'].map(name => answer.headers.get(name))).toEqual(['2', '1'])
  expect(answer.headers.getAll('link')).toEqual(['<a>', '<b>'])
})

test.each<[string, string, Record<string, string>, object]>([
  ['path', '/b', {}, {}],
  ['query', '/a?x=1', {}, {}],
  ['Accept', '/a', { accept: 'text/html' }, {}],
  ['Host', '/a', { host: 'evil.example' }, {}],
  ['host of the target', '/a', {}, { 'iopa.Host': 'evil.example' }],
  ['scheme', '/a', {}, { 'iopa.Scheme': 'https' }],
  ['user', '/a', { 'x-user': 'ann' }, {}],
  ['vary', '/a', { 'x-tenant': 't' }, {}],
  ['key', '/a', { 'x-own': 't' }, {}]
])('tells requests apart by %s', async (_, path, headers, more) => {
  const { get, runs } = cached(counting(), { ttl: 60, vary: ['X-Tenant'], key: context => context.headers.get('x-own') ?? '' })
  const plain = await get()
  expect(plain.headers.get('vary')).toBe('x-tenant')
  const other = await get(path, headers, more)
  expect(other.text).not.toBe(plain.text)
  expect((await get(path, headers, more)).text).toBe(other.text)
  expect(runs()).toBe(2)
})

test('lets a request pass for which key() gives undefined', async () => {
  const { get } = cached(counting(), { ttl: 60, key: () => undefined })
  expect([(await get()).text, (await get()).text]).toEqual(['n1', 'n2'])
})

test('does not tell requests apart by headers that nothing names: they must not shape what is cached', async () => {
  const { get } = cached(context => `for ${context.headers.get('x-forwarded-host')}`)
  await get('/a', { 'x-forwarded-host': 'evil.example' })
  // What the README warns of.
  expect((await get()).text).toBe('for evil.example')
  const safe = cached(context => `for ${context.headers.get('x-forwarded-host')}`, { ttl: 60, vary: ['x-forwarded-host'] })
  await safe.get('/a', { 'x-forwarded-host': 'evil.example' })
  expect((await safe.get()).text).toBe('for undefined')
})

test('keeps the answers of users apart, by all their claims and cookies', async () => {
  const { get } = cached(context => `${context.user?.id} ${context.user?.['role']} ${context.headers.get('cookie')} ${Math.random()}`)
  const ann = (await get('/a', { 'x-user': 'ann' })).text
  expect((await get('/a', { 'x-user': 'ann' })).text).toBe(ann)
  expect((await get('/a', { 'x-user': 'bob' })).text).toMatch(/^bob/)
  expect((await get('/a', { 'x-user': 'ann', 'x-role': 'admin' })).text).toMatch(/^ann admin/)
  expect((await get('/a', { 'x-user': 'ann', cookie: 'theme=dark' })).text).toMatch(/theme=dark/)
  expect((await get()).text).toMatch(/^undefined/)
})

test.each(['authorization', 'cookie'])('lets %s pass that nothing has checked', async name => {
  const { get, runs } = cached(counting())
  await get()
  await get('/a', { [name]: 'x' })
  await get('/a', { [name]: 'x' })
  expect(runs()).toBe(3)
})

test('shares answers among users where that is asked for', async () => {
  const { get } = cached(counting(), { ttl: 60, shared: true })
  const answers = [await get('/a', { 'x-user': 'ann' }), await get('/a', { 'x-user': 'bob' }), await get('/a', { cookie: 'x' }), await get()]
  expect(answers.map(({ text }) => text)).toEqual(['n1', 'n1', 'n1', 'n1'])
  const own = cached(() => reply(200, Math.random(), { 'cache-control': 'private, max-age=60' }), { shared: true })
  expect((await own.get('/a', { 'x-user': 'ann' })).text).not.toBe((await own.get('/a', { 'x-user': 'bob' })).text)
})

const kept: [string, () => unknown, boolean][] = [
  ['max-age', () => reply(200, 'x', { 'cache-control': 'max-age=5' }), true],
  ['s-maxage before max-age', () => reply(200, 'x', { 'cache-control': 'max-age=0, s-maxage=5' }), true],
  ['s-maxage=0', () => reply(200, 'x', { 'cache-control': 's-maxage=0, max-age=5' }), false],
  ['no-store', () => reply(200, 'x', { 'cache-control': 'no-store' }), false],
  ['no-cache', () => reply(200, 'x', { 'cache-control': 'no-cache, max-age=5' }), false],
  ['private', () => reply(200, 'x', { 'cache-control': 'Private' }), false],
  ['max-age=0', () => reply(200, 'x', { 'cache-control': 'max-age=0' }), false],
  ['a malformed max-age', () => reply(200, 'x', { 'cache-control': 'max-age=x' }), false],
  ['expires in the past', () => reply(200, 'x', { expires: 'Thu, 01 Jan 1970 00:00:00 GMT' }), false],
  ['set-cookie', () => reply(200, 'x', { 'set-cookie': 'a=1', 'cache-control': 'max-age=5' }), false],
  ['vary: *', () => reply(200, 'x', { vary: '*' }), false],
  ['a stream', () => (async function* () {})(), false],
  ['203 with max-age', () => reply(203, 'x', { 'cache-control': 'max-age=5' }), true],
  ['301 with max-age', () => reply(301, null, { location: '/b', 'cache-control': 'max-age=5' }), true],
  ['404 with max-age', () => reply(404, 'x', { 'cache-control': 'max-age=5' }), true],
  ['404 without', () => reply(404, 'x'), false],
  ['410 with max-age', () => reply(410, undefined, { 'cache-control': 'max-age=5' }), true],
  ['201', () => reply(201, 'x', { 'cache-control': 'max-age=5' }), false],
  ['206', () => reply(206, 'x', { 'cache-control': 'max-age=5' }), false],
  ['500', () => reply(500, 'x', { 'cache-control': 'max-age=5' }), false],
  ['an error', () => Promise.reject(new IopaError(404, 'x', 'x')), false]
]
test.each(kept)('obeys an answer: %s', async (_, handler, again) => {
  const { get, runs } = cached(handler)
  const [first, second] = [await get(), await get()]
  expect([second.status, second.text, runs()]).toEqual([first.status, first.text, again ? 1 : 2])
})

test('does not keep an answer to which middleware around the cache adds a cookie', async () => {
  let runs = 0
  const app = new App()
    .use((context, next) => {
      context.onSendingHeaders(() => context.response.headers.set('set-cookie', `session=${runs}`))
      return next()
    })
    .use(cache({ ttl: 60 }))
    .use(() => `token ${++runs}`)
  const [one, two] = await Promise.all([app.invoke({ 'iopa.Path': '/' }), app.invoke({ 'iopa.Path': '/' })])
  expect([await one!.text(), await two!.text(), await (await app.invoke({ 'iopa.Path': '/' })).text()]).toEqual(['token 1', 'token 2', 'token 3'])
})

test('keeps an answer by what it varies with', async () => {
  const { get, runs } = cached(context => reply(200, `in ${context.headers.get('accept-language')}`, { vary: 'Accept-Language' }))
  for (let round = 0; round < 2; round++) {
    expect((await get('/a', { 'accept-language': 'de' })).text).toBe('in de')
    expect((await get('/a', { 'accept-language': 'fr' })).text).toBe('in fr')
    expect((await get()).headers.get('vary')).toBe('Accept-Language')
  }
  expect(runs()).toBe(3)
})

test('answers HEAD from what GET has left, and keeps no HEAD', async () => {
  const { get, runs } = cached(counting())
  await get('/a', {}, { 'iopa.Method': 'HEAD' })
  expect((await get()).text).toBe('n2')
  expect((await get('/a', {}, { 'iopa.Method': 'HEAD' })).age).toBe('0')
  expect(runs()).toBe(2)
})

test('judges preconditions by the kept answer', async () => {
  const { get, runs } = cached(() => reply(200, 'x', { etag: '"1"' }))
  await get()
  const answer = await get('/a', { 'if-none-match': '"1"' })
  expect([answer.status, answer.text, answer.headers.get('etag'), runs()]).toEqual([304, '', '"1"', 1])
  expect((await get('/a', { 'if-none-match': '"2"' })).status).toBe(200)
  // A first request with a precondition is kept too.
  const other = cached(() => reply(200, 'x', { etag: '"1"' }))
  expect((await other.get('/a', { 'if-none-match': '"1"' })).status).toBe(304)
  expect([(await other.get()).text, other.runs()]).toEqual(['x', 1])
})

test('lets requests with a body or for a part, and other methods, pass', async () => {
  const { get, runs } = cached(counting())
  await get()
  await get('/a', {}, { 'iopa.Body': Buffer.from('poison') })
  await get('/a', { range: 'bytes=0-1' })
  await get('/a', {}, { 'iopa.Method': 'POST' })
  expect(runs()).toBe(4)
})

test('copies bytes: a handler may use its buffer again', async () => {
  const buffer = Buffer.from('one')
  const { get } = cached(() => buffer)
  await get()
  buffer.write('two')
  expect((await get()).text).toBe('one')
})

test('keeps within size and entries', async () => {
  const some = cached(() => 'x', { ttl: 60, entries: 2 })
  for (const path of ['/1', '/2', '/3', '/3', '/1']) await some.get(path)
  expect(some.runs()).toBe(4)
  const small = cached(context => 'x'.repeat(Number(context.path.slice(1))), { ttl: 60, size: 10_000 })
  for (const path of ['/100', '/100', '/1000', '/1000']) await small.get(path)
  expect(small.runs()).toBe(3)
})

test('refuses unknown and wrong options', () => {
  for (const wrong of [{ ttl: -1 }, { size: 0 }, { entries: 1.5 }, { key: 'x' }, { vary: ['a b'] }, { stale: 'x' }, { shared: 1 }, { max: 1 }])
    expect(() => cache(wrong as never)).toThrow('cache()')
})

test('says over other protocols how long the answer lasts', async () => {
  const { get, clock } = cached(() => reply(200, 'x', { 'cache-control': 'max-age=30' }))
  const coap = { 'iopa.Scheme': 'coap' }
  await get('/a', {}, coap)
  await clock.advance(10_000)
  const { headers } = await get('/a', {}, coap)
  expect([headers.get('cache-control'), headers.get('age')]).toEqual(['max-age=20', undefined])
})

test('a route may say that it is not for the cache', async () => {
  const app = new App().use(cache({ ttl: 60 })).use(router())
  let runs = 0
  app.get('/live', () => reply(200, ++runs, { 'cache-control': 'no-store' }))
  await app.invoke({ 'iopa.Path': '/live' })
  expect(await (await app.invoke({ 'iopa.Path': '/live' })).text()).toBe('2')
})
