const SIZE = 32

/** Which sequence numbers of the peer were received: the newest, and the 32 up to it (RFC 8613 section 3.2.2, RFC 6347 section 4.1.2.6). */
export class ReplayWindow {
  #newest: number
  /** Bit n stands for `newest - n`. */
  #received: number

  /** Empty; or with `lowest` as the first number that is accepted from now on, itself received. */
  constructor(lowest?: number) {
    this.#newest = lowest ?? -1
    // Everything below the limit counts as received.
    this.#received = lowest === undefined ? 0 : -1
  }

  /** True for a number that was not received, and is not too old. */
  accepts(number: number): boolean {
    const age = this.#newest - number
    return age < 0 || (age < SIZE && (this.#received & (1 << age)) === 0)
  }

  /** Marks an accepted number as received. */
  add(number: number): void {
    const ahead = number - this.#newest
    if (ahead > 0) {
      this.#received = ahead < SIZE ? (this.#received << ahead) | 1 : 1
      this.#newest = number
    } else this.#received |= 1 << -ahead
  }
}
