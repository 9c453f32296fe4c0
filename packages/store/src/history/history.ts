import type { Logger } from '@iopa/appbuilder'
import type { Storage, StorageChange } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import { type DocumentRecord, decodeRecord, encodeRecord } from '../document-format.ts'
import { type HistoryRange, historyRange } from './history-keys.ts'
import type { HistoryLimits } from './history-limits.ts'
import { HistoryPruning } from './history-pruning.ts'

/** Entries that are read at once. */
const SLICE = 64

/** A change as the journal writes it. */
export type HistoryRecord = Omit<DocumentRecord, 'shape'>

/** What the history of a store needs of it. */
export interface HistoryHost {
  /** Begins the keys of all entries. */
  readonly prefix: string
  /** The version of the contract. */
  readonly shape: number
  readonly limits: HistoryLimits
  readonly clock: Clock
  readonly logger: () => Logger
  /** Documents that are there, and those that were deleted and are remembered. */
  keys(): Iterable<string>
}

/** The states that documents had, in a storage: written with each change, and removed when they are too many, too large or too old. */
export class History {
  readonly #host: HistoryHost
  readonly #storage: Storage
  readonly #pruning: HistoryPruning
  /** Entries of writes that failed: the storage may have them. */
  readonly #undone = new Set<string>()

  constructor(host: HistoryHost, storage: Storage) {
    this.#host = host
    this.#storage = storage
    this.#pruning = new HistoryPruning(host, storage)
  }

  /** The entry of a change, for the batch that writes it. */
  entryOf(key: string, record: HistoryRecord): StorageChange & { readonly type: 'put' } {
    const stored = this.#rangeOf(key).keyOf(record.version)
    return { type: 'put', key: stored, value: encodeRecord(stored, { ...record, shape: this.#host.shape }) }
  }

  /** Takes the removals of entries whose writes failed, for a batch that comes. */
  removals(): StorageChange[] {
    if (this.#undone.size === 0) return []
    const keys = Array.from(this.#undone)
    this.#undone.clear()
    return keys.map(key => ({ type: 'delete', key }))
  }

  /** The batch with these changes is kept. */
  kept(key: string, entry: StorageChange & { readonly type: 'put' }): void {
    this.#pruning.added(key, entry.value.length)
  }

  /** The batch with these changes failed. */
  failed(entry: StorageChange, removals: readonly StorageChange[]): void {
    for (const change of [entry, ...removals]) this.#undone.add(change.key)
  }

  /** Writes the entry of a change of a store without a storage: at once, for memory has no room to run out of. */
  record(key: string, record: HistoryRecord): void {
    const entry = this.entryOf(key, record)
    this.#storage.batch([entry]).then(
      () => this.kept(key, entry),
      error => this.#host.logger().error('iopa: a state could not be added to its history', error)
    )
  }

  /** True where the history of a document has its state of a version, and that is not too old. */
  async has(key: string, version: number): Promise<boolean> {
    const stored = this.#rangeOf(key).keyOf(version)
    const value = await this.#storage.get(stored)
    const record = value === undefined ? undefined : recordOf(stored, value)
    return record !== undefined && record.changed >= this.#pruning.oldestTime
  }

  /** Some entries of a document behind a version, as `entries` gives them, and the version that they end with; undefined behind the last one. */
  async slice(
    key: string,
    after: number,
    limit: number
  ): Promise<{ readonly records: readonly DocumentRecord[]; readonly last: number | undefined }> {
    const range = this.#rangeOf(key)
    const oldest = this.#pruning.oldestTime
    const records: DocumentRecord[] = []
    let last: number | undefined
    for await (const [stored, value] of this.#storage.list({ prefix: range.prefix, after: range.keyOf(after), limit })) {
      last = range.versionOf(stored)
      const record = recordOf(stored, value)
      if (record !== undefined && record.changed >= oldest) records.push(record)
    }
    return { records, last }
  }

  /** The entries of a document behind a version, the oldest first; those that cannot be read, or are older than the history keeps, are left out. */
  async *entries(key: string, after: number): AsyncGenerator<DocumentRecord> {
    for (let from: number | undefined = after; from !== undefined; ) {
      const { records, last }: Awaited<ReturnType<History['slice']>> = await this.slice(key, from, SLICE)
      yield* records
      from = last
    }
  }

  /** The document is no longer remembered: its history goes too. */
  forget(key: string): void {
    this.#pruning.forget(key)
  }

  /** Ends the pruning. */
  close(): Promise<void> {
    return this.#pruning.close()
  }

  #rangeOf(key: string): HistoryRange {
    return historyRange(this.#host.prefix, key)
  }
}

/** Undefined for an entry that is damaged. */
const recordOf = (stored: string, value: Uint8Array): DocumentRecord | undefined => {
  try {
    return decodeRecord(stored, value) as DocumentRecord
  } catch {
    return undefined
  }
}
