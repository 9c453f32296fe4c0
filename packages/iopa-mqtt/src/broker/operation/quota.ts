/**
 * Above half of a quota an account may hold this many times the free rest. One account alone then stops at eight ninths, and further accounts
 * find room (dynamic thresholds, Choudhury and Hahne 1998).
 */
const TIMES_FREE = 8

/** The account of the app itself, which is not bound by a share. */
export const APP = ''

/** One bound for all accounts: above half of it each account is bound by its share. */
export class Quota {
  readonly max: number
  readonly #shared: () => boolean
  readonly #limitOf: (account: string) => number
  #used = 0
  readonly #held = new Map<string, number>()

  /** While `shared` returns false there is one account: it has no share, and the bound is eight ninths. `limitOf` is the limit of an account beside its share. */
  constructor(max: number, shared: () => boolean = () => true, limitOf: (account: string) => number = () => Number.POSITIVE_INFINITY) {
    this.max = max
    this.#shared = shared
    this.#limitOf = limitOf
  }

  get used(): number {
    return this.#used
  }

  /** Number of accounts that hold something. */
  get accounts(): number {
    return this.#held.size
  }

  /** The free rest that may be taken. */
  get room(): number {
    return (this.#shared() ? this.max : (this.max * TIMES_FREE) / (TIMES_FREE + 1)) - this.#used
  }

  held(account: string): number {
    return this.#held.get(account) ?? 0
  }

  /** True if an account may hold this much more. */
  allows(account: string, amount: number): boolean {
    if (account === APP) return this.#used + amount <= this.max
    if (this.held(account) + amount > this.#limitOf(account)) return false
    return amount <= this.room && (this.#used + amount <= this.max / 2 || !this.exceeds(account))
  }

  /** True if an account holds its share or more. */
  exceeds(account: string): boolean {
    if (account !== APP && this.held(account) >= this.#limitOf(account)) return true
    if (account === APP || this.#used < this.max / 2 || !this.#shared()) return false
    return this.held(account) >= TIMES_FREE * (this.max - this.#used)
  }

  /** How much more an account may hold, approximately. */
  allowance(account: string): number {
    if (account === APP) return this.room
    const own = Math.max(0, this.#limitOf(account) - this.held(account))
    if (!this.#shared()) return Math.min(own, this.room)
    const free = this.max - this.#used
    return Math.min(own, Math.max(0, this.max / 2 - this.#used, (TIMES_FREE * free - this.held(account)) / (TIMES_FREE + 1)))
  }

  /** Counts an amount that an account takes, or with a negative amount returns. */
  add(account: string, amount: number): void {
    this.#used += amount
    const held = this.held(account) + amount
    if (held > 0) this.#held.set(account, held)
    else this.#held.delete(account)
  }
}
