import type { Context, Host } from '@iopa/appbuilder'
import type { Turns } from './turns.ts'

/** Decisions that are asked for at a time. */
const AT_ONCE = 64

/** A decision that waits for its turn. */
interface Question {
  readonly ask: () => Context
  readonly done: (context: Context) => void
}

/**
 * Asks the app whether sessions may have what is to be sent to them: a bounded number at a time, the others wait. It has a bound of its
 * own, so that deliveries and requests do not compete for `limits.inFlight`: a message that was acknowledged is not lost because many are to get it.
 */
export class Authorising {
  readonly #host: Host
  readonly #turns: Turns
  #running = 0
  #waiting: Question[] = []
  #head = 0
  #pumping = false

  constructor(host: Host, turns: Turns) {
    this.#host = host.withLimits({ inFlight: Number.MAX_SAFE_INTEGER })
    this.#turns = turns
  }

  /** Decisions that wait. */
  get waiting(): number {
    return this.#waiting.length - this.#head
  }

  /** Runs the request that `ask` makes, and calls back with its context, which is then ended; at once where nothing waits and the pipeline is synchronous. */
  run(ask: () => Context, done: (context: Context) => void): void {
    if (this.#running < AT_ONCE && this.waiting === 0) this.#start(ask, done)
    else {
      this.#waiting.push({ ask, done })
      this.#pump()
    }
  }

  #start(ask: () => Context, done: (context: Context) => void): void {
    this.#running++
    const context = ask()
    this.#host.run(context, () => {
      this.#running--
      done(context)
      void context.end()
      this.#pump()
    })
  }

  /** Starts what waits; a decision that is there at once does not nest, and a long row of them takes several turns. */
  readonly #pump = (): void => {
    if (this.#pumping) return
    this.#pumping = true
    while (this.#running < AT_ONCE && this.waiting > 0) {
      if (!this.#turns.take()) {
        this.#turns.wait(() => {
          this.#pumping = false
          this.#pump()
        })
        return
      }
      const { ask, done } = this.#waiting[this.#head++] as Question
      if (this.#head >= 1024 || this.#head === this.#waiting.length) {
        this.#waiting.splice(0, this.#head)
        this.#head = 0
      }
      this.#start(ask, done)
    }
    this.#pumping = false
  }
}
