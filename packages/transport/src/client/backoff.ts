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

  /** Milliseconds to pause now. `initial` and `maximum` replace those of the options, where a peer asks for others. */
  next({ initial, maximum }: Partial<BackoffOptions> = {}): number {
    const { random = Math.random } = this.#options
    const first = initial ?? this.#options.initial
    const step = Math.max(first, Math.min(maximum ?? this.#options.maximum, first * 2 ** Math.min(this.#attempts++, 30)))
    return step / 2 + (random() * step) / 2
  }

  reset(): void {
    this.#attempts = 0
  }
}
