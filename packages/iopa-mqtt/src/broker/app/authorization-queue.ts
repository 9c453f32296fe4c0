import type { Context, Host } from '@iopa/transport'
import type { Turns } from '../operation/turns.ts'
import type { Backpressure } from '../ports.ts'

/** Checks that run at a time. */
const AT_ONCE = 64

/** Checks that wait; with more, no further message begins. */
const MANY = 1024
/** Checks that wait; with more, no message goes ahead of others. */
const TOO_MANY = 10_240

/** A check that waits for its turn. */
interface Check {
  readonly ask: () => Context
  readonly done: (context: Context) => void
}

/**
 * Runs requests that check whether sessions may receive from topics, a bounded number at a time. It has a bound of its own, so that deliveries
 * and requests do not compete for `limits.inFlight`: an acknowledged message is not lost because it has many recipients.
 */
export class AuthorizationQueue {
  readonly #host: Pick<Host, 'run'>
  readonly #turns: Turns
  #running = 0
  readonly #waiting: Check[] = []
  #head = 0
  #pumping = false
  readonly #pressure: Backpressure
  readonly #relieved: () => void

  /** It sets `pressure` while many checks wait; `relieved` is called when further messages may begin. */
  constructor(host: Host, turns: Turns, pressure: Backpressure, relieved: () => void) {
    this.#pressure = pressure
    this.#relieved = relieved
    this.#host = host.withLimits({ inFlight: Number.MAX_SAFE_INTEGER })
    this.#turns = turns
  }

  /** Checks that wait. */
  get waiting(): number {
    return this.#waiting.length - this.#head
  }

  /** Runs the request that `ask` makes, calls back with its context and ends that; at once if nothing waits, this turn has units left and the pipeline is synchronous. */
  run(ask: () => Context, done: (context: Context) => void): void {
    if (this.#running < AT_ONCE && this.waiting === 0 && this.#turns.take()) this.#start(ask, done)
    else {
      this.#waiting.push({ ask, done })
      if (this.waiting >= MANY) this.#pressure.authorizing = true
      if (this.waiting >= TOO_MANY) this.#pressure.overwhelmed = true
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

  /** Starts checks that wait. Synchronous ones do not nest, and many of them take several turns. */
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
      const { ask, done } = this.#waiting[this.#head++] as Check
      if (this.#head >= 1024 || this.#head === this.#waiting.length) {
        this.#waiting.splice(0, this.#head)
        this.#head = 0
      }
      this.#start(ask, done)
      if (this.waiting < TOO_MANY) this.#pressure.overwhelmed = false
      if (this.#pressure.authorizing && this.waiting < MANY / 2) {
        this.#pressure.authorizing = false
        this.#relieved()
      }
    }
    this.#pumping = false
  }
}
