import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom, type VirtualClock, virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { storeOn } from '../src/files/file-store.ts'
import { type FileSystem, nodeFileSystem } from '../src/files/file-system.ts'
import { fileStore } from '../src/node.ts'
import { NumberBlocks } from '../src/store/number-blocks.ts'
import { StoredNumbers } from '../src/store/stored-numbers.ts'
import { MemoryStore, SILENT } from './peers.ts'

/** Rounds of power cuts, and of old copies; `pnpm oscore-crash` has more. */
const ROUNDS = Number(process.env['OSCORE_KILLS'] ?? 5)
const TIMEOUT = { timeout: 10_000 + ROUNDS * 500 }

/** A file system in memory that can lose the power: names that were not synced are gone, in any combination, and content that was not synced too. */
class FragileFiles implements FileSystem {
  readonly durable = new Map<string, string>()
  readonly current = new Map<string, string>()
  /** Steps until the power is cut: the step is half done. */
  fuse = Number.POSITIVE_INFINITY

  #step(): void {
    if (--this.fuse < 0) throw Object.assign(new Error('no power'), { code: 'EIO' })
  }
  async makeDirectory(): Promise<void> {}
  async list(): Promise<readonly string[]> {
    this.#step()
    return [...this.current.keys()].map(path => path.slice(path.lastIndexOf('/') + 1))
  }
  async read(path: string): Promise<string> {
    const content = this.current.get(path)
    if (content === undefined) throw Object.assign(new Error('no file'), { code: 'ENOENT' })
    return content
  }
  async create(path: string, content: string): Promise<void> {
    if (this.current.has(path)) throw Object.assign(new Error('a file'), { code: 'EEXIST' })
    this.current.set(path, '')
    this.#step()
    this.current.set(path, content)
  }
  async remove(path: string): Promise<void> {
    this.#step()
    this.current.delete(path)
  }
  async syncDirectory(): Promise<void> {
    this.#step()
    this.durable.clear()
    for (const [path, content] of this.current) this.durable.set(path, content)
  }
  /** What is left after the power comes back: each change that was not synced is there or not. */
  restart(random: () => number): void {
    const paths = new Set([...this.durable.keys(), ...this.current.keys()])
    for (const path of paths) {
      const kept = random() < 0.5 ? this.current.get(path) : this.durable.get(path)
      if (kept === undefined) this.current.delete(path)
      else this.current.set(path, kept)
    }
    // The lock belongs to a process of an earlier start of the machine.
    this.current.delete('store/lock')
    this.fuse = Number.POSITIVE_INFINITY
  }
}

interface Copy {
  readonly current: ReadonlyMap<string, string>
}

const copyOf = (files: FragileFiles): Copy => ({ current: new Map(files.current) })

/** One start: takes numbers until it has so many, or the power is cut. */
const run = async (files: FileSystem, clock: VirtualClock, count: number): Promise<number[]> => {
  const taken: number[] = []
  const work = (async () => {
    const store = await storeOn('store', files).open(clock.now())
    const numbers = new StoredNumbers(new NumberBlocks(store, clock, SILENT))
    while (taken.length < count) taken.push(await numbers.next())
    await store.close()
  })()
  await clock.runUntil(work.catch(() => undefined))
  return taken
}

const repeated = (runs: readonly (readonly number[])[]): number[] => {
  const seen = new Set<number>()
  return runs.flat().filter(number => seen.size === seen.add(number).size)
}

describe('stored sequence numbers', () => {
  test('are unique over restarts at any moment, and begin again within 256 ms', async () => {
    const clock = virtualClock({ start: 1_700_000_000_000 })
    const files = new FragileFiles()
    const runs: number[][] = []
    for (let start = 0; start < 20; start++) {
      const before = clock.elapsed()
      runs.push(await run(files, clock, start * 40 + 1))
      files.current.delete('store/lock')
      if (start < 5) expect(clock.elapsed() - before).toBeLessThanOrEqual(512)
    }
    expect(repeated(runs)).toEqual([])
    expect([...files.current.keys()].filter(name => name.includes('claim')).length).toBeLessThanOrEqual(2)
  })

  test(`are unique when the power is cut at any step (${ROUNDS} rounds)`, TIMEOUT, async () => {
    const random = seededRandom(20_261_130)
    for (let round = 0; round < ROUNDS; round++) {
      const clock = virtualClock({ start: 1_700_000_000_000 })
      const files = new FragileFiles()
      const runs: number[][] = []
      for (let start = 0; start < 12; start++) {
        files.fuse = Math.floor(random() * 24)
        runs.push(await run(files, clock, 400))
        files.restart(random)
      }
      expect(repeated(runs), `round ${round}`).toEqual([])
    }
  })

  test(`are unique when old copies of the store are restored, however often and however soon (${ROUNDS} rounds)`, TIMEOUT, async () => {
    const random = seededRandom(20_261_130)
    for (let round = 0; round < ROUNDS; round++) {
      const clock = virtualClock({ start: 1_700_000_000_000 })
      const files = new FragileFiles()
      const runs = [await run(files, clock, 10)]
      const copies = [copyOf(files)]
      for (let start = 0; start < 10; start++) {
        if (random() < 0.3) await clock.advance(Math.floor(random() * 2000))
        if (random() < 0.3) files.fuse = Math.floor(random() * 24)
        runs.push(await run(files, clock, Math.floor(random() * 1000)))
        files.fuse = Number.POSITIVE_INFINITY
        if (random() < 0.3) copies.push(copyOf(files))
        files.current.clear()
        for (const [path, content] of copies[Math.floor(random() * copies.length)]!.current) files.current.set(path, content)
        files.current.delete('store/lock')
      }
      expect(repeated(runs), `round ${round}`).toEqual([])
    }
  })

  test('go on after those in the store when the clock was set back, without waiting for it', async () => {
    const clock = virtualClock({ start: 1_700_000_000_000 })
    const files = new FragileFiles()
    const runs = [await run(files, clock, 10)]
    await clock.advance(3_600_000)
    runs.push(await run(files, clock, 10))
    clock.shift(-3_000_000)
    const before = clock.elapsed()
    runs.push(await run(files, clock, 600))
    expect(repeated(runs)).toEqual([])
    expect(clock.elapsed() - before).toBeLessThan(2000)
  })

  test('are given at once from half a block ahead, and at 1,000 per second in the long run', async () => {
    const clock = virtualClock({ start: 1000 })
    const numbers = new StoredNumbers(new NumberBlocks(await new MemoryStore(1000).open(), clock, SILENT))
    const first = numbers.next()
    expect(typeof first).not.toBe('number')
    await clock.advance(256)
    expect(await first).toBe(256)
    await clock.advance(60_000)
    let atOnce = 0
    for (let taken = 0; taken < 20_000; taken++) {
      const number = numbers.next()
      if (typeof number === 'number') atOnce++
      else await number
      if (taken % 64 === 0) await clock.settle()
    }
    expect(atOnce).toBeGreaterThan(19_900)
  })

  test('are refused after 2^40, and when too many callers wait', async () => {
    const clock = virtualClock()
    const last = { since: 0, claim: async () => 2 ** 32, close: async () => undefined }
    await expect(new StoredNumbers(new NumberBlocks(last, clock, SILENT)).next()).rejects.toMatchObject({ code: 'sequence-exhausted' })
    const never = { since: 0, claim: () => new Promise<number>(() => undefined), close: async () => undefined }
    const numbers = new StoredNumbers(new NumberBlocks(never, clock, SILENT))
    for (let waiting = 0; waiting < 1000; waiting++) void numbers.next()
    await expect(numbers.next()).rejects.toMatchObject({ code: 'overloaded' })
  })

  test('report a store that fails, and go on when it works again', async () => {
    const clock = virtualClock()
    let works = false
    const store = {
      since: 0,
      claim: async (least: number) => {
        if (!works) throw new Error('disk full')
        return least
      },
      close: async () => undefined
    }
    const numbers = new StoredNumbers(new NumberBlocks(store, clock, SILENT))
    await expect(numbers.next()).rejects.toThrow('disk full')
    works = true
    expect(await clock.runUntil(Promise.resolve(numbers.next()))).toBe(256)
  })
})

describe('fileStore', () => {
  const inDirectory = async (work: (path: string) => Promise<void>): Promise<void> => {
    const root = await mkdtemp(join(tmpdir(), 'iopa-oscore-'))
    try {
      await work(join(root, 'store'))
    } finally {
      await rm(root, { recursive: true })
    }
  }

  test('is for one use at a time, and remembers when it was made', async () => {
    await inDirectory(async path => {
      const first = await fileStore(path).open(5000)
      expect([await first.claim(7), await first.claim(1)]).toEqual([7, 8])
      await expect(fileStore(path).open(6000)).rejects.toMatchObject({ status: 503, code: 'store-locked' })
      await first.close()
      await expect(first.claim(1)).rejects.toMatchObject({ code: 'closed' })
      const second = await fileStore(path).open(9000)
      expect([second.since, await second.claim(1)]).toEqual([5000, 9])
      await second.close()
    })
  })

  test('never claims a number twice, even for two uses whose lock has failed', async () => {
    await inDirectory(async path => {
      const first = await fileStore(path).open(0)
      await nodeFileSystem.remove(join(path, 'lock'))
      const second = await fileStore(path).open(0)
      expect(await second.claim(1)).toBe(1)
      await expect(first.claim(1)).rejects.toMatchObject({ code: 'store-locked' })
      await first.close()
      expect(await second.claim(1)).toBe(2)
      await second.close()
    })
  })

  test('takes over the lock of a process that has ended, and one that was not finished', async () => {
    await inDirectory(async path => {
      for (const content of ['', '{"host":', JSON.stringify({ host: 'x', boot: 'another start', pid: 1, started: '1' })]) {
        await (await fileStore(path).open(0)).close()
        await writeFile(join(path, 'lock'), content)
        if (content.includes('"x"')) await expect(fileStore(path).open(0)).rejects.toMatchObject({ code: 'store-locked' })
        else await (await fileStore(path).open(0)).close()
      }
    })
  })

  test('refuses a store that has lost its beginning, and a path that is no directory', async () => {
    await inDirectory(async path => {
      const store = await fileStore(path).open(0)
      await store.claim(1)
      await store.close()
      await writeFile(join(path, 'since'), '')
      await expect(fileStore(path).open(0)).rejects.toMatchObject({ status: 500, code: 'store-damaged' })
      await expect(fileStore(join(path, 'since')).open(0)).rejects.toMatchObject({ status: 500, code: 'store-unavailable' })
      expect(() => fileStore('')).toThrow(expect.objectContaining({ code: 'bad-option' }))
    })
  })
})
