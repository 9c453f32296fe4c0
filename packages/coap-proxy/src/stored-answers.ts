import type { ForwardedAnswer } from './forwarding.ts'
import type { CacheBounds } from './options.ts'

/** An answer that is kept. */
export interface StoredAnswer {
  readonly answer: ForwardedAnswer
  /** The tag that it is validated by. */
  readonly etag: string | undefined
  /** Milliseconds on the clock's `elapsed` when it came. */
  readonly at: number
  /** Milliseconds for which it is fresh from then on. */
  readonly fresh: number
}

/** What an answer is kept under. */
export interface StorageKey {
  /** What tells requests apart. */
  readonly key: string
  /** The server and the path, whose change makes it old. */
  readonly resource: string
  /** The user, or the address of a peer without one, whose share it counts for. */
  readonly owner: string
}

interface Entry extends StorageKey {
  readonly stored: StoredAnswer
  readonly cost: number
}

/** The entries of one owner, the one that was not asked for longest first. */
interface Share {
  readonly entries: Map<string, Entry>
  cost: number
}

/** Bytes of an entry beside its content, about. */
const OVERHEAD = 512

/** Answers within bounds. Where there is no room, the owner with the largest share loses one. */
export class StoredAnswers {
  readonly #bounds: Required<CacheBounds>
  readonly #byKey = new Map<string, Entry>()
  readonly #shares = new Map<string, Share>()
  readonly #resources = new Map<string, Set<string>>()
  #cost = 0

  constructor(bounds: Required<CacheBounds>) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#byKey.size
  }

  get(key: string): StoredAnswer | undefined {
    const entry = this.#byKey.get(key)
    if (entry === undefined) return undefined
    const share = this.#shares.get(entry.owner) as Share
    share.entries.delete(key)
    share.entries.set(key, entry)
    return entry.stored
  }

  set({ key, resource, owner }: StorageKey, stored: StoredAnswer): void {
    this.remove(key)
    const cost = OVERHEAD + 2 * key.length + costOf(stored.answer)
    if (cost > this.#bounds.size / 8) return
    const entry: Entry = { key, resource, owner, stored, cost }
    this.#byKey.set(key, entry)
    this.#cost += cost
    const share = this.#shares.get(owner) ?? { entries: new Map<string, Entry>(), cost: 0 }
    this.#shares.set(owner, share)
    share.entries.set(key, entry)
    share.cost += cost
    const keys = this.#resources.get(resource) ?? new Set<string>()
    this.#resources.set(resource, keys)
    keys.add(key)
    while (this.#byKey.size > this.#bounds.entries) this.#dropFrom(this.#largest(({ entries }) => entries.size))
    while (this.#cost > this.#bounds.size) this.#dropFrom(this.#largest(({ cost }) => cost))
  }

  remove(key: string): void {
    const entry = this.#byKey.get(key)
    if (entry === undefined) return
    this.#byKey.delete(key)
    this.#cost -= entry.cost
    const share = this.#shares.get(entry.owner) as Share
    share.entries.delete(key)
    share.cost -= entry.cost
    if (share.entries.size === 0) this.#shares.delete(entry.owner)
    const keys = this.#resources.get(entry.resource)
    keys?.delete(key)
    if (keys?.size === 0) this.#resources.delete(entry.resource)
  }

  /** Drops what a change of the resource makes old. */
  drop(resource: string): void {
    for (const key of this.#resources.get(resource) ?? []) this.remove(key)
  }

  #largest(measure: (share: Share) => number): Share {
    let found: Share | undefined
    for (const share of this.#shares.values()) if (found === undefined || measure(share) > measure(found)) found = share
    return found as Share
  }

  #dropFrom({ entries }: Share): void {
    this.remove(entries.keys().next().value as string)
  }
}

const costOf = ({ body, headers, options }: ForwardedAnswer): number =>
  (body instanceof Uint8Array ? body.length : 0) +
  headers.reduce((bytes, [name, value]) => bytes + 2 * (name.length + value.length), 0) +
  options.reduce((bytes, [, value]) => bytes + 32 + value.length, 0)
