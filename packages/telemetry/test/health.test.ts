import { App, type Client } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { type HealthOptions, health } from '@iopa/telemetry'
import { memory, virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'

const ask = async (from: App | Client, path: string) => {
  const answer = from instanceof App ? await from.invoke({ 'iopa.Path': path }) : await from.get(path)
  return [answer.status, await answer.json()]
}

const probed = (options: HealthOptions = {}) => {
  const clock = virtualClock()
  const app = new App({ logger: false, clock }).use(health({ notice: 4000, ...options })).use(memory())
  return { app, clock }
}

test('is alive at any time, and ready once the app listens', async () => {
  const { app } = probed()
  expect(await ask(app, '/health')).toEqual([200, { status: 'up' }])
  expect(await ask(app, '/ready')).toEqual([503, { status: 'not ready' }])
  await app.listen()
  expect(await ask(app, '/ready')).toEqual([200, { status: 'ready' }])
  expect((await app.invoke({ 'iopa.Path': '/ready', 'iopa.Method': 'PUT' })).status).toBe(404)
  await app.close()
})

test('an app without transports is ready', async () => {
  const app = new App({ logger: false }).use(health({ path: '/livez', readyPath: '/readyz' }))
  expect(await ask(app, '/livez')).toEqual([200, { status: 'up' }])
  expect(await ask(app, '/readyz')).toEqual([200, { status: 'ready' }])
  expect((await app.invoke({ 'iopa.Path': '/health' })).status).toBe(404)
  await app.close()
})

test('works over HTTP, MQTT and CoAP', async () => {
  const app = new App({ logger: false })
    .use(health())
    .use(http({ port: 0 }))
    .use(mqtt({ port: 0 }))
    .use(coap({ port: 0 }))
  const answers: unknown[] = []
  for (const { url } of await app.listen()) {
    const client = await app.connect(url)
    answers.push(await ask(client, '/ready'))
    await client.close()
  }
  expect(answers).toEqual(Array.from({ length: 3 }, () => [200, { status: 'ready' }]))
  await app.close({ timeout: 0 })
})

test('drain says not ready for the notice, serves on, notifies observers, then closes', async () => {
  const { app, clock } = probed()
  await app.listen()
  const client = await app.connect('memory://app')
  const reader = app.observe('/ready')[Symbol.asyncIterator]()
  expect(await (await reader.next()).value?.json()).toEqual({ status: 'ready' })
  await new Promise(resolve => setImmediate(resolve))
  const refused = reader.next().catch((error: { status: number }) => error.status)
  let closed = false
  const drained = app.drain()
  expect(app.drain()).toBe(drained)
  void drained.then(() => {
    closed = true
  })
  await clock.advance(3999)
  expect(await ask(client, '/ready')).toEqual([503, { status: 'not ready' }])
  expect(await ask(client, '/health')).toEqual([200, { status: 'up' }])
  expect(await refused).toBe(503)
  expect(closed).toBe(false)
  await client.close()
  await clock.advance(1)
  await drained
  expect((await app.invoke({ 'iopa.Path': '/health' })).status).toBe(503)
})

test('drain ends at once with a close, and takes a notice of its own', async () => {
  const { app, clock } = probed()
  await app.listen()
  const drained = app.drain({ notice: 60_000 })
  await clock.advance(10)
  await app.close()
  await drained
  const other = probed()
  await other.app.listen()
  const soon = other.app.drain({ notice: 5, timeout: 0 })
  await other.clock.advance(5)
  await soon
  expect(() => other.app.drain({ notise: 1 } as never)).toThrow(expect.objectContaining({ code: 'bad-option' }))
})

test('a failing, false or late check makes the app not ready; details only where they are allowed', async () => {
  let aborted = false
  const { app, clock } = probed({
    timeout: 200,
    cache: 50,
    details: context => context.headers.has('x-operator'),
    checks: {
      good: () => true,
      broken: () => {
        throw new Error('secret host is away')
      },
      no: async () => false,
      late: ({ signal }) => new Promise(() => signal.addEventListener('abort', () => void (aborted = true)))
    }
  })
  await app.listen()
  const answer = app.invoke({ 'iopa.Path': '/ready' })
  await clock.advance(200)
  expect([(await answer).status, await (await answer).text()]).toEqual([503, '{"status":"not ready"}'])
  expect(aborted).toBe(true)
  const shown = await app.invoke({ 'iopa.Path': '/ready', 'iopa.Headers': { 'x-operator': '1' } })
  expect(await shown.json()).toEqual({
    status: 'not ready',
    reason: 'a check fails',
    checks: {
      good: { status: 'up', duration: 0 },
      broken: { status: 'down', duration: 0, error: 'secret host is away' },
      no: { status: 'down', duration: 0, error: 'the check gave false' },
      late: { status: 'down', duration: 200, error: 'no result within 200 ms' }
    }
  })
  await app.close()
})

test('any number of probes runs a check once in the time of the cache, and never twice at once', async () => {
  let calls = 0
  let settle: (() => void) | undefined
  const { app, clock } = probed({
    cache: 1000,
    timeout: 100,
    checks: {
      db: () => {
        calls++
        return settle === undefined ? new Promise<void>(resolve => (settle = resolve)) : undefined
      }
    }
  })
  await app.listen()
  const first = Array.from({ length: 50 }, () => ask(app, '/ready'))
  await clock.advance(100)
  expect((await Promise.all(first)).every(([status]) => status === 503)).toBe(true)
  expect(calls).toBe(1)
  await clock.advance(1000)
  // The first call is still running: it is not made again.
  expect((await ask(app, '/ready'))[0]).toBe(503)
  expect(calls).toBe(1)
  settle?.()
  await clock.advance(1000)
  await Promise.all(Array.from({ length: 50 }, () => ask(app, '/ready')))
  expect(calls).toBe(2)
  expect((await ask(app, '/ready'))[0]).toBe(200)
  await app.close()
})

test('survives a check that throws what has no text', async () => {
  const unreadable = Object.defineProperty(new Error('x'), 'message', {
    get() {
      throw new Error('no')
    }
  })
  const { app } = probed({ details: true, checks: { bare: () => Promise.reject(Object.create(null)), unreadable: () => Promise.reject(unreadable) } })
  await app.listen()
  const down = { status: 'down', duration: 0, error: 'the check failed' }
  expect(await ask(app, '/ready')).toEqual([503, { status: 'not ready', reason: 'a check fails', checks: { bare: down, unreadable: down } }])
  await app.close()
})

test('shows no details where their function gives a promise', async () => {
  const { app } = probed({ details: (async () => false) as never, checks: { db: () => true } })
  await app.listen()
  expect(await ask(app, '/ready')).toEqual([200, { status: 'ready' }])
  await app.close()
})

test('drain refuses times that are none', async () => {
  const { app } = probed()
  for (const options of [{ notice: Number.NaN }, { notice: -1 }, { timeout: '5' as never }]) expect(() => app.drain(options)).toThrow('drain() takes')
  await app.close()
})

test('refuses options that make no sense, and a second app', () => {
  expect(() => health({ timeout: -1 })).toThrow('timeout')
  expect(() => health({ path: 'health' })).toThrow("begin with '/'")
  expect(() => health({ path: '/x', readyPath: '/x' })).toThrow('two paths')
  for (const options of [{ path: 5 }, { timeout: '5' }, { checks: { db: 5 } }, { checks: null }, { checks: [() => true] }, { details: 5 }])
    expect(() => health(options as never)).toThrow(expect.objectContaining({ code: 'bad-option' }))
  const own = health()
  new App({ logger: false }).use(own)
  expect(() => new App().use(own)).toThrow(expect.objectContaining({ code: 'telemetry-in-use' }))
})
