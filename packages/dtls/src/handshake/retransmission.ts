/** Milliseconds before the first retransmission, and the most between two (RFC 6347 section 4.2.4.1). */
const FIRST_INTERVAL = 1000
const LONGEST_INTERVAL = 60_000

/** When a flight is sent again: after 1 s, then after twice the time before, 60 s at most. */
export class Retransmission {
  #interval = FIRST_INTERVAL
  #due = Number.POSITIVE_INFINITY
  #count = 0

  /** When the flight is due again; infinite without one. */
  get due(): number {
    return this.#due
  }

  /** How often the flight was sent again. */
  get count(): number {
    return this.#count
  }

  /** A new flight has left. */
  start(now: number): void {
    this.#interval = FIRST_INTERVAL
    this.#count = 0
    this.#due = now + FIRST_INTERVAL
  }

  /** The flight has left once more. */
  again(now: number): void {
    this.#count++
    this.#interval = Math.min(2 * this.#interval, LONGEST_INTERVAL)
    this.#due = now + this.#interval
  }

  /** The peer has the flight. */
  stop(): void {
    this.#due = Number.POSITIVE_INFINITY
  }
}
