import { setMaxListeners } from 'node:events'
import type { Clock } from '@iopa/transport'

/** A controller whose end all work of its owner waits for: each piece listens and takes its listener away, so that many are no leak to be warned of. */
export const endController = (): AbortController => {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}

/** Resolves with true after `milliseconds`, with false as soon as `signal` aborts. */
export const pause = (milliseconds: number, clock: Clock, signal: AbortSignal): Promise<boolean> => {
  if (signal.aborted) return Promise.resolve(false)
  return new Promise(resolve => {
    const abort = (): void => {
      clock.clearTimeout(timer)
      resolve(false)
    }
    const timer = clock.setTimeout(
      () => {
        signal.removeEventListener('abort', abort)
        resolve(true)
      },
      milliseconds,
      { keep: true }
    )
    signal.addEventListener('abort', abort, { once: true })
  })
}

/** Resolves when `work` has settled, or after `milliseconds`. */
export const within = (milliseconds: number, clock: Clock, work: Promise<unknown>): Promise<void> =>
  new Promise(resolve => {
    const timer = clock.setTimeout(resolve, milliseconds, { keep: true })
    const done = (): void => {
      clock.clearTimeout(timer)
      resolve()
    }
    work.then(done, done)
  })

/** The promise, or the reason of `signal` where that aborts first. */
export const abortable = <T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (!signal) return promise
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** One signal of two. `AbortSignal.any` would keep a reference in the lasting one for each call. */
export const either = (first: AbortSignal | undefined, second: AbortSignal): AbortSignal => {
  if (!first) return second
  const controller = new AbortController()
  const abort = (event: Event): void => {
    first.removeEventListener('abort', abort)
    second.removeEventListener('abort', abort)
    controller.abort((event.target as AbortSignal).reason)
  }
  for (const signal of [first, second]) {
    if (signal.aborted) controller.abort(signal.reason)
    else signal.addEventListener('abort', abort)
  }
  return controller.signal
}

/** The promise, or `late()` as an error after `milliseconds`. */
export const limited = <T>(promise: Promise<T>, milliseconds: number, clock: Clock, late: () => Error): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => reject(late()), milliseconds, { keep: true })
    promise.then(resolve, reject).finally(() => clock.clearTimeout(timer))
  })

/** A promise with its two ends. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

/** `Promise.withResolvers`, which Node 20 does not have. */
export const deferred = <T>(): Deferred<T> => {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

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
  readonly #options: BackoffOptions
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
