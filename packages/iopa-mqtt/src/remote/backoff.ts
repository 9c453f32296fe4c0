/** Waits between attempts: each at most twice as long as the one before, spread so that a fleet does not come back at once. */
export interface BackoffOptions {
  /** First wait in milliseconds. */
  readonly initial: number
  /** Longest wait in milliseconds. */
  readonly maximum: number
  /** A number from 0 up to 1; replaced in tests. */
  readonly random?: () => number
}

/** Counts attempts and says how long to wait before the next one. */
export class Backoff {
  #options: BackoffOptions
  #attempts = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  /** Milliseconds to wait now: between half of the exponential step and all of it. */
  next(): number {
    const { initial, maximum, random = Math.random } = this.#options
    const step = Math.min(maximum, initial * 2 ** Math.min(this.#attempts++, 30))
    return step / 2 + (random() * step) / 2
  }

  reset(): void {
    this.#attempts = 0
  }
}
