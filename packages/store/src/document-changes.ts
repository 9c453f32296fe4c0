import { IopaError } from '@iopa/appbuilder'
import type { Clock } from '@iopa/transport'
import type { Documents, Kept, Tombstone } from './documents.ts'
import { heldState } from './held-state.ts'
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

/** What the changes of a store need of it. */
export interface ChangeHost {
  readonly documents: Documents
  readonly limits: Required<StoreLimits>
  readonly clock: Clock
}

/** Makes changes, those of one document in turn. A document has its new state when that is kept, not before. */
export class DocumentChanges {
  readonly #host: ChangeHost
  readonly #turns = new Turns()
  #version = 0

  constructor(host: ChangeHost) {
    this.#host = host
  }

  /** `work` gives the new state from the document as it is, or `DELETED`; what it throws leaves the document as it was. */
  change(key: string, work: (current: Kept | undefined) => MaybePromise<unknown>): MaybePromise<KeptChange> {
    return this.#turns.run(key, () => {
      const current = this.#host.documents.get(key)
      const next = work(current)
      return next instanceof Promise ? next.then(state => this.#keep(key, current, state)) : this.#keep(key, current, next)
    })
  }

  #keep(key: string, previous: Kept | undefined, state: unknown): MaybePromise<KeptChange> {
    const { documents, clock } = this.#host
    const changed = clock.now()
    if (state === DELETED) {
      const tombstone: Tombstone = { version: ++this.#version, changed }
      documents.delete(key, tombstone)
      return { key, document: null, previous, version: tombstone.version }
    }
    const { value, size } = heldState(state)
    this.#checkRoom(previous, size)
    const document: Kept = { key, state: value, version: ++this.#version, changed, size }
    documents.put(document)
    return { key, document, previous, version: document.version }
  }

  /** @throws IopaError 413 for a document that is too large, 507 where the store is full. */
  #checkRoom(previous: Kept | undefined, size: number): void {
    const { documents, limits } = this.#host
    if (size > limits.documentBytes)
      throw new IopaError(413, 'document-too-large', `A document of this store may have ${limits.documentBytes} bytes, not ${size}.`)
    if (previous === undefined && documents.count >= limits.documents) throw full(`${limits.documents} documents`)
    if (documents.bytes + size - (previous?.size ?? 0) > limits.bytes) throw full(`${limits.bytes} bytes`)
  }
}

const full = (limit: string): IopaError =>
  new IopaError(507, 'storage-full', `The store keeps at most ${limit}: delete documents, or raise its limit.`)
