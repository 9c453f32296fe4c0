import type { SendingOptions } from '@iopa/constants'

/** What runs just before an answer is sealed; the head waits for its promise. */
export type SendingCallback = () => unknown

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'

/** Adds a callback; they run from the end. */
export const addCallback = (callbacks: SendingCallback[], callback: SendingCallback, options: SendingOptions | undefined): void => {
  if (options?.last === true) callbacks.unshift(callback)
  else callbacks.push(callback)
}

/**
 * Runs every callback, the last first, each once: a promise comes back only where one of them is asynchronous.
 * Throws, or rejects, with what the first one threw that failed.
 */
export const runCallbacks = (callbacks: SendingCallback[], failures: unknown[] = []): void | Promise<void> => {
  for (let callback = callbacks.pop(); callback !== undefined; callback = callbacks.pop()) {
    try {
      const result = callback()
      if (isThenable(result)) {
        return Promise.resolve(result)
          .catch((error: unknown) => void failures.push(error))
          .then(() => runCallbacks(callbacks, failures))
      }
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}
