/** What a cache keeps at most. */
export interface CacheLimits {
  /** Bytes of content and bookkeeping together. */
  readonly maxBytes: number
  /** Entries, those for paths that name nothing included. */
  readonly maxFiles: number
}

interface Entry<V> {
  value: V
  bytes: number
  used: boolean
}

/** Estimated bytes of an entry in addition to its content. */
const ENTRY_OVERHEAD = 1024

/** A map bounded in entries and bytes; what has not been asked for since the last round leaves first. */
export class BoundedCache<V> {
  readonly #entries = new Map<string, Entry<V>>()
  readonly #limits: CacheLimits
  #bytes = 0

  constructor(limits: CacheLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.size
  }

  /** Bytes kept, bookkeeping included. */
  get bytes(): number {
    return this.#bytes
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    entry.used = true
    return entry.value
  }

  set(key: string, value: V): void {
    this.delete(key)
    const bytes = ENTRY_OVERHEAD + 2 * key.length
    this.#entries.set(key, { value, bytes, used: false })
    this.#bytes += bytes
    this.#evict()
  }

  /** Adds the bytes that the value of a key has come to hold; false when they do not fit, or the key has another value by now. */
  grow(key: string, value: V, bytes: number): boolean {
    const entry = this.#entries.get(key)
    if (entry?.value !== value || !this.fits(bytes)) return false
    entry.bytes += bytes
    entry.used = true
    this.#bytes += bytes
    this.#evict()
    return true
  }

  /** True when content of that size may be kept at all. */
  fits(bytes: number): boolean {
    return bytes + ENTRY_OVERHEAD <= this.#limits.maxBytes / 2
  }

  delete(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#bytes -= entry.bytes
  }

  // Second chance: an entry asked for since it was last passed goes to the end once. A hit costs no reordering.
  #evict(): void {
    while (this.#entries.size > this.#limits.maxFiles || this.#bytes > this.#limits.maxBytes) {
      const [key, entry] = this.#entries.entries().next().value as [string, Entry<V>]
      if (entry.used) {
        entry.used = false
        this.#entries.delete(key)
        this.#entries.set(key, entry)
      } else this.delete(key)
    }
  }
}
