import type { Clock } from '@iopa/transport'

/** So many at once, and so many per second. */
export class Budget {
  readonly #most: number
  readonly #clock: Clock
  #left: number
  #at: number

  constructor(most: number, clock: Clock) {
    this.#most = most
    this.#clock = clock
    this.#left = most
    this.#at = clock.elapsed()
  }

  /** True if there is one left, which is taken. */
  take(): boolean {
    const now = this.#clock.elapsed()
    this.#left = Math.min(this.#most, this.#left + ((now - this.#at) * this.#most) / 1000)
    this.#at = now
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}
