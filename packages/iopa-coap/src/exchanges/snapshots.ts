/** Something large whose parts are asked for one after the other. */
export interface Sized {
  /** Bytes that it holds in memory. */
  readonly held: number
  /** Called once when it is not kept any more. */
  release?(): void
}

/** Bounds of the answers that are kept while their blocks are fetched. */
export interface SnapshotLimits {
  /** Most bytes of all answers together. */
  readonly bytes: number
  readonly count: number
  readonly countPerOwner: number
  /** Milliseconds since the last block was fetched. */
  readonly lifetime: number
}

interface Kept<T> {
  readonly owner: object
  readonly value: T
  touched: number
}

/** Keeps large answers as they were, so that all blocks come from one run of the handler (RFC 7959 section 2.4). */
export class Snapshots<T extends Sized> {
  readonly #limits: SnapshotLimits
  /** The one that was touched longest ago comes first, and goes first when room is needed. */
  readonly #kept = new Map<string, Kept<T>>()
  readonly #counts = new Map<object, number>()
  #bytes = 0

  constructor(limits: SnapshotLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#kept.size
  }

  /** Bytes that all of them hold. */
  get bytes(): number {
    return this.#bytes
  }

  /** When the next one expires unless it is touched; never where there is none. */
  get due(): number {
    for (const { touched } of this.#kept.values()) return touched + this.#limits.lifetime
    return Number.POSITIVE_INFINITY
  }

  find(key: string, now: number): T | undefined {
    this.expire(now)
    const kept = this.#kept.get(key)
    if (kept === undefined) return undefined
    kept.touched = now
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    return kept.value
  }

  /** Keeps an answer in place of the former one of that key. `owner` is the peer or connection that it is for. */
  keep(owner: object, key: string, value: T, now: number): void {
    this.expire(now)
    this.#drop(key)
    if (value.held > this.#limits.bytes) {
      value.release?.()
      return
    }
    const count = this.#counts.get(owner) ?? 0
    if (count >= this.#limits.countPerOwner) this.#dropOldestOf(owner)
    for (const other of this.#kept.keys()) {
      if (this.#kept.size < this.#limits.count && this.#bytes + value.held <= this.#limits.bytes) break
      this.#drop(other)
    }
    this.#kept.set(key, { owner, value, touched: now })
    this.#bytes += value.held
    this.#counts.set(owner, (this.#counts.get(owner) ?? 0) + 1)
  }

  /** Drops one. */
  remove(key: string): void {
    this.#drop(key)
  }

  expire(now: number): void {
    for (const [key, kept] of this.#kept) {
      if (now - kept.touched < this.#limits.lifetime) break
      this.#drop(key)
    }
  }

  /** Drops what is kept for an owner. */
  forget(owner: object): void {
    if (!this.#counts.has(owner)) return
    for (const [key, kept] of this.#kept) if (kept.owner === owner) this.#drop(key)
  }

  #dropOldestOf(owner: object): void {
    for (const [key, kept] of this.#kept) {
      if (kept.owner !== owner) continue
      this.#drop(key)
      return
    }
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key)
    if (kept === undefined) return
    this.#kept.delete(key)
    this.#bytes -= kept.value.held
    const count = (this.#counts.get(kept.owner) ?? 1) - 1
    if (count > 0) this.#counts.set(kept.owner, count)
    else this.#counts.delete(kept.owner)
    kept.value.release?.()
  }
}
