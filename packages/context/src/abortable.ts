/**
 * What `work` comes to, or the reason of `signal` as soon as that aborts. Work does not begin where the signal has aborted; `late` gets what it
 * comes to after that.
 */
export const abortable = <T>(signal: AbortSignal | undefined, work: () => Promise<T>, late?: (value: T) => void): Promise<T> => {
  if (signal === undefined) return work()
  return new Promise<T>((resolve, reject) => {
    signal.throwIfAborted()
    const abort = (): void => reject(signal.reason)
    const settled = (): void => signal.removeEventListener('abort', abort)
    signal.addEventListener('abort', abort, { once: true })
    work()
      .then(value => {
        settled()
        if (signal.aborted) late?.(value)
        resolve(value)
      }, reject)
      .finally(settled)
  })
}
