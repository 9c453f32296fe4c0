import type { Clock } from '@iopa/transport'

const PER_SECOND = 100

/** How often what is no request is answered at all: two servers that complain to each other must not do so for ever. */
export class FaultBudget {
  readonly #clock: Clock
  #second = 0
  #spent = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** False when this second's answers are used up. */
  take(): boolean {
    const second = Math.floor(this.#clock.elapsed() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#spent = 0
    }
    return this.#spent++ < PER_SECOND
  }
}
