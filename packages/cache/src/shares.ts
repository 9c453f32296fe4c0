/** Beyond half of the cache an account has this part of it at most. */
const SHARE = 16

/** What one account has in the cache: bytes by key, the oldest first. */
interface Account {
  readonly keys: Map<string, number>
  bytes: number
}

/**
 * Shares of a cache, so that one account cannot put out what was kept for others: while the cache is more than half full, an account that has its share
 * replaces what it has itself.
 */
export class Shares {
  readonly #size: number
  readonly #entries: number
  readonly #accounts = new Map<string, Account>()
  #bytes = 0
  #count = 0

  constructor(size: number, entries: number) {
    this.#size = size
    this.#entries = entries
  }

  /** The key that an account has to give up first for one of so many bytes; undefined for none. The empty account has no share. */
  excess(name: string, key: string, bytes: number): string | undefined {
    const account = this.#accounts.get(name)
    if (account === undefined || name === '') return undefined
    const known = account.keys.get(key)
    const [count, all] = known === undefined ? [1, bytes] : [0, bytes - known]
    const [entries, size] = [this.#entries, this.#size]
    const crowded = this.#count + count > entries / 2 && account.keys.size + count > entries / SHARE
    if (!crowded && !(this.#bytes + all > size / 2 && account.bytes + all > size / SHARE)) return undefined
    for (const oldest of account.keys.keys()) if (oldest !== key) return oldest
    return undefined
  }

  add(name: string, key: string, bytes: number): void {
    let account = this.#accounts.get(name)
    if (account === undefined) this.#accounts.set(name, (account = { keys: new Map(), bytes: 0 }))
    account.keys.set(key, bytes)
    account.bytes += bytes
    this.#bytes += bytes
    this.#count++
  }

  remove(name: string, key: string): void {
    const account = this.#accounts.get(name)
    const bytes = account?.keys.get(key)
    if (account === undefined || bytes === undefined) return
    account.keys.delete(key)
    account.bytes -= bytes
    this.#bytes -= bytes
    this.#count--
    if (account.keys.size === 0) this.#accounts.delete(name)
  }
}
