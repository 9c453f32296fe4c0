import { App, reply } from '@iopa/appbuilder'
import { http } from '@iopa/http'
import { router } from '@iopa/router'
import { expect, test } from 'vitest'
import { ChangedPaths } from '../src/changed-paths.ts'
import { cache, etag } from '../src/index.ts'

const text = async (app: { invoke(bag: never): Promise<{ text(): Promise<string> }> }, headers: Record<string, string> = {}) =>
  (await app.invoke({ 'iopa.Path': '/', 'iopa.Headers': headers } as never)).text()

test('keeps no answer where middleware behind the cache sets the user', async () => {
  const app = new App()
    .use(cache({ ttl: 60 }))
    .use((context, next) => {
      const id = context.headers.get('x-api-key')
      if (id !== undefined) context.user = { id }
      return next()
    })
    .use(context => `for ${context.user?.id}`)
  const asked = [{ 'x-api-key': 'ann' }, { 'x-api-key': 'bob' }, {}] as Record<string, string>[]
  expect(await Promise.all(asked.map(headers => text(app, headers)))).toEqual(['for ann', 'for bob', 'for undefined'])
  expect(await text(app, { 'x-api-key': 'bob' })).toBe('for bob')
})

test('tells requests apart by a Vary that middleware around the cache has set as well', async () => {
  const app = new App()
    .use((context, next) => {
      context.response.headers.set('vary', 'Origin')
      return next()
    })
    .use(cache({ ttl: 60 }))
    .use(context => reply(200, `for ${context.headers.get('origin')}`, { vary: 'Origin' }))
  expect([await text(app, { origin: 'a' }), await text(app, { origin: 'b' }), await text(app, { origin: 'a' })]).toEqual(['for a', 'for b', 'for a'])
})

test.each(['no-store', 'private', 'no-cache'])('keeps no answer to which middleware around the cache adds %s', async directive => {
  let runs = 0
  const app = new App()
    .use(async (context, next) => {
      const value = await next()
      context.response.headers.set('cache-control', directive)
      return value
    })
    .use(cache({ ttl: 60 }))
    .use(() => `n${++runs}`)
  expect([await text(app), await text(app)]).toEqual(['n1', 'n2'])
})

test('is not switched off by requests whose precondition fails', async () => {
  let runs = 0
  const app = new App()
    .use(cache({ ttl: 60 }))
    .use(etag())
    .use(() => `n${++runs}`)
  expect((await app.invoke({ 'iopa.Path': '/', 'iopa.Headers': { 'if-match': '"other"' } })).status).toBe(412)
  expect([await text(app), await text(app), runs]).toEqual(['n1', 'n1', 1])
})

test('refuses a key that is no text, such as a promise', async () => {
  const app = new App({ logger: false }).use(cache({ ttl: 60, key: (async () => 'tenant') as never })).use(() => 'x')
  expect((await app.invoke({ 'iopa.Path': '/' })).status).toBe(500)
})

test('belongs to one app, and is no guard of a route', async () => {
  const shared = cache({ ttl: 60 })
  new App().use(shared)
  expect(() => new App().use(shared)).toThrow(expect.objectContaining({ code: 'cache-in-use' }))
  const app = new App({ logger: false }).use(router())
  expect(() => app.get('/', cache({ ttl: 60 }), () => 'x')).toThrow(/write app\.use\(cache\(\.\.\.\)\)/)
  const own = cache({ ttl: 60 })
  app.get(
    '/',
    (context, next) => own.invoke!(context, next),
    () => 'x'
  )
  expect((await app.invoke({ 'iopa.Path': '/' })).error).toMatchObject({ status: 500, code: 'cache-not-used' })
})

test('one of those that waited takes the place of a request whose peer leaves', async () => {
  let runs = 0
  const gates: (() => void)[] = []
  const app = new App().use(http({ port: 0 })).use(cache({ ttl: 60 }))
  let waiting = 0
  app.use(async () => {
    runs++
    await new Promise<void>(resolve => gates.push(resolve))
    return 'x'
  })
  const [listener] = await app.listen()
  const { url } = listener!
  const leaving = new AbortController()
  const first = fetch(url, { signal: leaving.signal }).catch(() => undefined)
  await expect.poll(() => runs).toBe(1)
  const others = Array.from({ length: 10 }, async () => {
    waiting++
    return (await fetch(url)).text()
  })
  await expect.poll(() => app.live).toBe(2 * (waiting + 1))
  leaving.abort()
  await first
  await expect.poll(() => runs).toBe(2)
  for (const open of gates) open()
  expect(new Set(await Promise.all(others))).toEqual(new Set(['x']))
  expect(runs).toBe(2)
  await app.close()
})

test('does not take a claim that is more than data as text', async () => {
  class Hidden {
    readonly #secret: string
    constructor(secret: string) {
      this.#secret = secret
    }
    reveal(): string {
      return this.#secret
    }
  }
  const app = new App()
    .use((context, next) => {
      context.user = { id: 'ann', of: new Hidden(context.headers.get('x-of') ?? '') }
      return next()
    })
    .use(cache({ ttl: 60 }))
    .use(context => `for ${(context.user!['of'] as Hidden).reveal()}`)
  expect([await text(app, { 'x-of': 'a' }), await text(app, { 'x-of': 'b' })]).toEqual(['for a', 'for b'])
})

test('keeps 32 variants of an answer, the newest', async () => {
  let runs = 0
  const app = new App().use(cache({ ttl: 60 })).use(() => reply(200, `n${++runs}`, { vary: 'x-a' }))
  for (let n = 0; n < 33; n++) await text(app, { 'x-a': String(n) })
  expect([await text(app, { 'x-a': '32' }), await text(app, { 'x-a': '0' })]).toEqual(['n33', 'n34'])
})

test('remembers 1,000 changed paths while a GET is under way, and counts all others as changed beyond that', () => {
  const changed = new ChangedPaths()
  const begun = changed.begin()
  for (let n = 0; n < 1000; n++) changed.add(`/${n}`)
  expect([changed.since(begun, '/0'), changed.since(begun, '/other')]).toEqual([true, false])
  changed.add('/more')
  expect(changed.since(begun, '/other')).toBe(true)
})

test.each([
  ['entries', { entries: 64 }, 10],
  ['bytes', { size: 200_000 }, 1500]
])('lets no user put out what is kept for others: %s', async (_, bounds, length) => {
  let runs = 0
  const app = new App()
    .use((context, next) => {
      const id = context.headers.get('x-user')
      if (id !== undefined) context.user = { id }
      return next()
    })
    .use(cache({ ttl: 60, ...bounds }))
    .use(() => `${++runs} `.padEnd(length, 'x'))
  const ask = async (user: string, query: number): Promise<string> => {
    const answer = await app.invoke({ 'iopa.Path': '/', 'iopa.QueryString': `${query}`, 'iopa.Headers': { 'x-user': user } })
    return (await answer.text()).trim()
  }
  const first = [await ask('ann', 1), await ask('ann', 2), await ask('carl', 1)]
  for (let query = 0; query < 300; query++) await ask('bob', query)
  const last = await ask('bob', 299)
  // The one that floods replaces its own, and has a cache still.
  expect(await ask('bob', 299)).toBe(last)
  const before = runs
  expect([await ask('ann', 1), await ask('ann', 2), await ask('carl', 1)]).toEqual(first)
  expect(runs).toBe(before)
  expect(await ask('bob', 0)).not.toBe('4')
  expect(runs).toBe(before + 1)
})
