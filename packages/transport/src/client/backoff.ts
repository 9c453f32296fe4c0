/** The growing pauses between attempts to reconnect. */
export interface BackoffOptions {
  /** The first pause, in milliseconds. */
  readonly initial: number
  /** The longest pause, in milliseconds. */
  readonly maximum: number
  /** A number from 0 up to 1; replaced in tests. */
  readonly random?: () => number
}

/** Counts attempts, and says how long to pause before the next one: between half of the exponential step and all of it, so that a fleet spreads. */
export class Backoff {
  readonly #options: BackoffOptions
  #attempts = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  /** Milliseconds to pause now. A peer may name another first pause, and a step may have a lower bound. */
  next({ initial = this.#options.initial, least = 0 }: { readonly initial?: number; readonly least?: number } = {}): number {
    const { maximum, random = Math.random } = this.#options
    const step = Math.max(least, Math.min(maximum, initial * 2 ** Math.min(this.#attempts++, 30)))
    return step / 2 + (random() * step) / 2
  }

  reset(): void {
    this.#attempts = 0
  }
}
