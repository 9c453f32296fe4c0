import { App } from '@iopa/appbuilder'
import type { Storage } from '@iopa/appbuilder/extension'
import { resource, resources } from '@iopa/resource'
import { router } from '@iopa/router'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { memory, store } from '../src/index.ts'
import { asking, light, lightsApp, recorder } from './support.ts'

/** A storage that outlives the stores that use it. */
const lasting = (): { storage: () => Storage; inner: Storage } => {
  const inner = memory()
  return {
    inner,
    storage: () => ({
      get: key => inner.get(key),
      put: (key, value) => inner.put(key, value),
      delete: key => inner.delete(key),
      list: range => inner.list(range),
      batch: changes => inner.batch(changes),
      close: async () => undefined
    })
  }
}

const keysOf = async (storage: Storage): Promise<string[]> => {
  const keys: string[] = []
  for await (const [key] of storage.list()) keys.push(key)
  return keys
}

describe('a store with a storage', () => {
  test('has its documents, their versions and its tombstones after a restart', async () => {
    const { storage } = lasting()
    const first = lightsApp({ storage: storage(), initial: { hall: { on: false }, attic: { on: false } } })
    await first.ask('PUT', '/lights/hall', { on: true })
    await first.ask('DELETE', '/lights/attic')
    const etag = (await first.ask('GET', '/lights/hall')).headers.etag
    const { version } = await first.lights.put('cellar', { on: true })
    await first.app.close()

    const second = lightsApp({ storage: storage(), initial: { hall: { on: false }, attic: { on: false } } })
    expect(await second.ask('GET', '/lights/hall')).toMatchObject({ status: 200, body: { on: true }, headers: { etag } })
    expect((await second.ask('GET', '/lights/attic')).status).toBe(410)
    expect((await second.lights.list()).map(({ id }) => id)).toEqual(['cellar', 'hall'])
    expect((await second.lights.put('hall', { on: true })).version).toBeGreaterThan(version)
    await second.app.close()
  })

  test('gives no version again where the documents that had it are gone', async () => {
    const { storage, inner } = lasting()
    const first = lightsApp({ storage: storage() })
    const { version } = await first.lights.put('a', { on: true })
    await first.app.close()
    await inner.delete('/lights/{id}\0d\0a')
    const second = lightsApp({ storage: storage() })
    expect((await second.lights.put('a', { on: true })).version).toBeGreaterThan(version)
    await second.app.close()
  })

  test('forgets the oldest tombstones in the storage too', async () => {
    const { storage, inner } = lasting()
    const { app, lights } = lightsApp({ storage: storage(), limits: { tombstones: 3 } })
    for (let at = 0; at < 20; at++) {
      await lights.put(`l${at}`, { on: true })
      await lights.delete(`l${at}`)
    }
    await app.close()
    expect(await keysOf(inner)).toEqual(['l17', 'l18', 'l19'].map(id => `/lights/{id}\0d\0${id}`).concat('/lights/{id}\0m\0'))
  })

  test('shares one storage with stores of other resources, and refuses a second one of its own', async () => {
    const room = resource('/rooms/{id}', { state: z.object({ name: z.string() }), methods: { get: {}, put: {} } })
    const storage = memory()
    const lights = store(light, { storage })
    const rooms = store(room, { storage })
    await lights.put('a', { on: true })
    await rooms.put('a', { name: 'Hall' })
    expect(await lights.list()).toHaveLength(1)
    expect(() => store(light, { storage })).toThrow(/Two stores of \/lights\/{id}/)
    await lights.close()
    await rooms.put('b', { name: 'Attic' })
    await rooms.close()
    await expect(storage.get('a')).rejects.toMatchObject({ code: 'closed' })
  })

  test('names damaged documents, sets them aside and serves the rest', async () => {
    const { storage, inner } = lasting()
    const first = lightsApp({ storage: storage() })
    for (const id of ['a', 'b', 'c', 'd', 'e']) await first.lights.put(id, { on: true, name: `light ${id}` })
    await first.app.close()
    const damage = async (id: string, change: (bytes: Uint8Array) => Uint8Array): Promise<void> => {
      const key = `/lights/{id}\0d\0${id}`
      await inner.put(key, change(new Uint8Array((await inner.get(key)) as Uint8Array)))
    }
    await damage('a', bytes => bytes.with(20, (bytes[20] as number) ^ 1))
    await damage('b', bytes => bytes.subarray(0, 3))
    await damage('c', () => new TextEncoder().encode('{"on":true}'))
    await damage('d', () => new Uint8Array(0))
    const { lines, logger } = recorder()
    const second = lightsApp({ storage: storage() }, { logger })
    expect((await second.lights.list()).map(({ id }) => id)).toEqual(['e'])
    expect(await second.ask('GET', '/lights/a')).toMatchObject({ status: 404 })
    expect((await second.lights.setAside()).map(({ id, reason }) => `${id} ${reason}`)).toEqual([
      'a the record is damaged: its checksum does not fit',
      'b the record has an unknown format in its 3 bytes',
      'c the record has an unknown format in its 11 bytes',
      'd the record has an unknown format in its 0 bytes'
    ])
    for (const id of ['a', 'b', 'c', 'd']) expect(lines.join('\n')).toContain(`"${id}" of /lights/{id} cannot be read and is set aside`)
    await second.lights.put('a', { on: false })
    await second.app.close()
    const third = lightsApp({ storage: storage() })
    expect((await third.lights.list()).map(({ id }) => id)).toEqual(['a', 'e'])
    expect(await third.lights.setAside()).toHaveLength(4)
    await third.app.close()
  })

  const first = resource('/lamps/{id}', { state: z.object({ on: z.boolean() }), methods: { get: {}, put: {} } })
  const second = resource('/lamps/{id}', {
    version: 2,
    state: z.object({ level: z.number().max(100) }),
    migrate: old => {
      const { on } = old as { on: boolean | null }
      if (on === null) throw new Error('nothing is known of it')
      return { level: on ? 100 : 0 }
    },
    methods: { get: {}, put: {} }
  })

  test('migrates documents of earlier versions, and writes them back', async () => {
    const { storage, inner } = lasting()
    const old = store(first, { storage: storage() })
    await old.put('a', { on: true })
    const { version } = await old.put('b', { on: false })
    await old.close()
    const now = store(second, { storage: storage() })
    expect((await now.list()).map(({ state }) => state)).toEqual([{ level: 100 }, { level: 0 }])
    expect((await now.get('b'))?.version).toBe(version)
    await now.close()
    const text = new TextDecoder().decode(((await inner.get('/lamps/{id}\0d\0a')) as Uint8Array).subarray(5))
    expect(JSON.parse(text)).toMatchObject({ shape: 2, state: { level: 100 } })
  })

  test('sets aside what cannot be migrated, and takes it back when it can', async () => {
    const { storage } = lasting()
    const old = store(first, { storage: storage() })
    await old.put('a', { on: true })
    await old.put('b', { on: true })
    await old.close()
    const broken = store({ ...second, migrate: undefined } as never as typeof second, { storage: storage() })
    const log = vi.spyOn(console, 'error').mockReturnValue(undefined)
    expect(await broken.list()).toEqual([])
    expect((await broken.setAside()).map(({ id, reason }) => `${id} ${reason}`)).toEqual(
      ['a', 'b'].map(id => `${id} it has the version 1 of its resource, and the resource has no migrate() to its version 2`)
    )
    await broken.put('b', { level: 7 })
    await broken.close()
    const fixed = store(second, { storage: storage() })
    expect((await fixed.list()).map(({ id, state }) => [id, state])).toEqual([
      ['a', { level: 100 }],
      ['b', { level: 7 }]
    ])
    expect((await fixed.setAside()).map(({ id }) => id)).toEqual(['b'])
    await fixed.close()
    log.mockRestore()
  })

  test('answers what kept it from opening, and opens when that is over', async () => {
    const { storage, inner } = lasting()
    let locked = true
    const flaky = { ...storage(), get: (key: string) => (locked ? Promise.reject(new Error('no disk')) : inner.get(key)) }
    let now = 0
    const clock = { now: () => 0, elapsed: () => now, setTimeout: () => undefined, clearTimeout: () => undefined }
    const { lines, logger } = recorder()
    const app = new App({ logger }).use(router()).use(resources())
    const lights = store(light, { storage: flaky, clock })
    app.serve(light, lights)
    const ask = asking(app)
    expect((await ask('GET', '/lights/a')).status).toBe(500)
    await expect(lights.ready()).rejects.toThrow('no disk')
    expect(lines.join('\n')).toContain('the store of /lights/{id} cannot be opened')
    locked = false
    now = 1000
    expect((await ask('GET', '/lights/a')).status).toBe(404)
    expect((await ask('PUT', '/lights/a', { on: true })).status).toBe(201)
    await app.close()
    await expect(lights.put('a', { on: true })).rejects.toMatchObject({ status: 503, code: 'closed' })
  })
})
