import assert from 'node:assert/strict'
import type { Storage, StorageChange, StorageRange } from '@iopa/appbuilder/extension'
import type { ContractCase } from './case.ts'

/** The storage that a suite is run for. */
export interface StorageSubject {
  /** An empty storage. The suite closes it. */
  create(): Storage | Promise<Storage>
}

const utf8 = new TextEncoder()
const bytes = (text: string): Uint8Array => utf8.encode(text)
const put = (key: string, text = key): StorageChange => ({ type: 'put', key, value: bytes(text) })
const remove = (key: string): StorageChange => ({ type: 'delete', key })

const keysOf = async (storage: Storage, range?: StorageRange): Promise<string[]> => {
  const keys: string[] = []
  for await (const [key] of storage.list(range)) keys.push(key)
  return keys
}

const textOf = async (storage: Storage, key: string): Promise<string | undefined> => {
  const value = await storage.get(key)
  return value === undefined ? undefined : new TextDecoder().decode(value)
}

/** Keys of every length of UTF-8, in the order of their bytes; in that of UTF-16 the last two change places. */
const ORDERED = [
  '',
  '\0',
  '\0\0',
  '\x01',
  ' ',
  '/',
  'A',
  'Z',
  '__proto__',
  'a',
  'a\0',
  'a\0b',
  'aa',
  'b',
  'constructor',
  'é',
  '€',
  '\ufffd',
  '\u{10000}',
  '\u{10ffff}'
]

/** The suite of `Storage`: run each case in any test runner. */
export const storageContract = (subject: StorageSubject): ContractCase[] =>
  CASES.map(([name, run]) => ({
    name,
    run: async () => {
      const storage = await subject.create()
      try {
        await run(storage)
      } finally {
        await storage.close()
      }
    }
  }))

const CASES: readonly (readonly [name: string, run: (storage: Storage) => Promise<void>])[] = [
  [
    'gives back what was put, and undefined for what was not or has been deleted',
    async storage => {
      assert.equal(await storage.get('a'), undefined)
      await storage.put('a', bytes('one'))
      assert.equal(await textOf(storage, 'a'), 'one')
      await storage.put('a', bytes('two'))
      assert.equal(await textOf(storage, 'a'), 'two')
      await storage.delete('a')
      assert.equal(await storage.get('a'), undefined)
      await storage.delete('a')
    }
  ],
  [
    'keeps any bytes, also none, in arrays that are views of larger ones',
    async storage => {
      const all = Uint8Array.from({ length: 256 }, (_, at) => at)
      await storage.put('all', all)
      await storage.put('none', new Uint8Array(0))
      await storage.put('view', all.subarray(16, 32))
      const large = new Uint8Array(300_000).fill(7)
      await storage.put('large', large)
      assert.deepEqual(new Uint8Array((await storage.get('all')) as Uint8Array), all)
      assert.equal((await storage.get('none'))?.length, 0)
      assert.deepEqual(new Uint8Array((await storage.get('view')) as Uint8Array), all.slice(16, 32))
      assert.deepEqual(new Uint8Array((await storage.get('large')) as Uint8Array), large)
    }
  ],
  [
    'keeps its own copy of a value',
    async storage => {
      const value = bytes('before')
      await storage.put('a', value)
      value.fill(0)
      assert.equal(await textOf(storage, 'a'), 'before')
    }
  ],
  [
    'lists keys in the order of their UTF-8 bytes, and backwards',
    async storage => {
      const shuffled = ORDERED.map((_, at) => ORDERED[(at * 7) % ORDERED.length] as string)
      await storage.batch(shuffled.map(key => put(key)))
      assert.deepEqual(await keysOf(storage), ORDERED)
      assert.deepEqual(await keysOf(storage, { reverse: true }), ORDERED.toReversed())
      for await (const [key, value] of storage.list()) assert.equal(new TextDecoder().decode(value), key)
    }
  ],
  [
    'lists a prefix, what is behind a key, and a number of entries, in every combination',
    async storage => {
      await storage.batch(ORDERED.map(key => put(key)))
      const ranks = new Map(ORDERED.map((key, at) => [key, at]))
      for (const prefix of [undefined, '', 'a', 'a\0', '\0', 'é', '\u{10ffff}', 'x'])
        for (const after of [undefined, '', 'A', 'a', 'a\0', 'aab', '\u{10000}'])
          for (const limit of [undefined, 1, 3, 100])
            for (const reverse of [false, true]) {
              const rank = after === undefined ? -1 : (ranks.get(after) ?? ORDERED.indexOf('aa'))
              let expected = ORDERED.filter((key, at) => key.startsWith(prefix ?? '') && at > rank)
              if (reverse) expected = expected.toReversed()
              const range = {
                reverse,
                ...(prefix === undefined ? {} : { prefix }),
                ...(after === undefined ? {} : { after }),
                ...(limit === undefined ? {} : { limit })
              }
              assert.deepEqual(await keysOf(storage, range), expected.slice(0, limit), JSON.stringify(range))
            }
    }
  ],
  [
    'lists the entries of one moment while others are changed',
    async storage => {
      await storage.batch(Array.from({ length: 50 }, (_, at) => put(String(at).padStart(2, '0'), 'old')))
      const seen: string[] = []
      for await (const [key, value] of storage.list()) {
        if (seen.length === 0) await storage.batch([put('99'), remove('30'), put('40', 'new')])
        seen.push(`${key} ${new TextDecoder().decode(value)}`)
      }
      assert.equal(seen.length, 50)
      assert.ok(seen.every(entry => entry.endsWith(' old')))
    }
  ],
  [
    'makes all changes of a batch, of which the last one of a key counts',
    async storage => {
      await storage.put('gone', bytes('x'))
      await storage.batch([put('a', 'one'), remove('gone'), put('b'), put('a', 'two'), put('c'), remove('c'), remove('d'), put('d')])
      assert.deepEqual(await keysOf(storage), ['a', 'b', 'd'])
      assert.equal(await textOf(storage, 'a'), 'two')
      await storage.batch([])
    }
  ],
  [
    'never shows a part of a batch',
    async storage => {
      let done = false
      const writing = (async () => {
        for (let round = 0; round < 100; round++) await storage.batch(Array.from({ length: 8 }, (_, at) => put(`k${at}`, String(round))))
        done = true
      })()
      while (!done) {
        const values = new Set<string>()
        for await (const [, value] of storage.list({ prefix: 'k' })) values.add(new TextDecoder().decode(value))
        assert.ok(values.size <= 1, [...values].join(' '))
      }
      await writing
    }
  ],
  [
    'makes changes in the order of the calls, without one waiting for another',
    async storage => {
      const calls = Array.from({ length: 500 }, (_, at) => (at % 7 === 3 ? storage.delete('a') : storage.put('a', bytes(String(at)))))
      await Promise.all(calls)
      assert.equal(await textOf(storage, 'a'), '499')
      await Promise.all([storage.put('b', bytes('x')), storage.delete('b')])
      assert.equal(await storage.get('b'), undefined)
    }
  ],
  [
    'stops a list that is left',
    async storage => {
      await storage.batch(Array.from({ length: 2000 }, (_, at) => put(`k${at}`)))
      for await (const [key] of storage.list()) {
        assert.equal(key, 'k0')
        break
      }
      await storage.put('k0', bytes('x'))
    }
  ],
  [
    'closes once, after the writes under way, and then rejects with 503 closed',
    async storage => {
      const writes = Array.from({ length: 100 }, (_, at) => storage.put(`k${at}`, bytes('x')))
      await Promise.all([storage.close(), storage.close()])
      await Promise.all(writes)
      const closed = { status: 503, code: 'closed' }
      await assert.rejects(storage.put('a', bytes('x')), closed)
      await assert.rejects(storage.batch([put('a')]), closed)
      await assert.rejects(storage.get('a'), closed)
      await assert.rejects(keysOf(storage), closed)
      await storage.close()
    }
  ]
]
