import type { Context } from '@iopa/context'

/** What a middleware did with a promise that nothing waited for. */
export interface LostPromise {
  /** The middleware that let it go. */
  readonly by: string
  /** The context as that middleware sees it: its logger hears of the loss. */
  readonly at: Context
  /** False while the work goes on. */
  readonly rejected: boolean
  readonly error: unknown
}

const noop = (): void => undefined

/**
 * The promise that a middleware gets for the rest of the pipeline. It knows whether something waits for it, and never
 * ends the process as an unhandled rejection: what nothing waits for is the business of the run.
 */
export class WatchedPromise<T = unknown> extends Promise<T> implements LostPromise {
  readonly by: string
  readonly at: Context
  rejected = false
  error: unknown = undefined
  readonly #work: Promise<T>
  readonly #lost: (promise: WatchedPromise) => void
  #settled = false
  #observed = false

  /** `lost` is called when the work is rejected while nothing waits for it. */
  constructor(work: Promise<T>, at: Context, by: string, lost: (promise: WatchedPromise) => void) {
    // It settles by its `then` alone.
    super(noop)
    this.#work = work
    this.#lost = lost
    this.at = at
    this.by = by
    work.then(
      () => void (this.#settled = true),
      (error: unknown) => {
        // One that was known to be rejected is watched already.
        if (this.rejected) return
        this.#settled = this.rejected = true
        this.error = error
        if (!this.#observed) lost(this)
      }
    )
  }

  /** A rejection that was handed to the middleware `by`. */
  static rejection(error: unknown, at: Context, by: string, lost: (promise: WatchedPromise) => void): WatchedPromise<never> {
    const promise = new WatchedPromise<never>(Promise.reject(error), at, by, lost)
    promise.rejected = promise.#settled = true
    promise.error = error
    return promise
  }

  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** What a middleware hands on: the work itself, for it needs to be watched no more, or a rejection that is known. */
  get passedOn(): Promise<T> {
    this.#observed = true
    return this.rejected ? this : this.#work
  }

  /** True while nothing waits for it and it has not been fulfilled. */
  get lost(): boolean {
    return !this.#observed && (this.rejected || !this.#settled)
  }

  /** `await`, `catch`, `Promise.all` and a `return` from an async function all call this. */
  override then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    this.#observed = true
    const derived = this.#work.then(fulfilled, rejected)
    return typeof rejected === 'function' ? derived : this.#passing(derived, this.rejected)
  }

  override catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    this.#observed = true
    return this.#passing(this.#work.catch(rejected), false)
  }

  override finally(settled?: (() => void) | null): Promise<T> {
    this.#observed = true
    return this.#passing(this.#work.finally(settled), this.rejected)
  }

  /** A promise to which a rejection passes that nothing has handled; a rejection that is known is watched at once. */
  #passing<A>(derived: Promise<A>, known: boolean): Promise<A> {
    const promise = new WatchedPromise(derived, this.at, this.by, this.#lost)
    if (known) {
      promise.#settled = promise.rejected = true
      promise.error = this.error
      this.#lost(promise)
    }
    return promise
  }

  static {
    // An `await` asks for the constructor at once, and calls `then` a turn later (ECMAScript section 27.2.4.7.1).
    Object.defineProperty(WatchedPromise.prototype, 'constructor', {
      configurable: true,
      get(this: WatchedPromise) {
        this.#observed = true
        return WatchedPromise
      }
    })
  }
}
