import type { Clock, TimerHandle } from '@iopa/transport'

/** The one timer of a message layer: it runs in steps whose length is that of the most urgent thing to do, and keeps the time in seconds. */
export class CoarseTimer {
  readonly #clock: Clock
  readonly #step: (now: number) => void
  readonly #start: number
  /** Seconds since it was made, as of the last step. */
  seconds = 0
  #timer: TimerHandle
  #length = Number.POSITIVE_INFINITY

  constructor(clock: Clock, step: (now: number) => void) {
    this.#clock = clock
    this.#step = step
    this.#start = clock.elapsed()
  }

  /** Takes a step within so many milliseconds. */
  arm(milliseconds: number): void {
    if (this.#length <= milliseconds) return
    if (this.#length !== Number.POSITIVE_INFINITY) this.#clock.clearTimeout(this.#timer)
    else this.seconds = this.#elapsed(this.#clock.elapsed())
    this.#length = milliseconds
    this.#timer = this.#clock.setTimeout(this.#run, milliseconds)
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer)
  }

  readonly #run = (): void => {
    this.#length = Number.POSITIVE_INFINITY
    const now = this.#clock.elapsed()
    this.seconds = this.#elapsed(now)
    this.#step(now)
  }

  #elapsed(now: number): number {
    return Math.floor((now - this.#start) / 1000)
  }
}
