import type { Clock } from '@iopa/transport'
import type { Flusher } from './flusher.ts'

/** Milliseconds of one turn, however slow the machine is. */
const LONGEST = 8

/** Units of work in one turn of the event loop: a message that is looked at, a filter that is granted, or some 64 nodes that are visited. */
const UNITS = 400

/** Units between two looks at the clock. */
const LOOK = 16

/**
 * Slices long walks over topics, retained messages and sessions: all walks of a broker together do a bounded amount of work in one turn
 * of the event loop, so that no packet of one client keeps the others waiting.
 */
export class Turns {
  readonly #clock: Clock
  readonly #flusher: Flusher
  #left = UNITS
  /** When the first unit of this turn was spent. */
  #began = 0
  #armed = false
  #waiting: (() => void)[] = []

  constructor(clock: Clock, flusher: Flusher) {
    this.#clock = clock
    this.#flusher = flusher
  }

  /** Spends one unit; false when this turn has none left: the walk then waits for the next one. */
  take(): boolean {
    if (this.#left > 0 && this.#left % LOOK === 0 && this.#armed && this.#clock.elapsed() - this.#began > LONGEST) this.#left = 0
    if (this.#left === 0) return false
    this.#left--
    this.#arm()
    return true
  }

  /** Goes on with a walk in a later turn, after those that wait already. */
  wait(walk: () => void): void {
    this.#waiting.push(walk)
    this.#arm()
  }

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    this.#began = this.#clock.elapsed()
    this.#clock.setTimeout(this.#turn, 0)
  }

  readonly #turn = (): void => {
    this.#armed = false
    this.#left = UNITS
    this.#began = this.#clock.elapsed()
    if (this.#waiting.length > 0) this.#flusher.batch(this.#run)
  }

  readonly #run = (): void => {
    // A walk that waits again comes after the others, and in a later turn when this one has no units left.
    for (let walks = this.#waiting.length; walks > 0 && this.#left > 0; walks--) (this.#waiting.shift() as () => void)()
    if (this.#waiting.length > 0) this.#arm()
  }
}
