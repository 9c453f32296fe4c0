import { setMaxListeners } from 'node:events'
import { App, IopaError, reply } from '@iopa/appbuilder'
import { type RateLimitOptions, type RateLimitStore, rateLimit } from '@iopa/rate-limit'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'

const http = { 'iopa.Scheme': 'http', 'server.RemoteAddress': '192.0.2.1' }

const appWith = (options: RateLimitOptions) => {
  const clock = virtualClock()
  const app = new App({ clock, logger: false })
    .use((context, next) => {
      const id = context.headers.get('x-user')
      if (id !== undefined) context.user = { id }
      return next()
    })
    .use(rateLimit(options))
    .use(() => 'ok')
  const ask = (bag: object = {}, user?: string) =>
    app.invoke({ 'iopa.Path': '/', ...http, ...bag, ...(user === undefined ? {} : { 'iopa.Headers': { 'x-user': user } }) })
  return { app, clock, ask }
}

test('answers 429 with Retry-After beyond the limit, and allows again after that', async () => {
  const { ask, clock } = appWith({ limit: 2, window: 60_000 })
  await ask()
  expect((await ask()).status).toBe(200)
  const refused = await ask()
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '30'])
  expect(await refused.json()).toMatchObject({ status: 429, code: 'rate-limited' })
  await clock.advance(30_000)
  expect((await ask()).status).toBe(200)
  expect((await ask()).status).toBe(429)
})

test('says on HTTP what is left, as structured fields', async () => {
  const { ask, clock } = appWith({ limit: 10, window: 60_000, name: 'hourly' })
  // Fractions of milliseconds must not add a second.
  await clock.advance(123_456.7)
  const answer = await ask()
  expect(answer.headers.get('ratelimit-policy')).toBe('"hourly";q=10;w=60')
  expect(answer.headers.get('ratelimit')).toBe('"hourly";r=9;t=6')
  expect((await ask({ 'iopa.Scheme': 'coap' })).headers.has('ratelimit')).toBe(false)
  const silent = appWith({ limit: 10, headers: false })
  expect((await silent.ask()).headers.has('ratelimit')).toBe(false)
})

test('has one budget for a user, whatever the address', async () => {
  const { ask } = appWith({ limit: 2 })
  await ask({ 'server.RemoteAddress': '192.0.2.1' }, 'ann')
  await ask({ 'server.RemoteAddress': '192.0.2.2' }, 'ann')
  expect((await ask({ 'server.RemoteAddress': '192.0.2.3' }, 'ann')).status).toBe(429)
  expect((await ask({}, 'bob')).status).toBe(200)
  expect((await ask()).status).toBe(200)
})

test('has one budget for an IPv6 network of 64 bits', async () => {
  const { ask } = appWith({ limit: 1 })
  await ask({ 'server.RemoteAddress': '2001:db8::1' })
  expect((await ask({ 'server.RemoteAddress': '2001:db8::2' })).status).toBe(429)
  expect((await ask({ 'server.RemoteAddress': '2001:db8:0:1::1' })).status).toBe(200)
})

test('takes the burst at once', async () => {
  const { ask, clock } = appWith({ limit: 60, window: 60_000, burst: 2 })
  expect([(await ask()).status, (await ask()).status, (await ask()).status]).toEqual([200, 200, 429])
  await clock.advance(1000)
  expect((await ask()).status).toBe(200)
})

test('counts by the key, which may leave a request out', async () => {
  const { ask } = appWith({ limit: 1, key: context => context['iopa.QueryString'] || undefined })
  await ask({ 'iopa.QueryString': 'tenant=a' })
  expect((await ask({ 'iopa.QueryString': 'tenant=a' })).status).toBe(429)
  expect((await ask({ 'iopa.QueryString': 'tenant=b' })).status).toBe(200)
  for (let at = 0; at < 5; at++) expect((await ask()).status).toBe(200)
})

test('takes a cost from the budget, by number or function', async () => {
  const fixed = appWith({ limit: 10, cost: 5 })
  expect([(await fixed.ask()).status, (await fixed.ask()).status, (await fixed.ask()).status]).toEqual([200, 200, 429])
  const { ask } = appWith({ limit: 10, cost: ({ method }) => (method === 'GET' ? 0 : 10) })
  for (let at = 0; at < 20; at++) await ask()
  expect((await ask({ 'iopa.Method': 'POST' })).status).toBe(200)
  expect((await ask({ 'iopa.Method': 'POST' })).status).toBe(429)
  expect((await appWith({ limit: 1, cost: () => Number.NaN }).ask()).status).toBe(500)
})

test('leaves out what skip names, requests of this process, notifications, replicas, preconditions and goodbyes', async () => {
  const { ask } = appWith({ limit: 1, skip: ({ path }) => path === '/health' })
  const free = [
    { 'iopa.Path': '/health' },
    { 'server.RemoteAddress': '' },
    { 'server.IsNotification': true },
    { 'server.IsReplica': true },
    { 'iopa.Method': 'DISCONNECT' },
    { 'iopa.Method': 'UNSUBSCRIBE' }
  ]
  for (const bag of [...free, ...free]) expect((await ask(bag)).status).toBe(200)
  await ask()
  expect((await ask()).status).toBe(429)
})

test('a group and a route have budgets of their own', async () => {
  const app = new App({ clock: virtualClock(), logger: false }).use(rateLimit({ limit: 3, name: 'all' })).use(router())
  app.get('/login', rateLimit({ limit: 1, name: 'login' }), () => 'in')
  app.get('/other', () => 'ok')
  const ask = (path: string) => app.invoke({ 'iopa.Path': path, ...http })
  const first = await ask('/login')
  expect(first.headers.getAll('ratelimit')).toEqual(['"all";r=2;t=20', '"login";r=0;t=60'])
  expect((await ask('/login')).status).toBe(429)
  expect((await ask('/other')).status).toBe(200)
  expect((await ask('/other')).status).toBe(429)
})

test('shares nothing between two limiters, or two apps', async () => {
  const one = appWith({ limit: 1 })
  const other = appWith({ limit: 1 })
  await one.ask()
  expect((await other.ask()).status).toBe(200)
})

test('is neutral: one change to 1,000 equal observers is one GET', async () => {
  let runs = 0
  const app = new App({ logger: false }).use(rateLimit({ limit: 1 })).use(() => ++runs)
  const ends = new AbortController()
  setMaxListeners(0, ends.signal)
  const observers = Array.from({ length: 1000 }, () => app.observe('/', { signal: ends.signal })[Symbol.asyncIterator]())
  await Promise.all(observers.map(observer => observer.next()))
  const before = runs
  app.notify('/')
  await Promise.all(observers.map(observer => observer.next()))
  expect(runs - before).toBe(1)
  ends.abort()
  await app.close()
})

test.each([
  { limit: 0 },
  { limit: 1.5 },
  { limit: 1, window: 0 },
  { limit: 1, burst: -1 },
  { limit: 1, cost: -1 },
  { limit: 1, maxKeys: 0 },
  { limit: 1, timeout: 0 }
] as never[])('refuses the options %j', options => {
  expect(() => rateLimit(options)).toThrow(expect.objectContaining({ code: 'bad-option' }))
})
test.each([{ limit: 1, name: 'a"b' }, { limit: 1, onFailure: 'maybe' }, {}] as never[])('refuses the options %j', options => {
  expect(() => rateLimit(options)).toThrow(expect.objectContaining({ code: 'bad-option' }))
})

test('bounds the callers with a budget of their own', async () => {
  const { ask } = appWith({ limit: 1, maxKeys: 4 })
  let allowed = 0
  for (let at = 0; at < 5000; at++) if ((await ask({}, `user-${at}`)).status === 200) allowed++
  // Those beyond share the budgets of groups.
  expect(allowed).toBeLessThanOrEqual(4 + 1024)
  expect((await ask({}, 'user-0')).status).toBe(429)
})

const away: RateLimitStore = { open: () => ({ take: () => Promise.reject(new Error('connection lost')) }) }
const silent: RateLimitStore = { open: () => ({ take: () => new Promise(() => undefined) }) }

test('lets requests pass while the store is away, or refuses them', async () => {
  expect((await appWith({ limit: 1, store: away }).ask()).status).toBe(200)
  const refused = await appWith({ limit: 1, store: away, onFailure: 'refuse' }).ask()
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([503, 'rate-limit-unavailable'])
})

test('waits for the store a bounded time', async () => {
  const { ask, clock } = appWith({ limit: 1, store: silent, timeout: 100 })
  const asking = ask()
  await clock.advance(100)
  expect((await asking).status).toBe(200)
})

test('asks the store with the quota, and a key that says whose it is', async () => {
  const asked: unknown[] = []
  const store: RateLimitStore = {
    open: quota => ({
      take: (key, cost) => {
        asked.push([quota.limit, quota.window, quota.name, key, cost])
        return Promise.resolve({ allowed: false, remaining: 0, reset: 1500 })
      }
    })
  }
  const { ask } = appWith({ limit: 5, store })
  const answer = await ask()
  await ask({}, 'ann')
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '2'])
  expect(asked).toEqual([
    [5, 60_000, 'default', 'address:192.0.2.1', 1],
    [5, 60_000, 'default', 'user:"ann"', 1]
  ])
})

test('counts wrong credentials of an address alone, and refuses it before they are looked at', async () => {
  let looked = 0
  const clock = virtualClock()
  const app = new App({ clock, logger: false })
    .use((context, next) => {
      if (context.headers.has('x-session')) context.user = { id: 'ann' }
      return next()
    })
    .use(rateLimit({ limit: 3, window: 60_000, counts: 'refusals' }))
    .use((context, next) => {
      const password = context.headers.get('x-password')
      if (context.user === undefined && password === undefined) throw new IopaError(401, 'unauthenticated', 'Send credentials.')
      if (context.user !== undefined) return next()
      looked++
      if (password === 'late') return reply(401, { code: 'bad-credentials' })
      if (password !== 'right') throw new IopaError(401, 'bad-credentials', 'These credentials are not valid.')
      context.user = { id: 'bob' }
      return next()
    })
    .use(() => 'ok')
  const ask = async (headers: Record<string, string>, address = '192.0.2.1') =>
    (await app.invoke({ 'iopa.Path': '/', ...http, 'server.RemoteAddress': address, 'iopa.Headers': headers })).status
  // What is right, or no guess, costs nothing.
  for (let turn = 0; turn < 10; turn++) expect([await ask({ 'x-password': 'right' }), await ask({})]).toEqual([200, 401])
  looked = 0
  const statuses = []
  for (let turn = 0; turn < 10; turn++) statuses.push(await ask({ 'x-password': turn === 1 ? 'late' : 'wrong' }))
  expect(statuses).toEqual([401, 401, 401, 429, 429, 429, 429, 429, 429, 429])
  expect(looked).toBe(3)
  expect([await ask({ 'x-password': 'right' }), await ask({ 'x-session': '1' }), await ask({ 'x-password': 'right' }, '192.0.2.2')]).toEqual([
    429, 200, 200
  ])
  await clock.advance(20_000)
  expect([await ask({ 'x-password': 'right' }), await ask({ 'x-password': 'wrong' }), await ask({ 'x-password': 'right' })]).toEqual([200, 401, 429])
  // Guesses that are made together are all counted, up to a second budget.
  const many = await Promise.all(Array.from({ length: 50 }, () => ask({ 'x-password': 'wrong' }, '192.0.2.3')))
  expect(many.every(status => status === 401)).toBe(true)
  await clock.advance(60_000)
  expect(await ask({ 'x-password': 'right' }, '192.0.2.3')).toBe(429)
  await clock.advance(20_000)
  expect(await ask({ 'x-password': 'right' }, '192.0.2.3')).toBe(200)
})

test('counts wrong credentials in a store', async () => {
  const counts = new Map<string, number>()
  const store: RateLimitStore = {
    open: ({ limit }) => ({
      take: async (key, cost) => {
        const count = (counts.get(key) ?? 0) + cost
        counts.set(key, count)
        return { allowed: count <= limit, remaining: Math.max(0, limit - count), reset: 1000 }
      }
    })
  }
  const app = new App({ logger: false })
    .use(rateLimit({ limit: 2, counts: 'refusals', store }))
    .use(() => new IopaError(401, 'bad-credentials', 'These credentials are not valid.'))
  const statuses = []
  for (let turn = 0; turn < 4; turn++) statuses.push((await app.invoke({ 'iopa.Path': '/', ...http })).status)
  expect([statuses, [...counts]]).toEqual([[401, 401, 429, 429], [['address:192.0.2.1', 2]]])
})

test('keeps a long key by its tag, and tells long keys apart', async () => {
  const keys: string[] = []
  const store: RateLimitStore = {
    open: () => ({
      take: async key => {
        keys.push(key)
        return { allowed: true, remaining: 1, reset: 0 }
      }
    })
  }
  const key = (context: { headers: { get(name: string): string | undefined } }) => context.headers.get('x-user') as string
  for (const options of [{ limit: 1 }, { limit: 1, store }]) {
    const { ask } = appWith({ key, ...options })
    const [one, other] = ['a', 'b'].map(end => 'x'.repeat(10_000) + end)
    const statuses = [(await ask({}, one)).status, (await ask({}, one)).status, (await ask({}, other)).status]
    if (!('store' in options)) expect(statuses).toEqual([200, 429, 200])
  }
  expect([keys[0] === keys[1], keys[0] === keys[2], Math.max(...keys.map(({ length }) => length)) < 100]).toEqual([true, false, true])
})
