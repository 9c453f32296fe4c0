import { IopaError } from '@iopa/appbuilder'
import type { StorageChange } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import type { Documents, Kept } from './documents.ts'
import { firstVersion } from './first-version.ts'
import { HeldState } from './held-state.ts'
import type { History } from './history/history.ts'
import type { StoreLimits } from './store-types.ts'
import { type MaybePromise, Turns } from './turns.ts'

/** What a change makes of a document in place of a state: nothing is left of it. */
export const DELETED: unique symbol = Symbol('deleted')

/** A change that has been kept. */
export interface KeptChange {
  readonly key: string
  /** Null where the document was deleted. */
  readonly document: Kept | null
  readonly previous: Kept | undefined
  readonly version: number
}

/** Keeps what a change makes of a document. */
export interface ChangeJournal {
  write(
    key: string,
    record: { readonly version: number; readonly changed: number; readonly state?: unknown; readonly gone?: true },
    beside?: readonly StorageChange[]
  ): Promise<void>
  /** Keeps the first documents, all or none. */
  create(documents: readonly Kept[]): Promise<void>
  /** The document is no longer as it is written. */
  renew(key: string): void
}

/** What is written in one batch with a new state, where the store has a storage. */
export type Beside = (document: Kept) => readonly StorageChange[]

/** What the changes of a store need of it. */
export interface ChangeHost {
  readonly documents: Documents
  readonly limits: Required<StoreLimits>
  readonly clock: Clock
  /** Gets the changes of a store without a journal. */
  readonly history: History | null
  /** Refuses a state that would not be read again as it is written; null where nothing is written. */
  readonly readable: ((state: unknown) => MaybePromise<void>) | null
}

/** Makes changes, those of one document in turn. A document has its new state when that is kept, not before. */
export class DocumentChanges {
  readonly #host: ChangeHost
  readonly #turns = new Turns()
  #version = firstVersion() - 1
  #journal: ChangeJournal | null = null
  /** Of documents that are being written and are not there yet. */
  #comingDocuments = 0
  #comingBytes = 0

  constructor(host: ChangeHost) {
    this.#host = host
  }

  /** From now on changes are written to a journal, and `version` is the first one that is given. */
  begin(journal: ChangeJournal, version: number): void {
    this.#journal = journal
    this.#version = version - 1
  }

  /** `work` gives the new state from the document as it is, or `DELETED`; what it throws leaves the document as it was. */
  change(key: string, work: (current: Kept | undefined) => MaybePromise<unknown>, replica = false, beside?: Beside): MaybePromise<KeptChange> {
    // The way of most changes makes no function of its own.
    if (!this.#turns.isFree(key)) return this.#turns.run(key, () => this.#make(key, work, replica, beside))
    const outcome = this.#make(key, work, replica, beside)
    return outcome instanceof Promise ? this.#turns.hold(key, outcome) : outcome
  }

  /** Makes the first documents of a store, all or none. @throws IopaError as a change does. */
  create(states: ReadonlyMap<string, unknown>): MaybePromise<void> {
    const { documents, clock, history, readable } = this.#host
    const created: Kept[] = []
    const pending: Promise<void>[] = []
    try {
      for (const [key, state] of states) {
        const { state: held, size, isJson } = new HeldState(state)
        const checked = isJson ? undefined : readable?.(held)
        if (checked instanceof Promise) pending.push(checked)
        this.#checkRoom(undefined, size, size, false)
        this.#comingDocuments++
        this.#comingBytes += size
        created.push({ key, state: held, version: ++this.#version, changed: clock.now(), size, tag: '' })
      }
    } finally {
      this.#comingDocuments -= created.length
      for (const { size } of created) this.#comingBytes -= size
    }
    const settle = (): void => {
      for (const document of created) documents.put(document)
      if (this.#journal === null) for (const { key, version, changed, state } of created) history?.record(key, { version, changed, state })
    }
    const write = (): MaybePromise<void> => (this.#journal === null ? settle() : this.#journal.create(created).then(settle))
    return pending.length === 0 ? write() : Promise.all(pending).then(write)
  }

  /** Resolves when no change is under way. */
  idle(): Promise<void> {
    return this.#turns.idle()
  }

  #make(
    key: string,
    work: (current: Kept | undefined) => MaybePromise<unknown>,
    replica: boolean,
    beside: Beside | undefined
  ): MaybePromise<KeptChange> {
    const current = this.#host.documents.get(key)
    const next = work(current)
    return next instanceof Promise
      ? next.then(state => this.#keep(key, current, state, replica, beside))
      : this.#keep(key, current, next, replica, beside)
  }

  #keep(key: string, previous: Kept | undefined, state: unknown, replica: boolean, beside: Beside | undefined): MaybePromise<KeptChange> {
    if (state === DELETED) return this.#delete(key, previous)
    const { state: held, size, isJson } = new HeldState(state)
    const checked = isJson ? undefined : this.#host.readable?.(held)
    return checked instanceof Promise
      ? checked.then(() => this.#place(key, previous, held, size, replica, beside))
      : this.#place(key, previous, held, size, replica, beside)
  }

  #place(
    key: string,
    previous: Kept | undefined,
    held: unknown,
    size: number,
    replica: boolean,
    beside: Beside | undefined
  ): MaybePromise<KeptChange> {
    const { documents, clock } = this.#host
    const growth = previous === undefined ? size : size - previous.size
    this.#checkRoom(previous, size, growth, replica)
    const document: Kept = { key, state: held, version: ++this.#version, changed: clock.now(), size, tag: '' }
    if (this.#journal !== null) return this.#write(this.#journal, document, previous, growth, beside?.(document))
    documents.put(document)
    this.#host.history?.record(key, { version: document.version, changed: document.changed, state: held })
    return { key, document, previous, version: document.version }
  }

  async #write(
    journal: ChangeJournal,
    document: Kept,
    previous: Kept | undefined,
    growth: number,
    beside: readonly StorageChange[] | undefined
  ): Promise<KeptChange> {
    const { key, version, changed, state } = document
    const creates = previous === undefined ? 1 : 0
    this.#comingDocuments += creates
    this.#comingBytes += growth
    try {
      await journal.write(key, { version, changed, state }, beside)
    } finally {
      this.#comingDocuments -= creates
      this.#comingBytes -= growth
    }
    this.#host.documents.put(document)
    return { key, document, previous, version }
  }

  #delete(key: string, previous: Kept | undefined): MaybePromise<KeptChange> {
    const { documents, clock } = this.#host
    const journal = this.#journal
    const version = ++this.#version
    const changed = clock.now()
    const settle = (): KeptChange => {
      documents.delete(key, { version, changed })
      for (const forgotten of documents.forget()) this.#forget(forgotten)
      if (journal === null) this.#host.history?.record(key, { version, changed, gone: true })
      return { key, document: null, previous, version }
    }
    return journal === null ? settle() : journal.write(key, { version, changed, gone: true }).then(settle)
  }

  /** Its tombstone has made room for others. */
  #forget(key: string): void {
    this.#journal?.renew(key)
    this.#host.history?.forget(key)
  }

  /** @throws IopaError 413 for a document that is too large, 507 where the store is full. */
  #checkRoom(previous: Kept | undefined, size: number, growth: number, replica: boolean): void {
    const { documents, limits } = this.#host
    // Another worker has accepted it with the same limits and fewer documents: refused here the workers would differ for ever.
    const times = replica ? ROOM_FOR_REPLICAS : 1
    if (size > times * limits.documentBytes)
      throw new IopaError(413, 'document-too-large', `A document of this store may have ${limits.documentBytes} bytes, not ${size}.`)
    if (previous === undefined && documents.count + this.#comingDocuments >= times * limits.documents) throw full(`${limits.documents} documents`)
    if (growth > 0 && documents.bytes + this.#comingBytes + growth > times * limits.bytes) throw full(`${limits.bytes} bytes`)
  }
}

/** Replicas may exceed the limits by this factor. */
const ROOM_FOR_REPLICAS = 2

const full = (limit: string): IopaError =>
  new IopaError(507, 'storage-full', `The store keeps at most ${limit}: delete documents, or raise its limit.`)
