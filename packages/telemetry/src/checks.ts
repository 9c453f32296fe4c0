import type { Clock } from '@iopa/appbuilder/extension'

/** Looks whether something that the app depends on works. It fails by an error, or with `false`. `signal` aborts when it takes too long. */
export type Check = (options: { readonly signal: AbortSignal }) => unknown

/** What came of a check. */
export interface CheckResult {
  readonly status: 'up' | 'down'
  /** Milliseconds that it took. */
  readonly duration: number
  /** Why it failed. */
  readonly error?: string
}

/** Runs checks within a time, at most once in an interval: any number of probes costs the same. */
export class Checks {
  readonly #checks: readonly RunningCheck[]
  readonly #clock: Clock
  readonly #interval: number
  #results: Promise<Readonly<Record<string, CheckResult>>> | null = null
  #until = 0

  /** `timeout` and `interval` in milliseconds. */
  constructor(checks: Readonly<Record<string, Check>>, clock: Clock, timeout: number, interval: number) {
    this.#clock = clock
    this.#interval = interval
    this.#checks = Object.entries(checks).map(([name, check]) => new RunningCheck(name, check, clock, timeout))
  }

  /** The results, which may be as old as the interval. Never rejects. */
  results(): Promise<Readonly<Record<string, CheckResult>>> {
    if (this.#results === null || this.#clock.elapsed() >= this.#until) {
      this.#until = Number.POSITIVE_INFINITY
      this.#results = Promise.all(this.#checks.map(check => check.result())).then(entries => {
        this.#until = this.#clock.elapsed() + this.#interval
        return Object.fromEntries(entries)
      })
    }
    return this.#results
  }
}

/** One check. While a call of it has not ended, it is not called again. */
class RunningCheck {
  readonly #name: string
  readonly #check: Check
  readonly #clock: Clock
  readonly #timeout: number
  #running = false

  constructor(name: string, check: Check, clock: Clock, timeout: number) {
    this.#name = name
    this.#check = check
    this.#clock = clock
    this.#timeout = timeout
  }

  async result(): Promise<[string, CheckResult]> {
    const late = `no result within ${this.#timeout} ms`
    if (this.#running) return [this.#name, { status: 'down', duration: 0, error: `${late}; the check is still running` }]
    const begun = this.#clock.elapsed()
    const error = await this.#run(late)
    const duration = Math.round(this.#clock.elapsed() - begun)
    return [this.#name, error === null ? { status: 'up', duration } : { status: 'down', duration, error }]
  }

  /** Null where it succeeds, else why it failed. */
  #run(late: string): Promise<string | null> {
    const controller = new AbortController()
    this.#running = true
    return new Promise(resolve => {
      const timer = this.#clock.setTimeout(() => {
        resolve(late)
        controller.abort(new Error(late))
      }, this.#timeout)
      const ended = (error: string | null): void => {
        this.#running = false
        this.#clock.clearTimeout(timer)
        resolve(error)
      }
      Promise.resolve()
        .then(() => this.#check({ signal: controller.signal }))
        .then(
          value => ended(value === false ? 'the check gave false' : null),
          (error: unknown) => ended(reasonOf(error))
        )
    })
  }
}

/** What an error says; a check may throw anything, also what has no text. */
const reasonOf = (error: unknown): string => {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return 'the check failed'
  }
}
