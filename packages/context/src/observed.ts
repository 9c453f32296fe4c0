const noop = (): void => undefined

/**
 * The promise itself, for a caller who may await it later than it is rejected: without a first observer that would
 * end the process as an unhandled rejection.
 */
export const observed = <T>(promise: Promise<T>): Promise<T> => {
  promise.then(undefined, noop)
  return promise
}
