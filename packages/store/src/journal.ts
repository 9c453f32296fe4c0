import type { Storage, StorageChange } from '@iopa/appbuilder/extension'
import { type DocumentRecord, encodeRecord } from './document-format.ts'
import type { Documents, Kept } from './documents.ts'
import type { History } from './history/history.ts'
import type { StorageKeys } from './storage-keys.ts'

/** Versions that are reserved together: none of them is given again after a restart. */
const RESERVED = 1024
/** Documents that a write takes along. */
const MOST_TAKEN = 64

/** The reserved versions, as they are stored. */
export interface MetaRecord {
  readonly reserved: number
}

/**
 * Writes the documents of a store to its storage. After a write that failed the storage may have it or not: the documents are written again, as they
 * are in memory, with the writes that follow.
 */
export class Journal {
  readonly #storage: Storage
  readonly #keys: StorageKeys
  readonly #documents: Documents
  readonly #shape: number
  readonly #history: History | null
  /** Documents whose own change is being written. */
  readonly #writing = new Set<string>()
  /** Documents that the storage may have otherwise than the memory. */
  readonly #stale = new Set<string>()
  #reserved: number

  constructor(storage: Storage, keys: StorageKeys, documents: Documents, shape: number, reserved: number, history: History | null) {
    this.#storage = storage
    this.#keys = keys
    this.#documents = documents
    this.#shape = shape
    this.#reserved = reserved
    this.#history = history
  }

  /** Resolves when the storage has the change of a document: its state, or nothing, and what is written beside it. */
  async write(key: string, record: Omit<DocumentRecord, 'shape'>, beside: readonly StorageChange[] = []): Promise<void> {
    const changes: StorageChange[] = [this.#put(key, record), ...beside]
    const taken = this.#take(changes, key)
    const reserved = this.#reserve(record.version, changes)
    const entry = this.#history?.entryOf(key, record)
    const removals = this.#history?.removals() ?? []
    changes.push(...(entry === undefined ? [] : [entry]), ...removals)
    this.#writing.add(key)
    try {
      await this.#storage.batch(changes)
      this.#reserved = Math.max(this.#reserved, reserved)
      if (entry !== undefined) this.#history?.kept(key, entry)
    } catch (error) {
      if (entry !== undefined) this.#history?.failed(entry, removals)
      for (const other of taken) this.#stale.add(other)
      this.#stale.add(key)
      throw error
    } finally {
      this.#writing.delete(key)
    }
  }

  /** Resolves when the storage has the first documents, which are one batch: after a crash it has all, or none and is new. */
  async create(documents: readonly Kept[]): Promise<void> {
    const last = documents.at(-1)
    if (last === undefined) return
    const records = documents.map(({ key, version, changed, state }) => [key, { version, changed, state }] as const)
    const changes: StorageChange[] = records.map(([key, record]) => this.#put(key, record))
    const reserved = this.#reserve(last.version, changes)
    const entries = this.#history === null ? [] : records.map(([key, record]) => [key, (this.#history as History).entryOf(key, record)] as const)
    await this.#storage.batch([...changes, ...entries.map(([, entry]) => entry)])
    this.#reserved = Math.max(this.#reserved, reserved)
    for (const [key, entry] of entries) this.#history?.kept(key, entry)
  }

  /** Has a document written again, as it is in memory, with a write that comes. */
  renew(key: string): void {
    this.#stale.add(key)
  }

  /** Writes what still has to be written. */
  async flush(): Promise<void> {
    while (this.#stale.size > 0) {
      const changes: StorageChange[] = []
      const taken = this.#take(changes, undefined)
      if (changes.length === 0) return
      try {
        await this.#storage.batch(changes)
      } catch (error) {
        for (const key of taken) this.#stale.add(key)
        throw error
      }
    }
  }

  /** Adds documents that the storage may have otherwise; one whose change is being written has its turn later. */
  #take(changes: StorageChange[], own: string | undefined): string[] {
    if (own !== undefined) this.#stale.delete(own)
    if (this.#stale.size === 0) return []
    const taken: string[] = []
    for (const key of this.#stale) {
      if (taken.length >= MOST_TAKEN) break
      if (!this.#writing.has(key)) taken.push(key)
    }
    for (const key of taken) {
      this.#stale.delete(key)
      changes.push(this.#present(key))
    }
    return taken
  }

  #present(key: string): StorageChange {
    const document = this.#documents.get(key)
    if (document !== undefined) return this.#put(key, { version: document.version, changed: document.changed, state: document.state })
    const gone = this.#documents.gone(key)
    return gone === undefined ? { type: 'delete', key: this.#keys.documents + key } : this.#put(key, { ...gone, gone: true })
  }

  #put(key: string, record: Omit<DocumentRecord, 'shape'>): StorageChange {
    const stored = this.#keys.documents + key
    return { type: 'put', key: stored, value: encodeRecord(stored, { ...record, shape: this.#shape }) }
  }

  /** Adds further versions to those that are reserved, where this one is none of them. */
  #reserve(version: number, changes: StorageChange[]): number {
    if (version < this.#reserved) return this.#reserved
    const reserved = version + RESERVED
    const { meta } = this.#keys
    const record: MetaRecord = { reserved }
    changes.push({ type: 'put', key: meta, value: encodeRecord(meta, record) })
    return reserved
  }
}
