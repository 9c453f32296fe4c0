/** Places that are shared out to accounts: above half of them one may have eight times as many as are free, so that it leaves room for others. */
export class Shares {
  readonly #most: number
  readonly #byAccount = new Map<string, number>()
  #taken = 0

  constructor(most: number) {
    this.#most = most
  }

  hasPlace(account: string): boolean {
    const free = this.#most - this.#taken
    return free > 0 && (this.#taken < this.#most / 2 || (this.#byAccount.get(account) ?? 0) < 8 * free)
  }

  take(account: string): void {
    this.#taken++
    this.#byAccount.set(account, (this.#byAccount.get(account) ?? 0) + 1)
  }

  give(account: string): void {
    this.#taken--
    const left = (this.#byAccount.get(account) ?? 0) - 1
    if (left > 0) this.#byAccount.set(account, left)
    else this.#byAccount.delete(account)
  }
}
