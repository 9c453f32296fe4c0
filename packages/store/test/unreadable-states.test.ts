import { resource } from '@iopa/resource'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { memory, store } from '../src/index.ts'

// A store that cannot be opened says so there.
beforeEach(() => void vi.spyOn(console, 'error').mockReturnValue())

const of = (member: z.ZodType) => resource('/events/{id}', { state: z.object({ of: member }), methods: { get: {}, put: {} } })

/** Values that JSON does not give back to their schemas. */
const UNREADABLE: readonly [name: string, schema: z.ZodType, value: unknown][] = [
  ['a date', z.date(), new Date(0)],
  ['a date of a schema that answers later', z.date().refine(async () => true), new Date(0)],
  ['a bigint', z.bigint(), 10n],
  ['a map', z.map(z.string(), z.number()), new Map([['a', 1]])],
  ['an infinite number', z.union([z.number(), z.custom<number>(value => value === Number.POSITIVE_INFINITY)]), Number.POSITIVE_INFINITY],
  ['a date in a list', z.array(z.object({ at: z.date() })), [{ at: new Date(0) }]]
]

describe('a state that its JSON does not give back', () => {
  test.each(UNREADABLE)('%s: is refused where it is written, and leaves the document as it was', async (_, schema, value) => {
    for (const options of [{ storage: memory() }, { history: {} }]) {
      const events = store(of(schema), options)
      await expect(events.put('a', { of: value } as never)).rejects.toMatchObject({ status: 500, code: 'bad-store' })
      expect(await events.get('a')).toBeUndefined()
      await events.close()
      const started = (async () => {
        const initial = store(of(schema), { ...('storage' in options ? { storage: memory() } : options), initial: { a: { of: value } as never } })
        await initial.ready()
      })()
      await expect(started).rejects.toMatchObject({ code: 'bad-store' })
    }
  })

  test.each(UNREADABLE)('%s: is kept in memory', async (_, schema, value) => {
    const events = store(of(schema))
    await events.put('a', { of: value } as never)
    expect((await events.get('a'))?.state).toEqual({ of: value })
    await events.close()
  })

  test('is kept where its schema takes the JSON', async () => {
    const inner = memory()
    const storage = () => ({
      get: inner.get.bind(inner),
      put: inner.put.bind(inner),
      delete: inner.delete.bind(inner),
      list: inner.list.bind(inner),
      batch: inner.batch.bind(inner),
      close: async () => undefined
    })
    const coerced = of(z.coerce.date())
    const first = store(coerced, { storage: storage() })
    await first.put('a', { of: new Date(5) } as never)
    await first.close()
    const second = store(coerced, { storage: storage() })
    expect((await second.get('a'))?.state).toEqual({ of: new Date(5) })
    await second.close()
  })
})
