/** A document as it is kept. */
export interface Kept {
  readonly key: string
  /** Frozen, with all that is in it. */
  readonly state: unknown
  /** Grows with each change of any document of the store, and never repeats. */
  readonly version: number
  /** When it was changed, in milliseconds since the epoch. */
  readonly changed: number
  /** About the bytes of its JSON. */
  readonly size: number
  /** The entity tag of its JSON; empty until it is asked for. */
  tag: string
}

/** What is left of a deleted document. */
export interface Tombstone {
  readonly version: number
  readonly changed: number
}

/** The documents of a store in memory, by key, and the tombstones of those that were deleted last. */
export class Documents {
  readonly #kept = new Map<string, Kept>()
  /** The oldest first. */
  readonly #gone = new Map<string, Tombstone>()
  readonly #mostGone: number
  /** Keys in order; null until the first list. */
  #order: string[] | null = null
  #bytes = 0

  constructor(mostGone: number) {
    this.#mostGone = mostGone
  }

  get count(): number {
    return this.#kept.size
  }

  /** About the bytes of all documents. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: string): Kept | undefined {
    return this.#kept.get(key)
  }

  gone(key: string): Tombstone | undefined {
    return this.#gone.get(key)
  }

  /** Of documents and of tombstones. */
  *keys(): Generator<string> {
    yield* this.#kept.keys()
    yield* this.#gone.keys()
  }

  put(document: Kept): void {
    const { key } = document
    const previous = this.#kept.get(key)
    this.#kept.set(key, document)
    this.#bytes += document.size - (previous?.size ?? 0)
    if (previous !== undefined) return
    this.#gone.delete(key)
    if (this.#order !== null) this.#order.splice(placeOf(this.#order, key), 0, key)
  }

  /** Removes a document, and remembers that it was there. */
  delete(key: string, tombstone: Tombstone): void {
    const previous = this.#kept.get(key)
    if (previous !== undefined) {
      this.#kept.delete(key)
      this.#bytes -= previous.size
      this.#order?.splice(placeOf(this.#order, key), 1)
    }
    this.#gone.delete(key)
    this.#gone.set(key, tombstone)
  }

  /** Forgets the oldest tombstones beyond the limit, and says which; the newest stays, for its version is the last one given. */
  *forget(): Generator<string> {
    for (const key of this.#gone.keys()) {
      if (this.#gone.size <= Math.max(1, this.#mostGone)) return
      this.#gone.delete(key)
      yield key
    }
  }

  /**
   * The documents behind `after` whose keys begin with `prefix`, in the order of their keys. It may pause while documents come and go: each document that
   * stays is given once.
   */
  *list(prefix = '', after = '', reverse = false): Generator<Kept> {
    const order = this.#sorted()
    const from = after > prefix ? after : prefix
    const first = (): number => (from === after && after !== '' ? placeBehind(order, from) : placeOf(order, from))
    let at = reverse ? endOf(order, prefix) - 1 : first()
    for (;;) {
      const key = order[at]
      if (key === undefined || !key.startsWith(prefix) || (reverse && at < first())) return
      yield this.#kept.get(key) as Kept
      const isInPlace = order[at] === key
      if (reverse) at = (isInPlace ? at : placeOf(order, key)) - 1
      else at = isInPlace ? at + 1 : placeBehind(order, key)
    }
  }

  #sorted(): string[] {
    this.#order ??= Array.from(this.#kept.keys()).sort()
    return this.#order
  }
}

/** Where a key stands, or would stand. */
const placeOf = (order: readonly string[], key: string): number => {
  let low = 0
  let high = order.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((order[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}

/** The first place behind a key. */
const placeBehind = (order: readonly string[], key: string): number => {
  const at = placeOf(order, key)
  return order[at] === key ? at + 1 : at
}

/** The place behind the last key that begins with `prefix`. */
const endOf = (order: readonly string[], prefix: string): number => {
  let low = placeOf(order, prefix)
  let high = order.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((order[middle] as string).startsWith(prefix)) low = middle + 1
    else high = middle
  }
  return low
}
