import { App, IopaError } from '@iopa/appbuilder'
import type { Storage } from '@iopa/appbuilder/extension'
import { http } from '@iopa/http'
import { history, resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type HistoryOptions, store } from '../../src/index.ts'
import { memory } from '../../src/storage/memory.ts'

const light = resource('/lights/{id}', {
  title: 'A light',
  state: z.object({ level: z.number() }),
  computed: { half: z.number() },
  methods: { get: {}, put: {}, delete: {} }
})

const START = Date.parse('2026-01-01T00:00:00Z')

const served = (options: HistoryOptions = {}, storage?: Storage, clock = virtualClock({ start: START })) => {
  const lights = store(light, {
    history: options,
    clock,
    computed: { half: ({ level }) => level / 2 },
    ...(storage === undefined ? undefined : { storage })
  })
  const app = new App({ logger: false }).use(router()).use(resources())
  app.serve(light, lights)
  const get = async (path: string) => {
    const [name = '', query = ''] = path.split('?')
    const answer = await app.invoke({ 'iopa.Path': name, 'iopa.QueryString': query })
    return { status: answer.status, body: (await answer.json()) as { items: Record<string, unknown>[]; next?: number } }
  }
  const levels = async (path = '/lights/hall/history') =>
    (await get(path)).body.items.map(({ state }) => (state as { level: number } | undefined)?.level)
  return { app, lights, clock, get, levels }
}

/** Lets the pruning go on, which does not wait for timers. */
const settle = () => new Promise(resolve => setTimeout(resolve, 5))

/** A storage whose data outlives it. */
const lasting = (storage = memory()): Storage & { readonly all: () => Promise<string[]> } => ({
  get: key => storage.get(key),
  put: (key, value) => storage.put(key, value),
  delete: key => storage.delete(key),
  list: range => storage.list(range),
  batch: changes => storage.batch(changes),
  close: async () => undefined,
  all: async () => {
    const keys: string[] = []
    for await (const [key] of storage.list()) keys.push(key)
    return keys
  }
})

describe.each([
  ['memory', () => undefined],
  ['a storage', () => memory()]
])('the history of a store in %s', (_, storage) => {
  test('has every state with its version and time, deletions too', async () => {
    const { app, lights, clock, get } = served({}, storage())
    await lights.put('hall', { level: 1 })
    await clock.advance(1000)
    await lights.put('hall', { level: 2 })
    await lights.delete('hall')
    await lights.put('hall', { level: 3 })
    await lights.put('attic', { level: 9 })
    const { items } = (await get('/lights/hall/history')).body
    expect(items.map(({ time, state, deleted }) => ({ time, state, deleted }))).toEqual([
      { time: '2026-01-01T00:00:00.000Z', state: { level: 1, half: 0.5 } },
      { time: '2026-01-01T00:00:01.000Z', state: { level: 2, half: 1 } },
      { time: '2026-01-01T00:00:01.000Z', deleted: true },
      { time: '2026-01-01T00:00:01.000Z', state: { level: 3, half: 1.5 } }
    ])
    expect(items.at(-1)?.version).toBe((await lights.get('hall'))?.version)
    expect(await get('/lights/cellar/history')).toMatchObject({ status: 404 })
    await lights.delete('hall')
    expect((await get('/lights/hall/history')).body.items.length).toBe(5)
    await app.close()
  })

  test('is read from a version or a time, in pages', async () => {
    const { app, lights, clock, get, levels } = served({}, storage())
    for (let level = 1; level <= 5; level++) {
      await lights.put('hall', { level })
      await clock.advance(1000)
    }
    const first = await get('/lights/hall/history?limit=2')
    expect(first.body.items.length).toBe(2)
    expect(await levels(`/lights/hall/history?limit=2&since=${first.body.next}`)).toEqual([3, 4])
    const last = await get(`/lights/hall/history?limit=2&since=${(await get(`/lights/hall/history?limit=2&since=${first.body.next}`)).body.next}`)
    expect([last.body.items.length, last.body.next]).toEqual([1, undefined])
    expect(await levels('/lights/hall/history?since=2026-01-01T00:00:03Z')).toEqual([4, 5])
    expect(await levels('/lights/hall/history?since=2027-01-01T00:00:00Z')).toEqual([])
    for (const query of ['since=yesterday', 'since=-1', 'limit=0', 'limit=x', 'since=1&since=2'])
      expect(await get(`/lights/hall/history?${query}`)).toMatchObject({ status: 422, body: { code: 'invalid-input' } })
    expect((await get('/lights/hall/history?limit=100000')).status).toBe(200)
    await app.close()
  })

  test('keeps the newest states, by number, by bytes and by age', async () => {
    const many = served({ keep: 8 }, storage())
    for (let level = 1; level <= 40; level++) await many.lights.put('hall', { level })
    await settle()
    const kept = await many.levels()
    expect(kept.at(-1)).toBe(40)
    expect(kept.length).toBeGreaterThanOrEqual(8)
    expect(kept.length).toBeLessThanOrEqual(10)
    await many.app.close()

    const large = served({ bytes: 600 }, storage())
    for (let level = 1; level <= 40; level++) await large.lights.put('hall', { level })
    await settle()
    expect((await large.levels()).at(-1)).toBe(40)
    expect((await large.levels()).length).toBeLessThan(12)
    await large.app.close()

    const old = served({ days: 2 }, storage())
    await old.lights.put('hall', { level: 1 })
    await old.clock.advance(86_400_000)
    await old.lights.put('hall', { level: 2 })
    await old.clock.advance(86_400_001)
    // Before anything is removed, what is too old is not shown.
    expect(await old.levels()).toEqual([2])
    await old.app.close()
  })

  test('replays what an observer has missed, each state with its tag', async () => {
    const { app, lights } = served({ keep: 50 }, storage())
    const versions: number[] = []
    for (let level = 1; level <= 4; level++) versions.push((await lights.put('hall', { level })).version)
    await lights.delete('hall')
    versions.push((await lights.put('hall', { level: 6 })).version)
    const tags = versions.map(version => `"${version.toString(36)}j"`)
    const observe = async (last: string) => {
      const heard: unknown[] = []
      const context = app.create({ 'iopa.Path': '/lights/hall', 'iopa.Headers': { 'last-event-id': last }, 'iopa.Observe': true })
      await app.host().observe(context, answer => void heard.push([JSON.parse(String(answer.payload)).level, answer.headers.get('etag')]))
      await context.end()
      return heard
    }
    expect(await observe(tags[1] as string)).toEqual([
      [3, tags[2]],
      [4, tags[3]],
      [6, tags[4]]
    ])
    expect(await observe((tags[3] as string).replaceAll('"', ''))).toEqual([[6, tags[4]]])
    for (const other of [tags[4] as string, '"zzzzj"', '"0j"', 'x', '']) expect(await observe(other)).toEqual([[6, tags[4]]])
    await app.close()
  })
})

describe('the history of a store in a storage', () => {
  test('is there after a restart, and goes on', async () => {
    const storage = lasting()
    const first = served({ keep: 10 }, storage)
    await first.lights.put('hall', { level: 1 })
    await first.lights.put('hall', { level: 2 })
    await first.app.close()
    const again = served({ keep: 10 }, storage)
    await again.lights.put('hall', { level: 3 })
    expect(await again.levels()).toEqual([1, 2, 3])
    await again.app.close()
  })

  test('has no state whose change was refused', async () => {
    const storage = lasting()
    const { app, lights, levels } = served({}, storage)
    await lights.put('hall', { level: 1 })
    const { batch } = storage
    // The write arrives, and its outcome is lost.
    storage.batch = async changes => {
      await batch(changes)
      throw new IopaError(507, 'storage-full', 'The disk is full.')
    }
    await expect(lights.put('hall', { level: 2 })).rejects.toMatchObject({ status: 507 })
    await expect(lights.put('hall', { level: 3 })).rejects.toMatchObject({ status: 507 })
    storage.batch = batch
    await lights.put('attic', { level: 4 })
    expect(await levels()).toEqual([1])
    await app.close()
  })

  test('loses old entries of documents that nothing changes any more', async () => {
    const storage = lasting()
    const { app, lights, clock } = served({ days: 1 }, storage)
    await lights.put('hall', { level: 1 })
    await lights.put('attic', { level: 1 })
    const entries = async () => (await storage.all()).filter(key => key.includes('\0h\0')).length
    await settle()
    expect(await entries()).toBe(2)
    await clock.advance(86_400_000 + 61_000)
    await settle()
    expect(await entries()).toBe(0)
    await app.close()
  })

  test('goes with a deleted document that is no longer remembered', async () => {
    const storage = lasting()
    const lights = store(light, { storage, history: {}, computed: { half: () => 0 }, limits: { tombstones: 1 } })
    for (const id of ['a', 'b', 'c']) {
      await lights.put(id, { level: 1 })
      await lights.delete(id)
    }
    await settle()
    const keys = (await storage.all()).filter(key => key.includes('\0h\0'))
    expect(new Set(keys.map(key => key.split('\0')[3]))).toEqual(new Set(['c']))
    await lights.close()
  })
})

describe('an event stream over HTTP', () => {
  test('goes on behind Last-Event-ID: each missed state is an event with its id', async () => {
    const lights = store(light, { history: {}, computed: { half: () => 0 } })
    const app = new App({ logger: false })
      .use(router())
      .use(resources())
      .use(http({ port: 0 }))
    app.serve(light, lights)
    const [listener] = await app.listen()
    for (let level = 1; level <= 3; level++) await lights.put('hall', { level })
    const stop = new AbortController()
    const events = async (last: string | undefined, count: number) => {
      const headers = { accept: 'text/event-stream', ...(last === undefined ? undefined : { 'last-event-id': last }) }
      const response = await fetch(new URL('/lights/hall', listener?.url), { headers, signal: stop.signal })
      let text = ''
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
        text += Buffer.from(chunk).toString()
        if (text.split('data: ').length > count) break
      }
      return [...text.matchAll(/id: (.*)\ndata: (.*)\n/g)].map(([, id, data]) => [id, (JSON.parse(data as string) as { level: number }).level])
    }
    const [[id] = []] = await events(undefined, 1)
    await lights.put('hall', { level: 4 })
    await lights.put('hall', { level: 5 })
    const missed = await events(id as string, 2)
    expect(missed.map(([, level]) => level)).toEqual([4, 5])
    expect(missed[1]?.[0]).toBe(`"${(await lights.get('hall'))?.version.toString(36)}j"`)
    stop.abort()
    await app.close({ timeout: 0 })
  })
})

describe('the option history', () => {
  test('is refused with values that it cannot have', () => {
    const make = (options: object) => () => store(light, { history: options, computed: { half: () => 0 } })
    expect(make({ keep: 0 })).toThrow(/history.keep of store\(\) is a number above 0/)
    expect(make({ days: '7' })).toThrow(/history.days/)
    expect(make({ weeks: 1 })).toThrow(/has no 'weeks'/)
  })

  test('has a contract that clients share', () => {
    expect(history(light)).toMatchObject({ pattern: '/lights/{id}/history', title: 'A light: earlier states', methods: { GET: {} } })
  })
})
