import { setMaxListeners } from 'node:events'
import { App, IopaError } from '@iopa/appbuilder'
import { log, requestId } from '@iopa/log'
import { memory, virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'
import { kept } from './destination.ts'

const appWith = (options: Parameters<typeof log>[0] = {}) => {
  const clock = virtualClock()
  const out = kept()
  const app = new App({ clock, logger: false }).use(log({ to: out.to, ...options }))
  return { app, clock, ...out }
}

test('writes one line with method, path, status, bytes and duration when the request is over', async () => {
  const { app, clock, lines, records } = appWith()
  app.use(async context => {
    await clock.advance(12)
    context.user = { id: 'ann' }
    return 'grün'
  })
  await app.invoke({ 'iopa.Path': '/lights', 'iopa.QueryString': 'a=1' })
  expect(records).toHaveLength(1)
  expect(records[0]).toMatchObject({
    level: 'info',
    event: 'request',
    method: 'GET',
    path: '/lights',
    query: 'a=1',
    status: 200,
    bytes: 5,
    user: 'ann'
  })
  expect(records[0]?.duration).toBe(12)
  expect(JSON.parse(lines[0] as string)).toMatchObject({ event: 'request', status: 200, bytes: 5 })
})

test('names the code of an error, and the level by the status', async () => {
  const { app, records } = appWith()
  app.use(context => {
    if (context.path === '/a') throw new IopaError(403, 'not-yours', 'No.')
    throw new Error('secret')
  })
  await app.invoke({ 'iopa.Path': '/a' })
  await app.invoke({ 'iopa.Path': '/b' })
  expect(records.map(({ level, status, code }) => ({ level, status, code }))).toEqual([
    { level: 'warn', status: 403, code: 'not-yours' },
    { level: 'error', status: 500, code: 'internal-error' }
  ])
})

test('counts the bytes of a stream that was sent', async () => {
  const { app, records } = appWith()
  app.use(memory()).use(async function* body() {
    yield 'abc'
    yield new Uint8Array(5)
  })
  await app.listen()
  const client = await app.connect('memory://app')
  await (await client.get('/')).bytes()
  await client.close()
  await app.close()
  expect(records.filter(({ event }) => event === 'request')).toMatchObject([{ bytes: 8, status: 200 }])
})

test('counts no bytes of an answer to HEAD', async () => {
  const { app, records } = appWith()
  app.use(() => 'abc')
  await app.invoke({ 'iopa.Method': 'HEAD', 'iopa.Path': '/' })
  expect(records[0]?.bytes).toBe(0)
})

test('leaves out what skip names, and requests outside the sample unless they failed', async () => {
  const { app, records } = appWith({ skip: ({ path }) => path === '/health', sample: 0 })
  app.use(({ path }) => (path === '/bad' ? Promise.reject(new IopaError(400, 'bad', 'No.')) : 'ok'))
  for (const path of ['/health', '/ok', '/bad']) await app.invoke({ 'iopa.Path': path })
  expect(records.map(({ path }) => path)).toEqual(['/bad'])
})

test('shows a share of the requests', async () => {
  const { app, records } = appWith({ sample: 0.5 })
  app.use(() => 'ok')
  for (let at = 0; at < 200; at++) await app.invoke({ 'iopa.Path': '/' })
  expect(records.length).toBeGreaterThan(50)
  expect(records.length).toBeLessThan(150)
})

test('adds the fields and header fields that options name', async () => {
  const { app, lines } = appWith({ headers: ['User-Agent'], fields: ({ method }) => ({ device: { serial: 7 }, verb: method, status: 'taken' }) })
  app.use(() => 'ok')
  await app.invoke({ 'iopa.Path': '/', 'iopa.Headers': { 'user-agent': 'curl' } })
  expect(JSON.parse(lines[0] as string)).toMatchObject({ headers: { 'user-agent': 'curl' }, device: { serial: 7 }, verb: 'GET', status: 200 })
})

test('leaves out preconditions and runs of notifications, and shows these on request', async () => {
  for (const notifications of [false, true]) {
    const { app, of } = appWith({ notifications })
    let state = 1
    app.use(() => state)
    const ends = new AbortController()
    const seen = app.observe('/', { signal: ends.signal })[Symbol.asyncIterator]()
    await seen.next()
    state = 2
    app.notify('/')
    await seen.next()
    ends.abort()
    await seen.next().catch(() => undefined)
    await app.close()
    expect(of('observation-begun')).toMatchObject([{ method: 'GET', path: '/' }])
    expect(of('observation-ended')).toMatchObject([{ deliveries: 2 }])
    expect(of('notification')).toHaveLength(notifications ? 1 : 0)
    expect(of('request')).toHaveLength(0)
  }
})

test('an observation that is refused is a request', async () => {
  const { app, of } = appWith()
  app.use(() => Promise.reject(new IopaError(403, 'no', 'No.')))
  await expect(app.observe('/')[Symbol.asyncIterator]().next()).rejects.toThrow()
  await app.close()
  expect(of('request')).toMatchObject([{ status: 403, code: 'no' }])
  expect(of('observation-begun')).toEqual([])
})

test('is neutral: one change to 1,000 equal observers is one GET', async () => {
  const { app } = appWith({ headers: ['user-agent'] })
  let runs = 0
  app.use(requestId()).use(() => ++runs)
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

test('a route can have a log of its own', async () => {
  const out = kept()
  const { router } = await import('@iopa/router')
  const app = new App({ logger: false }).use(router())
  app.get('/a', log({ to: out.to }), () => 'a')
  app.get('/b', () => 'b')
  await app.invoke({ 'iopa.Path': '/a' })
  await app.invoke({ 'iopa.Path': '/b' })
  expect(out.records.map(({ path }) => path)).toEqual(['/a'])
})

test('a destination that throws does not fail the request', async () => {
  const app = new App({ logger: false })
    .use(
      log({
        to: () => {
          throw new Error('full')
        }
      })
    )
    .use(() => 'ok')
  expect((await app.invoke({ 'iopa.Path': '/' })).status).toBe(200)
})
