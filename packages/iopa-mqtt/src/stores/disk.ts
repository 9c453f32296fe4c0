import { IopaError } from '@iopa/appbuilder'
import type { ClassicLevel } from 'classic-level'
import type { Store, StoreRecord } from '../store.ts'
import { decodeRecord, encodeKey, encodeValue, ownedRanges } from './disk-format.ts'

/** Options of `diskStore`. */
export interface DiskStoreOptions {
  /**
   * True (the default) waits for fsync, so that a power cut loses nothing either; false survives the end of the process only,
   * which is faster on slow disks.
   */
  readonly sync?: boolean
}

/**
 * A store in a folder of its own, on LevelDB. Batches that arrive while one is being written leave together in the next
 * (group commit), so the number of fsyncs follows the disk and not the number of messages.
 *
 * @example mqtt({ port: 1883, store: diskStore('/var/lib/house/mqtt') })
 */
export const diskStore = (path: string, options: DiskStoreOptions = {}): Store => new DiskStore(path, options.sync ?? true)

type Database = ClassicLevel<string, Uint8Array>
type Operation = { type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string }

interface Commit {
  readonly batch: readonly StoreRecord[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

class DiskStore implements Store {
  #path: string
  #sync: boolean
  #opened: Promise<Database> | null = null
  #waiting: Commit[] = []
  #flushing: Promise<void> | null = null

  constructor(path: string, sync: boolean) {
    this.#path = path
    this.#sync = sync
  }

  async *load(): AsyncIterable<StoreRecord> {
    const database = await this.#database()
    for await (const [key, value] of database.iterator()) yield decodeRecord(key, value)
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
    this.#opened ??= open(this.#path).catch(error => {
      this.#opened = null
      throw error
    })
    return this.#opened
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
    operations.set(key, { type: 'put', key, value: encodeValue(record) })
    return
  }
  operations.set(key, { type: 'del', key })
  if (record.kind !== 'session') return
  for (const range of ownedRanges(record.clientId)) {
    for (const pending of operations.keys()) if (pending >= range.gte && pending < range.lt) operations.set(pending, { type: 'del', key: pending })
    for await (const owned of database.keys(range)) operations.set(owned, { type: 'del', key: owned })
  }
}

const open = async (path: string): Promise<Database> => {
  const { ClassicLevel } = await import('classic-level')
  const database = new ClassicLevel<string, Uint8Array>(path, { keyEncoding: 'utf8', valueEncoding: 'view' })
  try {
    await database.open()
    return database
  } catch (error) {
    const reason = error instanceof Error ? (error.cause as { code?: string } | undefined)?.code : undefined
    throw reason === 'LEVEL_LOCKED'
      ? new IopaError(503, 'store-locked', `The store ${path} is in use by another process: give each broker a folder of its own.`, { cause: error })
      : new IopaError(500, 'store-unavailable', `The store ${path} cannot be opened: check that the folder can be written to.`, { cause: error })
  }
}
