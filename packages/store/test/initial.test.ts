import type { Storage, StorageChange } from '@iopa/appbuilder/extension'
import { resource } from '@iopa/resource'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { memory, store } from '../src/index.ts'
import { light } from './support.ts'

// A store that cannot be opened says so there.
beforeEach(() => void vi.spyOn(console, 'error').mockReturnValue())

const on = { on: true }
const idsOf = async (lights: { list(): Promise<readonly { readonly id: unknown }[]> }) => (await lights.list()).map(({ id }) => id)

/** A storage that outlives its stores; `batch` may see or refuse what is written. */
const lasting = (inner: Storage, batch: (changes: readonly StorageChange[]) => Promise<void> = changes => inner.batch(changes)): Storage => ({
  get: key => inner.get(key),
  put: (key, value) => inner.put(key, value),
  delete: key => inner.delete(key),
  list: range => inner.list(range),
  batch,
  close: async () => undefined
})

describe('the initial documents of a store', () => {
  test.each([
    ['one is not valid', { initial: { a: on, b: { on: 'yes' as never } } }, /\/on/],
    ['there are too many', { initial: { a: on, b: on }, limits: { documents: 1 } }, /at most 1 documents/]
  ])('are not made at all where %s, and the next start makes all', async (_, options, reason) => {
    const inner = memory()
    const failing = store(light, { ...options, storage: lasting(inner) })
    await expect(failing.ready()).rejects.toThrow(reason)
    await failing.close()
    const next = store(light, { initial: { a: on, b: on }, storage: lasting(inner) })
    expect(await idsOf(next)).toEqual(['a', 'b'])
    await next.close()
  })

  test('are written at once, with the versions that they reserve and their history', async () => {
    const inner = memory()
    const batches: number[] = []
    const batch = (changes: readonly StorageChange[]): Promise<void> => {
      batches.push(changes.length)
      return inner.batch(changes)
    }
    const asynchronous = resource('/lamps/{id}', {
      state: z.object({ on: z.boolean().refine(async () => true) }),
      methods: { get: {}, put: {} }
    })
    const initial = Object.fromEntries(Array.from({ length: 50 }, (_, at) => [`l${at}`, on]))
    const lamps = store(asynchronous, { initial, history: {}, storage: lasting(inner, batch) })
    const before = await lamps.list()
    expect(before).toHaveLength(50)
    expect(batches).toEqual([101])
    await lamps.close()
    const again = store(asynchronous, { initial, history: {}, storage: lasting(inner) })
    expect(await again.list()).toEqual(before)
    expect((await again.put('l0', on)).version).toBeGreaterThan(Math.max(...before.map(({ version }) => version)))
    await again.close()
  })

  test('are made by a later use where the storage refused them first', async () => {
    const inner = memory()
    let refuses = true
    const batch = (changes: readonly StorageChange[]): Promise<void> => (refuses ? Promise.reject(new Error('full')) : inner.batch(changes))
    const now = { time: 0 }
    const clock = { now: () => now.time, elapsed: () => now.time } as never
    const lights = store(light, { initial: { a: on, b: on }, clock, storage: lasting(inner, batch) })
    await expect(lights.list()).rejects.toThrow('full')
    refuses = false
    now.time = 2000
    expect(await idsOf(lights)).toEqual(['a', 'b'])
    await lights.close()
  })

  test('say the same at each use where a schema refuses them later, without a storage', async () => {
    const refusing = resource('/lamps/{id}', {
      state: z.object({ on: z.boolean().refine(async () => false, 'never') }),
      methods: { get: {}, put: {} }
    })
    const now = { time: 0 }
    const lamps = store(refusing, { initial: { a: on }, clock: { now: () => now.time, elapsed: () => now.time } as never })
    await expect(lamps.list()).rejects.toThrow('never')
    now.time = 2000
    await expect(lamps.list()).rejects.toThrow('never')
    await lamps.close()
  })
})
