import type { Clock } from '@iopa/transport'
import type { WriteBatches } from '../ports.ts'

/** Milliseconds of work in one turn of the event loop, however slow the machine is. */
const LONGEST = 8

/** Units of work in one turn of the event loop: one message looked at, one filter granted, or about 64 nodes visited. */
const UNITS = 400

/** Units between two readings of the clock; so many are spent before a turn is timed at all. */
const LOOK = 16

/**
 * Slices long walks over topics, retained messages and sessions. All walks of a broker share a bounded amount of work per turn of the
 * event loop, so that a packet of one client does not delay the others.
 */
export class Turns {
  readonly #clock: Clock
  readonly #batches: WriteBatches
  #left = UNITS
  /** Units that were spent, in any turn, since the last one that was timed. */
  #untimed = 0
  /** When the timer of this turn was set. */
  #began = 0
  #armed = false
  readonly #waiting: (() => void)[] = []

  constructor(clock: Clock, batches: WriteBatches) {
    this.#clock = clock
    this.#batches = batches
  }

  /** Spends one unit; false when this turn has none left: the walk then waits for the next turn. */
  take(): boolean {
    if (!this.#armed) {
      // Most turns spend a unit or two: a timer for each would cost more than what they do.
      if (++this.#untimed >= LOOK) this.#arm()
      return true
    }
    if (this.#left > 0 && this.#left % LOOK === 0 && this.#clock.elapsed() - this.#began > LONGEST) this.#left = 0
    if (this.#left === 0) return false
    this.#left--
    return true
  }

  /** Continues a walk in a later turn, after those that wait already. */
  wait(walk: () => void): void {
    this.#waiting.push(walk)
    if (!this.#armed) this.#arm()
  }

  /** Runs `work` once after `delay` milliseconds and then writes what it produced. */
  later(work: () => void, delay: number): void {
    this.#clock.setTimeout(() => this.#batches.batch(work), delay)
  }

  #arm(): void {
    this.#armed = true
    this.#left = UNITS - this.#untimed
    this.#untimed = 0
    this.#began = this.#clock.elapsed()
    this.#clock.setTimeout(this.#turn, 0)
  }

  readonly #turn = (): void => {
    this.#armed = false
    this.#left = UNITS
    if (this.#waiting.length === 0) return
    this.#began = this.#clock.elapsed()
    this.#batches.batch(this.#run)
  }

  readonly #run = (): void => {
    // A walk that waits again comes after the others, and in a later turn when this one has no units left.
    for (let walks = this.#waiting.length; walks > 0 && this.#left > 0; walks--) (this.#waiting.shift() as () => void)()
    if (this.#waiting.length > 0 && !this.#armed) this.#arm()
  }
}
