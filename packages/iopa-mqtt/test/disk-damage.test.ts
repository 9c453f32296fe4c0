import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { ClassicLevel } from 'classic-level'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Store, StoreRecord } from '../src/store.ts'
import { disk } from '../src/stores/disk.ts'
import { closeLabs, lab } from './broker/lab.ts'

let folder: string
/** A closed store of `COUNT` records, each from a write of its own. */
let whole: string
beforeAll(async () => {
  whole = await mkdtemp(join(tmpdir(), 'iopa-mqtt-'))
  const store = disk(whole, { sync: false })
  for (let index = 0; index < COUNT; index++) await store.write([retained(index)])
  await store.close()
})
afterAll(() => rm(whole, { recursive: true, force: true }))
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iopa-mqtt-'))
})
afterEach(async () => {
  await closeLabs()
  await rm(folder, { recursive: true, force: true })
})

const COUNT = 200
const retained = (index: number): StoreRecord => ({
  kind: 'retained',
  topic: `t/${index}`,
  value: {
    topic: `t/${index}`,
    payload: new TextEncoder().encode(`payload ${index} `.repeat(20)),
    qos: 1,
    properties: new Uint8Array(0),
    expiresAt: 0
  }
})

const fill = (): Promise<void> => cp(whole, folder, { recursive: true })

async function read(store: Store): Promise<number> {
  let intact = 0
  for await (const record of store.load()) {
    if (record.kind !== 'retained') throw new Error(`there is no ${record.kind} in this store`)
    const index = Number(record.topic.slice(2))
    const { value } = retained(index) as { value: unknown }
    // `toEqual()` compares byte by byte, which here is most of the time of all tests.
    if (!isDeepStrictEqual(record.value, value)) expect(record.value).toEqual(value)
    intact++
  }
  return intact
}

/** Flips one bit of a file, at a fraction of its length. */
async function flip(name: string, at: number, bit = 0): Promise<void> {
  const file = join(folder, name)
  const bytes = await readFile(file)
  const offset = Math.floor(bytes.length * at)
  bytes[offset] = (bytes[offset] as number) ^ (1 << bit)
  await writeFile(file, bytes)
}

const named = async (ending: string): Promise<string> => {
  const names = (await readdir(folder)).filter(name => name.endsWith(ending))
  return names.sort().at(-1) as string
}

/** Brings what the log holds into a table file, as LevelDB does after a while. */
async function compact(): Promise<void> {
  const database = new ClassicLevel<string, Uint8Array>(folder, { keyEncoding: 'utf8', valueEncoding: 'view' })
  await database.open()
  await database.compactRange('', '\uffff')
  await database.close()
}

describe('a store with one flipped bit', () => {
  test.each([0.1, 0.37, 0.5, 0.77, 0.95])('in its log, at %d, names the loss and serves every other record', async at => {
    await fill()
    await flip(await named('.log'), at, 3)
    const store = disk(folder)
    const intact = await read(store)
    expect(store.damage?.()).toHaveLength(1)
    expect(store.damage?.()[0]).toMatch(/\.log/)
    // One write is lost, and nothing beside it.
    expect(intact).toBe(COUNT - 1)
    await store.close()
    // What was damaged is set aside, and does not count again.
    expect((await readdir(folder)).some(name => name.endsWith('.damaged'))).toBe(true)
    expect(await read(store)).toBe(COUNT - 1)
    expect(store.damage?.()).toEqual([])
    await store.close()
  })

  test('in the last write of its log names the loss', async () => {
    await fill()
    await flip(await named('.log'), 0.9999)
    const store = disk(folder)
    expect(await read(store)).toBe(COUNT - 1)
    expect(store.damage?.()).toEqual([expect.stringContaining('1 write in')])
    await store.close()
  })

  test.each([0.05, 0.2, 0.33, 0.5, 0.66, 0.8])('in a table, at %d, delivers no altered payload and no error of another kind', async at => {
    await fill()
    await compact()
    await flip(await named('.ldb'), at, 5)
    const store = disk(folder)
    try {
      const intact = await read(store)
      expect(intact + (store.damage?.().length ?? 0)).toBe(COUNT)
      expect(intact).toBeLessThan(COUNT)
    } catch (error) {
      expect(error).toMatchObject({ status: 500, code: 'store-damaged' })
      expect((error as Error).message).toMatch(/repair: true/)
      await store.close()
      const repaired = disk(folder, { repair: true })
      expect(await read(repaired)).toBeGreaterThan(0)
      await repaired.close()
    }
    await store.close()
  })

  test('in a record is moved to a separate key, so that it counts once', async () => {
    await fill()
    const database = new ClassicLevel<string, Uint8Array>(folder, { keyEncoding: 'utf8', valueEncoding: 'view' })
    await database.open()
    const key = 'r\0t/7'
    const value = Buffer.from((await database.get(key)) as Uint8Array)
    for (const at of [0, 3, 6, 12, value.length - 1]) {
      const altered = Buffer.from(value)
      altered[at] = (altered[at] as number) ^ 1
      await database.put(key, altered)
      await database.close()
      const store = disk(folder)
      expect(await read(store)).toBe(COUNT - 1)
      expect(store.damage?.()).toEqual([expect.stringContaining('t/7')])
      await store.close()
      expect(await read(store)).toBe(COUNT - 1)
      expect(store.damage?.()).toEqual([])
      await store.close()
      await database.open()
    }
    await database.close()
  })

  test.each([
    ['MANIFEST', 'is changed'],
    ['CURRENT', 'is changed'],
    ['MANIFEST', 'is lost'],
    ['CURRENT', 'is lost']
  ])('whose %s %s is refused with a sentence that offers repair', async (name, how) => {
    await fill()
    const file = (await readdir(folder)).find(found => found.startsWith(name)) as string
    const bytes = await readFile(join(folder, file))
    bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] as number) ^ 4
    if (how === 'is lost') await rm(join(folder, file))
    else await writeFile(join(folder, file), bytes)
    const store = disk(folder)
    await expect(read(store)).rejects.toMatchObject({ status: 500, code: 'store-damaged', message: expect.stringContaining('repair: true') })
    await store.close()
    const repaired = disk(folder, { repair: true })
    expect(await read(repaired)).toBe(COUNT)
    await repaired.close()
  })
})

describe('a log', () => {
  const spoiled = async (spoil: (bytes: Buffer) => Uint8Array): Promise<{ intact: number; damage: readonly string[] | undefined }> => {
    await fill()
    const file = join(folder, await named('.log'))
    await writeFile(file, spoil(await readFile(file)))
    const store = disk(folder)
    const intact = await read(store)
    await store.close()
    return { intact, damage: store.damage?.() }
  }

  test.each([
    ['overwritten with text', (bytes: Buffer) => bytes.fill('A')],
    ['overwritten at its end', (bytes: Buffer) => bytes.fill('A', bytes.length - 400)],
    ['with text behind its end', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('not a record of LevelDB')])]
  ])('%s is named as damaged', async (_, spoil) => {
    const { damage } = await spoiled(spoil)
    expect(damage).toHaveLength(1)
  })

  test.each([1, 6, 7, 20, 300])('that ends %i bytes short, as a killed process leaves it, is not damaged', async bytes => {
    const { intact, damage } = await spoiled(log => log.subarray(0, log.length - bytes))
    expect(intact).toBe(COUNT - 1)
    expect(damage).toEqual([])
  })

  test('that ends with room which was never written is not damaged', async () => {
    const { intact, damage } = await spoiled(log => Buffer.concat([log, Buffer.alloc(500)]))
    expect(intact).toBe(COUNT)
    expect(damage).toEqual([])
  })
})

describe('a broker on a damaged store', () => {
  test('is logged and counted, and the rest is served', async () => {
    await fill()
    await flip(await named('.log'), 0.5)
    const net = await lab(undefined, { store: disk(folder), statistics: 1 })
    expect(net.errors.flat().join()).toMatch(/\.log/)
    const client = await net.client()
    await client.subscribe('t/+')
    await client.subscribe('$SYS/broker/store/damaged')
    await net.rest(2000)
    expect(await client.messages()).toContain('$SYS/broker/store/damaged 1')
  })
})
