import type { Context, Host } from '@iopa/transport'
import type { Turns } from './turns.ts'

/** Decisions that are asked for at a time. */
const AT_ONCE = 64

/** Decisions that wait above which no further message begins: the next ones would only wait longer. */
const MANY = 1024
/** Decisions that wait above which nothing begins ahead of others, either. */
const TOO_MANY = 10_240

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
  readonly #relieved: () => void
  #busy = false

  /** `relieved` is called when further messages may begin again. */
  constructor(host: Host, turns: Turns, relieved: () => void) {
    this.#relieved = relieved
    this.#host = host.withLimits({ inFlight: Number.MAX_SAFE_INTEGER })
    this.#turns = turns
  }

  /** Decisions that wait. */
  get waiting(): number {
    return this.#waiting.length - this.#head
  }

  /** True while so many decisions wait that no further message begins. */
  get busy(): boolean {
    return this.#busy
  }

  /** True while so many wait that no message goes ahead of others. */
  get full(): boolean {
    return this.waiting >= TOO_MANY
  }

  /** Runs the request that `ask` makes, and calls back with its context, which is then ended; at once where nothing waits, this turn has units left and the pipeline is synchronous. */
  run(ask: () => Context, done: (context: Context) => void): void {
    if (this.#running < AT_ONCE && this.waiting === 0 && this.#turns.take()) this.#start(ask, done)
    else {
      this.#waiting.push({ ask, done })
      if (this.waiting >= MANY) this.#busy = true
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
      if (this.#busy && this.waiting < MANY / 2) {
        this.#busy = false
        this.#relieved()
      }
    }
    this.#pumping = false
  }
}
