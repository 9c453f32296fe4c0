import { existsSync } from 'node:fs'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { IopaError } from '@iopa/transport'
import { ClassicLevel } from 'classic-level'
import type { Store, StoreRecord } from '../store.ts'
import { DAMAGED_PREFIX, decodeRecord, encodeKey, encodeValue, nameOf, ownedRanges } from './disk-format.ts'
import { type DamagedLog, damagedLogs } from './disk-log.ts'

/** Options of `disk`. */
export interface DiskOptions {
  /**
   * True (the default) waits for fsync, so that a power cut loses nothing either; false survives the end of the process only,
   * which is faster on slow disks.
   */
  readonly sync?: boolean
  /**
   * True has LevelDB rebuild a folder that it cannot open before it is used; what cannot be read is left out. Give it once, when an
   * error says so.
   */
  readonly repair?: boolean
}

/**
 * A store in a folder of its own, on LevelDB. Batches that arrive while one is being written leave together in the next
 * (group commit), so the number of fsyncs follows the disk and not the number of messages.
 *
 * @example mqtt({ port: 1883, store: disk('/var/lib/house/mqtt') })
 */
export const disk = (path: string, options: DiskOptions = {}): Store => new DiskStore(path, options.sync ?? true, options.repair ?? false)

type Database = ClassicLevel<string, Uint8Array>
type Operation = { type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string }

interface Commit {
  readonly batch: readonly StoreRecord[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

class DiskStore implements Store {
  readonly #path: string
  readonly #sync: boolean
  #opened: Promise<Database> | null = null
  #waiting: Commit[] = []
  #flushing: Promise<void> | null = null
  #repair: boolean
  #damage: string[] = []

  constructor(path: string, sync: boolean, repair: boolean) {
    this.#path = path
    this.#sync = sync
    this.#repair = repair
  }

  async *load(): AsyncIterable<StoreRecord> {
    this.#damage = []
    const database = await this.#database()
    const aside: Operation[] = []
    try {
      for await (const [key, value] of database.iterator()) {
        if (key.startsWith(DAMAGED_PREFIX)) continue
        const record = decodeRecord(key, value)
        if (record !== null) {
          yield record
          continue
        }
        this.#damage.push(`The ${nameOf(key)} is damaged; it was set aside and is not served.`)
        aside.push({ type: 'del', key }, { type: 'put', key: DAMAGED_PREFIX + key, value: new Uint8Array(value) })
      }
    } catch (error) {
      throw isLevelError(error) ? damaged(this.#path, error) : error
    }
    if (aside.length > 0) await database.batch(aside)
  }

  damage(): readonly string[] {
    return this.#damage
  }

  write(batch: readonly StoreRecord[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject })
      this.#flushing ??= this.#flush()
    })
  }

  async close(): Promise<void> {
    while (this.#flushing) await this.#flushing
    const opened = this.#opened
    this.#opened = null
    await (await opened?.catch(() => null))?.close()
  }

  #database(): Promise<Database> {
    this.#opened ??= this.#open().catch(error => {
      this.#opened = null
      throw error
    })
    return this.#opened
  }

  async #open(): Promise<Database> {
    const logs = this.#repair ? [] : await damagedLogs(this.#path)
    const database = await open(this.#path, this.#repair)
    this.#repair = false
    for (const log of logs) await this.#salvage(database, log)
    return database
  }

  /** Sets a damaged log aside, and writes again what LevelDB has dropped beside the damage. */
  async #salvage(database: Database, { name, bytes, places, changes }: DamagedLog): Promise<void> {
    await writeFile(join(this.#path, `${name}.damaged`), bytes)
    this.#damage.push(
      `${places} ${places === 1 ? 'write' : 'writes'} in ${name} ${places === 1 ? 'is' : 'are'} damaged and lost; the file was set aside.`
    )
    const operations = (changes ?? []).map(({ key, value }): Operation => (value === null ? { type: 'del', key } : { type: 'put', key, value }))
    if (operations.length > 0) await database.batch(operations, { sync: this.#sync })
  }

  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const commits = this.#waiting
      this.#waiting = []
      try {
        const database = await this.#database()
        const operations = new Map<string, Operation>()
        for (const { batch } of commits) for (const record of batch) await apply(database, operations, record)
        await database.batch([...operations.values()], { sync: this.#sync })
        for (const { resolve } of commits) resolve()
      } catch (error) {
        for (const { reject } of commits) reject(error)
      }
    }
    this.#flushing = null
  }
}

/** Adds what a record means to the batch; the last operation on a key wins, which is what order means within one atomic batch. */
const apply = async (database: Database, operations: Map<string, Operation>, record: StoreRecord): Promise<void> => {
  const key = encodeKey(record)
  if (record.value !== null) {
    operations.set(key, { type: 'put', key, value: encodeValue(key, record) })
    return
  }
  operations.set(key, { type: 'del', key })
  if (record.kind !== 'session') return
  for (const range of ownedRanges(record.clientId)) {
    for (const pending of operations.keys()) if (pending >= range.gte && pending < range.lt) operations.set(pending, { type: 'del', key: pending })
    for await (const owned of database.keys(range)) operations.set(owned, { type: 'del', key: owned })
  }
}

const damaged = (path: string, cause: unknown): IopaError =>
  new IopaError(
    500,
    'store-damaged',
    `The store ${path} is damaged: restore a copy of the folder, or open it once with disk(path, { repair: true }), which keeps what can be read.`,
    { cause }
  )

const isLevelError = (error: unknown): boolean => error instanceof Error && String((error as { code?: unknown }).code).startsWith('LEVEL_')

/** True for a folder that holds something, but not the file that says where it begins. */
const isHeadless = async (path: string): Promise<boolean> => {
  if (existsSync(join(path, 'CURRENT')) || !existsSync(path)) return false
  for (const name of await readdir(path)) {
    if (/\.(?:ldb|sst)$/.test(name) || (name.endsWith('.log') && (await stat(join(path, name))).size > 0)) return true
  }
  return false
}

const open = async (path: string, repair: boolean): Promise<Database> => {
  if (repair) await ClassicLevel.repair(path)
  // LevelDB would take it for a new folder, and delete the tables.
  else if (await isHeadless(path)) throw damaged(path, new Error('CURRENT is missing'))
  const database = new ClassicLevel<string, Uint8Array>(path, { keyEncoding: 'utf8', valueEncoding: 'view' })
  try {
    await database.open()
    return database
  } catch (error) {
    const { code: reason, message = '' } = ((error as Error).cause ?? {}) as { code?: string; message?: string }
    if (reason === 'LEVEL_CORRUPTION' || (reason === 'LEVEL_NOT_FOUND' && existsSync(join(path, 'CURRENT'))) || /MANIFEST/.test(message))
      throw damaged(path, error)
    throw reason === 'LEVEL_LOCKED'
      ? new IopaError(503, 'store-locked', `The store ${path} is in use by another process: give each broker a folder of its own.`, { cause: error })
      : new IopaError(500, 'store-unavailable', `The store ${path} cannot be opened: check that the folder can be written to.`, { cause: error })
  }
}
