import { IopaError } from '@iopa/appbuilder'
import type { Storage, StorageChange, StorageRange } from '@iopa/appbuilder/extension'

/** A storage in this process: for tests, and for what need not survive. A store without a storage is faster: it keeps its documents as they are. */
export const memory = (): Storage => new MemoryStorage()

class MemoryStorage implements Storage {
  readonly #values = new Map<string, Uint8Array>()
  readonly #order: string[] = []
  #closed = false

  async get(key: string): Promise<Uint8Array | undefined> {
    this.#check()
    return this.#values.get(key)
  }

  put(key: string, value: Uint8Array): Promise<void> {
    return this.batch([{ type: 'put', key, value }])
  }

  delete(key: string): Promise<void> {
    return this.batch([{ type: 'delete', key }])
  }

  async *list({
    prefix = '',
    after,
    limit = Number.POSITIVE_INFINITY,
    reverse = false
  }: StorageRange = {}): AsyncGenerator<readonly [key: string, value: Uint8Array]> {
    this.#check()
    const order = this.#order
    let from = placeOf(order, prefix)
    if (after !== undefined && compareKeys(after, prefix) >= 0) from = placeOf(order, after) + (this.#values.has(after) ? 1 : 0)
    let to = from
    while (to < order.length && (order[to] as string).startsWith(prefix) && (reverse || to - from < limit)) to++
    const keys = order.slice(from, to)
    if (reverse) keys.reverse()
    const entries = keys.slice(0, Math.min(limit, keys.length)).map(key => [key, this.#values.get(key) as Uint8Array] as const)
    yield* entries
  }

  async batch(changes: readonly StorageChange[]): Promise<void> {
    this.#check()
    for (const change of changes) {
      const { key } = change
      const known = this.#values.has(key)
      if (change.type === 'put') {
        this.#values.set(key, new Uint8Array(change.value))
        if (!known) this.#order.splice(placeOf(this.#order, key), 0, key)
      } else if (known) {
        this.#values.delete(key)
        this.#order.splice(placeOf(this.#order, key), 1)
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #check(): void {
    if (this.#closed) throw storageClosed()
  }
}

/** The error of a storage that has been closed. */
export const storageClosed = (): IopaError => new IopaError(503, 'closed', 'The storage has been closed.')

/** The order of the UTF-8 bytes of two keys: that of their code points. */
export const compareKeys = (one: string, other: string): number => {
  const length = Math.min(one.length, other.length)
  for (let at = 0; at < length; at++) {
    const a = one.charCodeAt(at)
    const b = other.charCodeAt(at)
    if (a !== b) return rankOf(a) - rankOf(b)
  }
  return one.length - other.length
}

/** Surrogates stand for code points behind all that fit one unit. */
const rankOf = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

const placeOf = (order: readonly string[], key: string): number => {
  let low = 0
  let high = order.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(order[middle] as string, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
