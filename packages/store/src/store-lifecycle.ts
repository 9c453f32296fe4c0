import { IopaError, type Logger } from '@iopa/appbuilder'
import { type ResourceContract, type Storage, validate } from '@iopa/appbuilder/extension'
import type { Clock } from '@iopa/transport'
import type { DocumentChanges } from './document-changes.ts'
import type { DocumentKeys } from './document-keys.ts'
import type { Documents } from './documents.ts'
import type { History } from './history/history.ts'
import { Journal } from './journal.ts'
import { readDocuments } from './opening.ts'
import { listAside } from './set-aside.ts'
import { leaveStorage, type StorageKeys, storageKeys, takeStorage } from './storage-keys.ts'
import type { MaybePromise } from './turns.ts'

/** Milliseconds after a failed opening before the next one. */
const PAUSE = 1000

/** What opens and closes a store. */
export interface LifecycleHost {
  readonly contract: ResourceContract
  readonly keys: DocumentKeys
  readonly documents: Documents
  readonly changes: DocumentChanges
  readonly clock: Clock
  readonly logger: () => Logger
  readonly history: History | null
}

/** A document that was set aside. */
export interface AsideDocument {
  readonly id: unknown
  readonly reason: string
  /** When it was set aside, in milliseconds since the epoch. */
  readonly time: number
  /** As the storage had it. */
  readonly bytes: Uint8Array
}

/** Opens a store with its first use, and closes it. */
export class StoreLifecycle {
  readonly #host: LifecycleHost
  readonly #storage: Storage | null
  readonly #storageKeys: StorageKeys
  readonly #initial: Readonly<Record<string, unknown>>
  #journal: Journal | null = null
  #opening: Promise<void> | null = null
  #isOpen = false
  #failedAt = Number.NEGATIVE_INFINITY
  #closing: Promise<void> | null = null

  constructor(host: LifecycleHost, storage: Storage | null, initial: Readonly<Record<string, unknown>>) {
    this.#host = host
    this.#storage = storage
    this.#initial = initial
    this.#storageKeys = storageKeys(host.contract.pattern)
    if (storage !== null) takeStorage(storage, host.contract.pattern)
    else {
      const made = this.#initialise()
      if (made instanceof Promise) this.#opening = this.#opened(made)
      else this.#isOpen = true
    }
  }

  /** Undefined where the documents have been read; otherwise a promise of that. @throws IopaError 503 `closed` after `close`. */
  open(): Promise<void> | undefined {
    if (this.#closing !== null) throw new IopaError(503, 'closed', 'The store has been closed.')
    if (this.#isOpen) return undefined
    const { clock } = this.#host
    if (this.#opening === null || (this.#failedAt !== Number.NEGATIVE_INFINITY && clock.elapsed() - this.#failedAt >= PAUSE))
      this.#opening = this.#opened(this.#storage === null ? Promise.resolve(this.#initialise()) : this.#read())
    return this.#opening
  }

  /** Ends the store after the changes under way; the storage ends with the last store that uses it. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async setAside(): Promise<readonly AsideDocument[]> {
    await this.open()
    if (this.#storage === null) return []
    const found = await listAside(this.#storage, this.#storageKeys)
    return found.map(({ key, ...rest }) => ({ id: this.#host.keys.idOf(key), ...rest }))
  }

  #opened(work: Promise<void>): Promise<void> {
    this.#failedAt = Number.NEGATIVE_INFINITY
    const opening = work.then(
      () => {
        this.#isOpen = true
      },
      error => {
        this.#failedAt = this.#host.clock.elapsed()
        throw error
      }
    )
    opening.catch(error => {
      if (this.#closing === null) this.#host.logger().error(`iopa: the store of ${this.#host.contract.pattern} cannot be opened`, error)
    })
    return opening
  }

  async #read(): Promise<void> {
    const { contract, documents, changes, clock, logger, history } = this.#host
    const storage = this.#storage as Storage
    const { reserved, migrated, isNew } = await readDocuments(
      { ...this.#host, storage, storageKeys: this.#storageKeys, logger: logger() },
      clock.now()
    )
    const journal = new Journal(storage, this.#storageKeys, documents, contract.version, reserved, history)
    changes.begin(journal, reserved)
    for (const key of documents.forget()) journal.renew(key)
    for (const key of migrated) journal.renew(key)
    this.#journal = journal
    if (isNew) await this.#initialise()
  }

  /** Makes the first documents: all are checked before one is made. */
  #initialise(): MaybePromise<void> {
    const { contract, keys, changes } = this.#host
    const checked = Object.entries(this.#initial).map(([id, state]) => {
      const key = keys.ofProgram(id)
      const valid = contract.state === undefined ? state : validate(contract.state, state)
      return key instanceof Promise || valid instanceof Promise ? Promise.all([key, valid]) : ([key, valid] as const)
    })
    if (!checked.some(one => one instanceof Promise)) return changes.create(new Map(checked as (readonly [string, unknown])[]))
    return Promise.all(checked).then(states => changes.create(new Map(states)))
  }

  async #close(): Promise<void> {
    await this.#opening?.catch(() => undefined)
    await this.#host.changes.idle()
    try {
      await this.#journal?.flush()
      await this.#host.history?.close()
    } finally {
      if (this.#storage !== null) await leaveStorage(this.#storage, this.#host.contract.pattern)
    }
  }
}
