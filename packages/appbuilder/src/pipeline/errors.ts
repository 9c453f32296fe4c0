import { type ErrorOrigin, IopaError, isIopaError, originOf } from '@iopa/constants'

const internal = (cause: unknown): IopaError => new IopaError(500, 'internal-error', '', { cause })

/** A neutral error for one that belongs to another server, or to this app itself: nothing of it is for the peer. */
const ofOrigin = (origin: ErrorOrigin, status: unknown, cause: unknown): IopaError => {
  if (origin === 'internal') return internal(cause)
  return status === 504
    ? new IopaError(504, 'upstream-timeout', 'A server that this one depends on did not answer in time; try again later.', { cause })
    : new IopaError(502, 'upstream-failed', 'A server that this one depends on has failed; try again later.', { cause })
}

// Wrapped errors are looked into this deep.
const DEEPEST = 8

/** What an error that is not for the peer stands for: its own origin, or that of the errors that it joins or wraps. */
const foreign = (error: unknown, depth = 0): IopaError | null => {
  if (typeof error !== 'object' || error === null || depth === DEEPEST) return null
  const origin = originOf(error)
  const { status, cause, errors } = error as { status?: unknown; cause?: unknown; errors?: unknown }
  if (origin !== undefined) return ofOrigin(origin, status, error)
  if (isIopaError(error)) return null
  if (!Array.isArray(errors)) return foreign(cause, depth + 1)
  const all = errors.map(one => foreign(one, depth + 1))
  return all.find(one => one?.status === 502) ?? all.find(one => one !== null) ?? null
}

/** True where the error can be used as it is: reading it does not run code of the user, and everything has its type. */
const isPlain = (error: IopaError): boolean =>
  typeof error.detail === 'string' && Number.isInteger(error.status) && error.status >= 400 && error.status <= 599

/**
 * The peer's view of an error: an IopaError as it is, a failure of another server as 502 or 504, anything else as 500
 * without its message. An error may be anything, also a proxy, or an object that throws where it is read.
 */
export const toIopaError = (error: unknown): IopaError => {
  try {
    const other = foreign(error)
    if (other !== null) return other
    if (!isIopaError(error) || !isPlain(error)) return internal(error)
    if (Object.getPrototypeOf(error) === IopaError.prototype || error instanceof IopaError) return error
    // Of another copy of this library: what it says is read once.
    const { status, code, detail, headers, extensions } = error
    return new IopaError(status, code, detail, {
      cause: error,
      ...(headers === undefined ? undefined : { headers }),
      ...(extensions === undefined ? undefined : { extensions })
    })
  } catch {
    return internal(undefined)
  }
}
