import { IopaError } from '@iopa/appbuilder'
import type { StorageChange } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import type { Documents, Kept } from './documents.ts'
import { heldState } from './held-state.ts'
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
  /** The document is no longer as it is written. */
  renew(key: string): void
}

/** How a change is made. */
export interface ChangeTerms {
  /** Another worker has made it. */
  readonly replica?: boolean
  /** What is written in one batch with a new state, where the store has a storage. */
  readonly beside?: (document: Kept) => readonly StorageChange[]
}

/** What the changes of a store need of it. */
export interface ChangeHost {
  readonly documents: Documents
  readonly limits: Required<StoreLimits>
  readonly clock: Clock
  /** Gets the changes of a store without a journal. */
  readonly history: History | null
}

/** Makes changes, those of one document in turn. A document has its new state when that is kept, not before. */
export class DocumentChanges {
  readonly #host: ChangeHost
  readonly #turns = new Turns()
  #version = 0
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
  change(
    key: string,
    work: (current: Kept | undefined) => MaybePromise<unknown>,
    { replica = false, beside }: ChangeTerms = {}
  ): MaybePromise<KeptChange> {
    return this.#turns.run(key, () => {
      const current = this.#host.documents.get(key)
      const next = work(current)
      const keep = (state: unknown): MaybePromise<KeptChange> => this.#keep(key, current, state, replica, beside)
      return next instanceof Promise ? next.then(keep) : keep(next)
    })
  }

  /** Resolves when no change is under way. */
  idle(): Promise<void> {
    return this.#turns.idle()
  }

  #keep(key: string, previous: Kept | undefined, state: unknown, replica: boolean, beside: ChangeTerms['beside']): MaybePromise<KeptChange> {
    const { documents, clock } = this.#host
    const changed = clock.now()
    const version = ++this.#version
    if (state === DELETED) {
      const written = this.#journal?.write(key, { version, changed, gone: true })
      const settle = (): KeptChange => {
        documents.delete(key, { version, changed })
        for (const forgotten of documents.forget()) this.#forget(forgotten)
        if (this.#journal === null) this.#host.history?.record(key, { version, changed, gone: true })
        return { key, document: null, previous, version }
      }
      return written === undefined ? settle() : written.then(settle)
    }
    const { value, size } = heldState(state)
    const growth = size - (previous?.size ?? 0)
    this.#checkRoom(previous, size, growth, replica)
    const document: Kept = { key, state: value, version, changed, size }
    if (this.#journal === null) {
      documents.put(document)
      this.#host.history?.record(key, { version, changed, state: value })
      return { key, document, previous, version }
    }
    const creates = previous === undefined ? 1 : 0
    this.#comingDocuments += creates
    this.#comingBytes += growth
    const left = (): void => {
      this.#comingDocuments -= creates
      this.#comingBytes -= growth
    }
    return this.#journal.write(key, { version, changed, state: value }, beside?.(document)).then(
      () => {
        left()
        documents.put(document)
        return { key, document, previous, version }
      },
      error => {
        left()
        throw error
      }
    )
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
