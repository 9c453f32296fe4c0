import type { Logger } from '@iopa/constants'

/**
 * Logs a failure. The logger and the error belong to the user: whatever they do, nothing comes back. A logger may be
 * asynchronous and reject; an error may be a proxy, or throw where it is read.
 */
export const report = (logger: Pick<Logger, 'error'>, line: string, ...error: readonly unknown[]): void => {
  if (!logged(logger, line, error)) logged(logger, line, ['The error cannot be shown: reading it fails.'])
}

const logged = (logger: Pick<Logger, 'error'>, line: string, error: readonly unknown[]): boolean => {
  try {
    const done: unknown = logger.error(line, ...error)
    if (typeof done === 'object' && done !== null && typeof (done as { then?: unknown }).then === 'function') {
      Promise.resolve(done).catch(() => undefined)
    }
    return true
  } catch {
    return false
  }
}
