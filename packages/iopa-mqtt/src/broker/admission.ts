/**
 * Lets PUBLISH packets begin: at most three quarters of `limits.inFlight` are at work, the others wait, round robin by user, so that a
 * client within its receive maximum waits and is not refused, and one user with many messages does not keep the others waiting. A
 * deadline begins when the work does.
 */
export class Admission {
  readonly #most: number
  #running = 0
  /** What waits, by user; the user at the front has the next turn. */
  readonly #waiting: Map<string, (() => void)[]> = new Map()
  #letting = false

  /** `inFlight` is the bound on all work of the listener. */
  constructor(inFlight: number) {
    this.#most = Math.max(1, Math.floor(inFlight * 0.75))
  }

  /** True when work may begin now; it says `leave` when it is done. */
  enter(): boolean {
    if (this.#running >= this.#most || this.#waiting.size > 0) return false
    this.#running++
    return true
  }

  /** Has work wait for its turn; it is then counted as begun. */
  wait(user: string, begin: () => void): void {
    const waiting = this.#waiting.get(user)
    if (waiting) waiting.push(begin)
    else this.#waiting.set(user, [begin])
  }

  /** Work is done. */
  leave(): void {
    this.#running--
    if (this.#waiting.size > 0 && !this.#letting) this.#let()
  }

  /** Drops what waits. */
  close(): void {
    this.#waiting.clear()
  }

  /** Work that is done at once does not nest. */
  #let(): void {
    this.#letting = true
    while (this.#running < this.#most && this.#waiting.size > 0) {
      const [user, waiting] = this.#waiting.entries().next().value as [string, (() => void)[]]
      const begin = waiting.shift() as () => void
      this.#waiting.delete(user)
      if (waiting.length > 0) this.#waiting.set(user, waiting)
      this.#running++
      begin()
    }
    this.#letting = false
  }
}
