import type { Logger } from '@iopa/constants'
import { report } from '@iopa/context/host'
import type { Clock, TimerHandle } from '../contract/clock.ts'

/** Bounds what failures of one kind, such as failing requests, write into the log. */
export class FailureLog {
  readonly #clock: Clock
  readonly #logger: Logger
  /** Failures that are logged one by one in a second; the others are counted in one line. */
  readonly #limit: number
  readonly #what: string
  #seen = 0
  #timer: TimerHandle | null = null

  constructor(clock: Clock, logger: Logger, limit: number, what = 'requests failed with 5xx') {
    this.#clock = clock
    this.#logger = logger
    this.#limit = limit
    this.#what = what
  }

  /** Counts a failure; true if it is logged individually. */
  take(): boolean {
    this.#timer ??= this.#clock.setTimeout(() => this.flush(), 1000)
    return this.#seen++ < this.#limit
  }

  /** Says how many failures of this second were not logged. */
  flush(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    const more = this.#seen - this.#limit
    this.#seen = 0
    if (more > 0) report(this.#logger, `iopa: ${more} more ${this.#what} within a second`)
  }
}
