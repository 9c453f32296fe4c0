import { IopaError } from '@iopa/appbuilder'
import type { Storage, StorageChange, TwinContract } from '@iopa/appbuilder/extension'
import { decodeRecord, encodeRecord } from '../document-format.ts'
import { firstVersion } from '../first-version.ts'
import { type AsideEntry, listAside } from '../set-aside.ts'
import type { StorageKeys } from '../storage-keys.ts'
import { type MaybePromise, Turns } from '../turns.ts'
import { changedParts, emptyTwin, type TwinDocument, type TwinPart } from './document.ts'
import { readTwins, type TwinReading } from './reading.ts'
import { recordOf } from './record.ts'
import type { TwinLimits } from './twin-types.ts'

/** A change of a twin that has been kept. */
export interface TwinChange {
  readonly key: string
  /** Null where it was deleted. */
  readonly twin: TwinDocument | null
  /** The parts that have changed. */
  readonly parts: readonly TwinPart[]
}

/** The version that new twins go on from. */
interface MetaRecord {
  readonly base: number
}

/** Where twins are kept. */
export interface TwinStorage {
  readonly storage: Storage | undefined
  readonly keys: StorageKeys
  readonly contract: TwinContract
}

/** The twins of a contract, in memory and in a storage. Changes of one twin take turns, and have happened when they are kept. */
export class TwinDocuments {
  readonly #twins = new Map<string, TwinDocument>()
  readonly #turns = new Turns()
  readonly #kept: TwinStorage
  readonly #limits: Required<TwinLimits>
  /** What a new twin goes on from: no deleted one has had a later version. */
  #empty = emptyTwin(firstVersion() - 1)
  /** The same of deletions that are under way. */
  #base = this.#empty.version

  constructor(kept: TwinStorage, limits: Required<TwinLimits>) {
    this.#kept = kept
    this.#limits = limits
  }

  get(key: string): TwinDocument | undefined {
    return this.#twins.get(key)
  }

  /** The twin, or one without members. */
  currentOf(key: string): TwinDocument {
    return this.#twins.get(key) ?? this.#empty
  }

  keys(): Iterable<string> {
    return this.#twins.keys()
  }

  /** Reads all records. */
  async open(reading: TwinReading): Promise<void> {
    const { storage, keys, contract } = this.#kept
    if (storage === undefined) return
    const meta = await storage.get(keys.meta)
    if (meta !== undefined) this.#empty = emptyTwin((this.#base = (decodeRecord(keys.meta, meta) as MetaRecord).base))
    await readTwins({ storage, keys, contract }, this.#twins, reading)
  }

  /** The twins that could not be read. */
  async setAside(): Promise<readonly AsideEntry[]> {
    const { storage, keys } = this.#kept
    return storage === undefined ? [] : listAside(storage, keys)
  }

  /** `work` gives the twin after the change from the one before; what it throws leaves that as it is. */
  change(key: string, work: (current: TwinDocument) => MaybePromise<TwinDocument>): MaybePromise<TwinChange> {
    return this.#turns.run(key, () => {
      const current = this.currentOf(key)
      const next = work(current)
      return next instanceof Promise ? next.then(twin => this.#keep(key, current, twin)) : this.#keep(key, current, next)
    })
  }

  /** Deletes a twin; `check` may refuse. */
  delete(key: string, check: (current: TwinDocument | undefined) => void): MaybePromise<TwinChange> {
    return this.#turns.run(key, () => {
      const current = this.#twins.get(key)
      check(current)
      if (current === undefined) return { key, twin: null, parts: [] }
      const base = (this.#base = Math.max(this.#base, current.version + 1))
      const done = (): TwinChange => {
        this.#twins.delete(key)
        if (base > this.#empty.version) this.#empty = emptyTwin(base)
        return { key, twin: null, parts: ['reported', 'desired', 'delta'] }
      }
      const written = this.#write([
        { type: 'delete', key: this.#kept.keys.documents + key },
        { type: 'delete', key: this.#kept.keys.presence + key },
        put(this.#kept.keys.meta, { base })
      ])
      return written === undefined ? done() : written.then(done)
    })
  }

  #keep(key: string, before: TwinDocument, after: TwinDocument): MaybePromise<TwinChange> {
    if (after === before) return { key, twin: after, parts: [] }
    const write = put(this.#kept.keys.documents + key, recordOf(after, this.#kept.contract.version))
    this.#checkRoom(key, write.value.length)
    const done = (): TwinChange => {
      this.#twins.set(key, after)
      return { key, twin: after, parts: changedParts(before, after) }
    }
    const written = this.#write([write])
    return written === undefined ? done() : written.then(done)
  }

  #write(changes: readonly StorageChange[]): Promise<void> | undefined {
    return this.#kept.storage?.batch(changes)
  }

  #checkRoom(key: string, size: number): void {
    const { documents, documentBytes } = this.#limits
    if (size > documentBytes) throw new IopaError(413, 'document-too-large', `A twin may have ${documentBytes} bytes, not ${size}.`)
    if (!this.#twins.has(key) && this.#twins.size >= documents)
      throw new IopaError(507, 'storage-full', `There are ${documents} twins, as many as may be: delete some, or raise the limit.`)
  }

  /** Resolves when no change is under way. */
  idle(): Promise<void> {
    return this.#turns.idle()
  }
}

const put = (key: string, record: object): StorageChange & { readonly type: 'put' } => ({ type: 'put', key, value: encodeRecord(key, record) })
