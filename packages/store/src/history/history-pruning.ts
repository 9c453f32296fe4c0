import type { Storage } from '@iopa/appbuilder/extension'
import type { TimerHandle } from '@iopa/transport'
import { type DocumentRecord, decodeRecord } from '../document-format.ts'
import type { HistoryHost } from './history.ts'
import { historyRange } from './history-keys.ts'

/** Entries that are read, and that are removed, at once. */
const SLICE = 256
/** Milliseconds between the rounds for old entries. */
const ROUND = 60_000
/** Documents of one round. */
const DOCUMENTS = 256

/** The entries of a document. */
interface Extent {
  count: number
  bytes: number
  /** When the oldest was changed, in milliseconds since the epoch. */
  oldest: number
}

interface Entry {
  readonly key: string
  readonly size: number
  readonly changed: number
}

/** Removes what a history may not keep: one document after another, in slices. */
export class HistoryPruning {
  readonly #host: HistoryHost
  readonly #storage: Storage
  /** Of documents whose entries have been counted. */
  readonly #extents = new Map<string, Extent>()
  readonly #queue = new Set<string>()
  readonly #forgotten = new Set<string>()
  #work: Promise<void> | null = null
  #timer: TimerHandle | undefined
  #round: Iterator<string> | null = null
  #closed = false

  constructor(host: HistoryHost, storage: Storage) {
    this.#host = host
    this.#storage = storage
    if (Number.isFinite(host.limits.age)) this.#arm()
  }

  /** What was changed before this is too old, in milliseconds since the epoch. */
  get oldestTime(): number {
    return this.#host.clock.now() - this.#host.limits.age
  }

  /** An entry has been written. */
  added(key: string, size: number): void {
    const extent = this.#extents.get(key)
    if (extent === undefined) {
      this.#enqueue(key)
      return
    }
    extent.count++
    extent.bytes += size
    const { keep, bytes } = this.#host.limits
    if (extent.count > keep + Math.max(1, keep >> 3) || extent.bytes > bytes + bytes / 8) this.#enqueue(key)
  }

  /** All entries of a document go. */
  forget(key: string): void {
    this.#forgotten.add(key)
    this.#enqueue(key)
  }

  /** Ends it after the slice under way. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer !== undefined) this.#host.clock.clearTimeout(this.#timer)
    await this.#work
  }

  #enqueue(key: string): void {
    if (this.#closed) return
    this.#queue.add(key)
    this.#work ??= this.#run().finally(() => {
      this.#work = null
    })
  }

  async #run(): Promise<void> {
    // Not in the turn of the change that caused it.
    await null
    for (const key of this.#queue) {
      if (this.#closed) return
      this.#queue.delete(key)
      try {
        await this.#prune(key)
      } catch (error) {
        // The next change of the document, or the next round, tries again.
        this.#extents.delete(key)
        this.#host.logger().error(`iopa: the history of ${JSON.stringify(key)} could not be shortened`, error)
      }
    }
  }

  async #prune(key: string): Promise<void> {
    const all = this.#forgotten.delete(key)
    // A change meanwhile is counted by the next pruning.
    this.#extents.delete(key)
    const entries = await this.#entriesOf(key)
    const { keep, bytes } = this.#host.limits
    const oldest = this.oldestTime
    let count = entries.length
    let size = entries.reduce((sum, entry) => sum + entry.size, 0)
    const surplus: string[] = []
    for (const entry of entries) {
      // The newest state stays, however large it is.
      if (!all && entry.changed >= oldest && count <= keep && (size <= bytes || count === 1)) break
      surplus.push(entry.key)
      count--
      size -= entry.size
    }
    for (let at = 0; at < surplus.length && !this.#closed; at += SLICE)
      await this.#storage.batch(surplus.slice(at, at + SLICE).map(stored => ({ type: 'delete', key: stored })))
    const first = entries[surplus.length]
    if (first !== undefined && !this.#queue.has(key)) this.#extents.set(key, { count, bytes: size, oldest: first.changed })
  }

  async #entriesOf(key: string): Promise<Entry[]> {
    const { prefix } = historyRange(this.#host.prefix, key)
    const entries: Entry[] = []
    for (let after = prefix; ; ) {
      const before = entries.length
      for await (const [stored, value] of this.#storage.list({ prefix, after, limit: SLICE }))
        entries.push({ key: stored, size: value.length, changed: changedOf(stored, value) })
      if (entries.length - before < SLICE || this.#closed) return entries
      after = (entries.at(-1) as Entry).key
    }
  }

  #arm(): void {
    this.#timer = this.#host.clock.setTimeout(() => {
      this.#sweep()
      if (!this.#closed) this.#arm()
    }, ROUND)
  }

  /** Looks at some documents, and at the others in rounds that follow. */
  #sweep(): void {
    this.#round ??= this.#host.keys()[Symbol.iterator]()
    for (let looked = 0; looked < DOCUMENTS; looked++) {
      const { value: key, done } = this.#round.next()
      if (done) {
        this.#round = null
        return
      }
      const extent = this.#extents.get(key)
      if (extent === undefined || extent.oldest < this.oldestTime) this.#enqueue(key)
    }
  }
}

/** A damaged entry is as old as can be. */
const changedOf = (stored: string, value: Uint8Array): number => {
  try {
    return (decodeRecord(stored, value) as DocumentRecord).changed
  } catch {
    return Number.NEGATIVE_INFINITY
  }
}
