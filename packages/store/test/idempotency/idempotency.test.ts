import { App, IopaError, type Next, reply } from '@iopa/appbuilder'
import type { Storage } from '@iopa/appbuilder/extension'
import { collection, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { type IdempotencyOptions, idempotency, store } from '../../src/index.ts'
import { memory } from '../../src/storage/memory.ts'

interface Asked {
  readonly key?: string
  readonly body?: unknown
  readonly user?: string
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A storage whose data outlives it. */
const lasting = (storage = memory()): Storage => ({
  get: key => storage.get(key),
  put: (key, value) => storage.put(key, value),
  delete: key => storage.delete(key),
  list: range => storage.list(range),
  batch: changes => storage.batch(changes),
  close: async () => undefined
})

const asking =
  (app: App) =>
  async ({ key, body, user, path = '/jobs', method = 'POST', headers = {} }: Asked = {}) => {
    const answer = await app.invoke({
      'iopa.Method': method,
      'iopa.Path': path,
      'iopa.Headers': { ...headers, ...(key === undefined ? undefined : { 'idempotency-key': key }) },
      ...(body === undefined ? undefined : { 'iopa.Body': body }),
      ...(user === undefined ? undefined : { 'server.User': { id: user } })
    } as never)
    const { status } = answer
    return { status, headers: Object.fromEntries(answer.headers), type: answer.type, body: await answer.text() }
  }

const served = (options: IdempotencyOptions = {}, handler?: (n: number) => unknown) => {
  let runs = 0
  const keys = idempotency(options)
  const app = new App({ logger: false })
    .use((context, next) => {
      context.response.headers.set('x-request', String(Math.random()))
      return next()
    })
    .use(keys)
    .use(router())
  app.on('POST', '/jobs', () => {
    runs++
    return handler === undefined ? reply(201, { job: runs }, { location: `/jobs/${runs}` }) : handler(runs)
  })
  app.get('/jobs', () => ++runs)
  return { app, keys, ask: asking(app), runs: () => runs }
}

describe('a POST with an idempotency key', () => {
  test('is handled once: a retry gets the same status, headers and body', async () => {
    const { app, ask, runs } = served()
    const first = await ask({ key: 'one', body: { a: 1 } })
    expect(first).toMatchObject({ status: 201, headers: { location: '/jobs/1' }, body: '{"job":1}' })
    const { 'x-request': id, ...headers } = first.headers
    const again = await ask({ key: 'one', body: { a: 1 } })
    expect(again).toMatchObject({ status: 201, headers, type: first.type, body: first.body })
    // What other middleware says of a request is its own.
    expect(again.headers['x-request']).not.toBe(id)
    expect(await ask({ key: '"one"', body: { a: 1 } })).toMatchObject({ body: first.body })
    expect(await ask({ key: 'two', body: { a: 1 } })).toMatchObject({ body: '{"job":2}' })
    expect(await ask({ body: { a: 1 } })).toMatchObject({ body: '{"job":3}' })
    expect(await ask({ key: 'one', method: 'GET' })).toMatchObject({ body: '4' })
    expect(runs()).toBe(4)
    await app.close()
  })

  test('with another body, type, query or path is refused', async () => {
    const { app, ask, runs } = served()
    await ask({ key: 'one', body: { a: 1 } })
    const reused = { status: 422, body: expect.stringContaining('idempotency-key-reused') }
    expect(await ask({ key: 'one', body: { a: 2 } })).toMatchObject(reused)
    expect(await ask({ key: 'one', body: { a: 1 }, headers: { 'content-type': 'application/x+json' } })).toMatchObject(reused)
    expect(await ask({ key: 'one', body: { a: 1 }, path: '/jobs/' })).toMatchObject(reused)
    expect(runs()).toBe(1)
    await app.close()
  })

  test('belongs to its user', async () => {
    const { app, ask } = served()
    expect(await ask({ key: 'one', user: 'ann' })).toMatchObject({ body: '{"job":1}' })
    expect(await ask({ key: 'one', user: 'bob' })).toMatchObject({ body: '{"job":2}' })
    expect(await ask({ key: 'one' })).toMatchObject({ body: '{"job":3}' })
    expect(await ask({ key: 'one', user: 'ann' })).toMatchObject({ body: '{"job":1}' })
    await app.close()
  })

  test('must be one text of visible characters', async () => {
    const { app, ask, runs } = served()
    for (const key of ['', '   ', '"', '""', 'ä', 'x'.repeat(256)])
      expect(await ask({ key })).toMatchObject({ status: 400, body: expect.stringContaining('bad-idempotency-key') })
    expect(runs()).toBe(0)
    await app.close()
  })

  test('waits for the first one that is under way, and fails with 409 where too many wait', async () => {
    let open = (): void => undefined
    const gate = new Promise<void>(resolve => (open = resolve))
    const { app, ask, runs } = served({}, n => gate.then(() => reply(201, { job: n })))
    const answers: { status: number; body: string }[] = []
    const all = Array.from({ length: 20 }, async () => answers.push(await ask({ key: 'one', body: 1 })))
    await vi.waitFor(() => expect(answers.map(({ body }) => JSON.parse(body).code)).toEqual(Array(3).fill('request-under-way')))
    expect(await ask({ key: 'one', body: 2 })).toMatchObject({ status: 422 })
    open()
    await Promise.all(all)
    expect(answers.slice(3).map(({ status, body }) => [status, body])).toEqual(Array(17).fill([201, '{"job":1}']))
    expect(runs()).toBe(1)
    await app.close()
  })

  test.each([
    ['an error of the handler', () => Promise.reject(new IopaError(409, 'job-exists', 'It is there.', { extensions: { job: 7 } })), 409, 1],
    ['an answer of 404', () => reply(404, { gone: true }), 404, 1],
    ['text', () => 'done', 200, 1],
    ['bytes', () => Uint8Array.of(65, 66), 200, 1],
    ['nothing', () => undefined, 204, 1],
    ['null', () => null, 200, 1],
    ['a fault', () => Promise.reject(new Error('broken')), 500, 2],
    ['a wish to try again', () => reply(429, undefined, { 'retry-after': '1' }), 429, 2],
    ['an answer of 503', () => reply(503), 503, 2]
  ])('that gets %s', async (_, handler, status, times) => {
    const { app, ask, runs } = served({}, handler)
    const first = await ask({ key: 'one' })
    const again = await ask({ key: 'one' })
    expect([first.status, again.status, again.body, again.type]).toEqual([status, status, first.body, first.type])
    expect(runs()).toBe(times)
    await app.close()
  })

  test('that is answered by a stream, or by too much, is not handled again', async () => {
    for (const handler of [
      () =>
        (async function* () {
          yield 'a stream'
        })(),
      () => 'x'.repeat(3000)
    ]) {
      const { app, ask, runs } = served({ limits: { answerBytes: 2000 } }, handler)
      expect((await ask({ key: 'one' })).status).toBe(200)
      expect(await ask({ key: 'one' })).toMatchObject({ status: 409, body: expect.stringContaining('answer-not-kept') })
      expect(runs()).toBe(1)
      await app.close()
    }
  })

  test('is known after a restart, for its time', async () => {
    const storage = lasting()
    const clock = virtualClock({ start: 1e12 })
    const first = served({ storage, clock })
    await first.ask({ key: 'one', user: 'ann' })
    await first.app.close()
    const again = served({ storage, clock })
    expect(await again.ask({ key: 'one', user: 'ann' })).toMatchObject({ status: 201, body: '{"job":1}' })
    expect(again.runs()).toBe(0)
    await clock.advance(24 * 3_600_000)
    await again.ask({ key: 'one', user: 'ann' })
    expect(again.runs()).toBe(1)
    await again.app.close()
  })

  test('is bounded: the oldest answers go, and those of the user that has too many', async () => {
    const storage = lasting()
    const { app, ask, runs } = served({ storage, limits: { entries: 6, entriesPerUser: 4 } })
    await ask({ key: 'ann-1', user: 'ann' })
    for (let n = 1; n <= 10; n++) await ask({ key: `bob-${n}`, user: 'bob' })
    const before = runs()
    await ask({ key: 'ann-1', user: 'ann' })
    await ask({ key: 'bob-10', user: 'bob' })
    await ask({ key: 'bob-7', user: 'bob' })
    expect(runs()).toBe(before)
    await ask({ key: 'bob-6', user: 'bob' })
    expect(runs()).toBe(before + 1)
    let records = 0
    for await (const _ of storage.list()) records++
    expect(records).toBe(5)
    for (let n = 1; n <= 10; n++) await ask({ key: 'k', user: `user-${n}` })
    records = 0
    for await (const _ of storage.list()) records++
    expect(records).toBe(6)
    await app.close()
  })

  test('before the authentication keeps nothing, so that no user gets the answer of another, and warns once', async () => {
    const warnings: unknown[] = []
    const logger = { ...console, warn: (...words: unknown[]) => void warnings.push(words.join(' ')) }
    let runs = 0
    const app = new App({ logger })
      .use(idempotency())
      .use((context, next) => {
        const name = context.headers.get('x-name')
        if (name !== undefined) context['server.User'] = { id: name }
        return next()
      })
      .use(context => reply(201, `${context.user?.id} ${++runs}`))
    const ask = asking(app)
    const bodies: string[] = []
    for (const name of ['ann', 'bob', 'ann']) bodies.push((await ask({ key: 'a', headers: { 'x-name': name } })).body)
    expect(bodies).toEqual(['ann 1', 'bob 2', 'ann 3'])
    expect(warnings).toEqual([expect.stringContaining('idempotency() stands before the authentication')])
    // Of one without a user, the answer is kept.
    expect([(await ask({ key: 'b' })).body, (await ask({ key: 'b' })).body]).toEqual(['undefined 4', 'undefined 4'])
  })

  test('passes where the same middleware stands on its way twice', async () => {
    const keys = idempotency()
    let runs = 0
    const app = new App({ logger: false })
      .use(keys)
      .use((context, next: Next) => keys.invoke(context, next))
      .use(() => ++runs)
    const ask = asking(app)
    expect([(await ask({ key: 'one' })).body, (await ask({ key: 'one' })).body]).toEqual(['1', '1'])
    await app.close()
  })
})

describe('the collection of a store', () => {
  const light = resource('/lights/{id}', { state: z.object({ on: z.boolean() }), methods: { get: {} } })
  const lights = collection(light, '/lights', { create: true })

  test.each([
    ['in memory', undefined],
    ['in a storage', lasting()]
  ])('%s creates once for one key', async (_, storage) => {
    const kept = store(light, storage === undefined ? {} : { storage })
    const app = new App({ logger: false }).use(router()).use(resources())
    app.serve(lights, kept)
    const ask = asking(app)
    const first = await ask({ key: 'one', path: '/lights', body: { on: true } })
    expect(first).toMatchObject({ status: 201, headers: { location: expect.stringMatching(/^\/lights\//), etag: expect.stringMatching(/j"$/) } })
    expect(await ask({ key: 'one', path: '/lights', body: { on: true } })).toEqual(first)
    expect(await ask({ key: 'one', path: '/lights', body: { on: false } })).toMatchObject({ status: 422 })
    expect((await kept.list()).length).toBe(1)
    await app.close()
    if (storage === undefined) return
    const again = store(light, { storage })
    const restarted = new App({ logger: false }).use(router()).use(resources())
    restarted.serve(lights, again)
    expect(await asking(restarted)({ key: 'one', path: '/lights', body: { on: true } })).toEqual(first)
    expect((await again.list()).length).toBe(1)
    await restarted.close()
  })

  test('keeps answer and document in one batch', async () => {
    const storage = lasting()
    const batches: number[] = []
    const { batch } = storage
    storage.batch = changes => {
      if (changes.some(({ key }) => key.includes('\0k\0'))) batches.push(changes.filter(({ key }) => key.includes('\0d\0')).length)
      return batch(changes)
    }
    const kept = store(light, { storage })
    const app = new App({ logger: false }).use(router()).use(resources())
    app.serve(lights, kept)
    await asking(app)({ key: 'one', path: '/lights', body: { on: true } })
    expect(batches).toEqual([1])
    await app.close()
  })
})
