/** A promise that does not outlast a signal: rejects with its reason. What the promise comes to then is ignored. */
export const until = <T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    const settled = (): void => signal.removeEventListener('abort', abort)
    promise.then(
      value => {
        settled()
        resolve(value)
      },
      (error: unknown) => {
        settled()
        reject(error)
      }
    )
  })
}
