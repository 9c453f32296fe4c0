import type { RunContext } from '@iopa/context/host'

/** What a middleware did with a promise that nothing waited for. */
export interface LostPromise {
  /** The middleware that let it go. */
  readonly by: string
  /** The context as that middleware sees it: its logger hears of the loss. */
  readonly at: RunContext
  /** False while the work goes on. */
  readonly rejected: boolean
  readonly error: unknown
}

const noop = (): void => undefined

// A promise's own functions, taken out by one executor for all: a closure for each costs as much as the promise.
let resolveLast: (value: never) => void = noop
let rejectLast: (error: unknown) => void = noop
const takeFunctions = (resolve: (value: never) => void, reject: (error: unknown) => void): void => {
  resolveLast = resolve
  rejectLast = reject
}

/**
 * The promise that a middleware gets for the rest of the pipeline. It knows whether something waits for it, and never
 * ends the process as an unhandled rejection: what nothing waits for is the business of the run.
 */
export class WatchedPromise<T = unknown> extends Promise<T> implements LostPromise {
  readonly by: string
  readonly at: RunContext
  rejected = false
  error: unknown = undefined
  /** A run keeps it, and the one that the run was given before. */
  kept = false
  before: WatchedPromise | null = null
  readonly #work: Promise<T>
  readonly #lost: (promise: WatchedPromise) => void
  #settled = false
  #observed = false

  /** `lost` is called when the work is rejected while nothing waits for it. */
  constructor(work: Promise<T>, at: RunContext, by: string, lost: (promise: WatchedPromise) => void) {
    super(takeFunctions as never)
    const resolve = resolveLast as (value: T) => void
    const reject = rejectLast
    this.#work = work
    this.#lost = lost
    this.at = at
    this.by = by
    work.then(
      value => {
        this.#settled = true
        resolve(value)
      },
      (error: unknown) => {
        // It counts as handled from now on, by this class and not by a middleware.
        const observed = this.#observed
        super.then(undefined, noop)
        this.#observed = observed
        reject(error)
        // One that was known to be rejected is watched already.
        if (this.rejected) return
        this.#settled = this.rejected = true
        this.error = error
        if (!this.#observed) lost(this)
      }
    )
  }

  /** A rejection that was handed to the middleware `by`. */
  static rejection(error: unknown, at: RunContext, by: string, lost: (promise: WatchedPromise) => void): WatchedPromise<never> {
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

  /** `catch`, `Promise.all` and a `return` from an async function all call this. */
  override then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    this.#observed = true
    const derived = super.then(fulfilled, rejected)
    return typeof rejected === 'function' ? derived : this.#passing(derived, this.rejected)
  }

  override catch<B = never>(rejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    this.#observed = true
    return this.#passing(super.then(undefined, rejected), false)
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
    // An `await` asks for the constructor, and waits for this promise itself where that is Promise (ECMAScript section 27.2.4.7.1).
    Object.defineProperty(WatchedPromise.prototype, 'constructor', {
      configurable: true,
      get(this: WatchedPromise) {
        this.#observed = true
        return Promise
      }
    })
  }
}
