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
