import type { LostPromise } from './run.ts'

const noop = (): void => undefined

/**
 * A promise that knows whether something waits for it. It never ends the process as an unhandled rejection: what
 * nothing waits for is the business of the run. Made on rare paths only, for awaiting it costs more than a plain one.
 */
export class WatchedPromise<T = unknown> extends Promise<T> {
  /** Something waits for it: `await`, `then`, `catch` and a `return` from an async function all call `then`. */
  observed = false
  /** How it was rejected. */
  loss: LostPromise | null = null

  // What `then` gives is a plain promise.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise
  }

  /** A rejection that was handed to the middleware `by`. */
  static rejection(error: unknown, by: string): WatchedPromise<never> {
    const promise = new WatchedPromise<never>((_, reject) => reject(error))
    promise.loss = { by, error }
    Promise.prototype.then.call(promise, noop, noop)
    return promise
  }

  /** The outcome of `work`; `rejected` is called when that is a rejection. */
  static of(work: Promise<unknown>, by: string, rejected: (promise: WatchedPromise) => void): WatchedPromise {
    let promise: WatchedPromise | null = null
    let early: LostPromise | null = null
    promise = new WatchedPromise((resolve, reject) => {
      work.then(resolve, (error: unknown) => {
        early = { by, error }
        reject(error)
        if (promise === null) return
        promise.loss = early
        rejected(promise)
      })
    })
    Promise.prototype.then.call(promise, noop, noop)
    return promise
  }

  /** True for a rejection that nothing waits for. */
  get lost(): boolean {
    return this.loss !== null && !this.observed
  }

  override then<A = T, B = never>(
    fulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    rejected?: ((reason: unknown) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    this.observed = true
    return super.then(fulfilled, rejected)
  }
}
