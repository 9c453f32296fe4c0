/** Whose run it is: the peer or connection, and its address where that is not verified. */
interface RunOwner {
  readonly owner: object
  readonly address: string | undefined
}

/** Most runs at once: in all, of one owner, of all unverified peers, and of those at one address. */
interface RunLimits {
  readonly count: number
  readonly countPerOwner: number
  readonly strangers: number
  readonly countPerAddress: number
}

/**
 * Runs whose upload was given up, and whose handlers are still at work: that of a request which may change state is not interrupted before its deadline. They are
 * bounded like uploads, for else a client that begins again and again would have any number of them.
 */
export class AbandonedRuns {
  readonly #limits: RunLimits
  readonly #runs = new Set<RunOwner>()
  readonly #counts = new Map<object | string, number>()
  #strangers = 0

  constructor(limits: RunLimits) {
    this.#limits = limits
  }

  /** False while an owner has to wait for its runs, or those of others, to end. */
  hasRoom({ owner, address }: RunOwner): boolean {
    const { count, countPerOwner, strangers, countPerAddress } = this.#limits
    if (this.#runs.size >= count || (this.#counts.get(owner) ?? 0) >= countPerOwner) return false
    return address === undefined || (this.#strangers < strangers && (this.#counts.get(address) ?? 0) < countPerAddress)
  }

  add(run: RunOwner): void {
    if (!this.#runs.has(run)) this.#count(run, 1)
    this.#runs.add(run)
  }

  delete(run: RunOwner): void {
    if (this.#runs.delete(run)) this.#count(run, -1)
  }

  #count({ owner, address }: RunOwner, change: 1 | -1): void {
    if (address !== undefined) this.#strangers += change
    for (const key of address === undefined ? [owner] : [owner, address]) {
      const count = (this.#counts.get(key) ?? 0) + change
      if (count > 0) this.#counts.set(key, count)
      else this.#counts.delete(key)
    }
  }
}
