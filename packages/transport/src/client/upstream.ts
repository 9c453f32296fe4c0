import { type ErrorOrigin, IopaError, isIopaError, originOf, withOrigin } from '@iopa/constants'

/** The error, marked with its origin; a copy where it cannot be marked, for many share it. */
export const marked = (error: unknown, origin: ErrorOrigin): unknown =>
  originOf(withOrigin(error, origin)) !== undefined || !isIopaError(error) ? error : markedCopy(error, origin)

/** A copy that is marked, of an error that others keep. */
export const markedCopy = (error: IopaError, origin: ErrorOrigin): IopaError => {
  const { status, code, detail, headers, extensions } = error
  const copy = new IopaError(status, code, detail, {
    cause: error,
    ...(headers === undefined ? undefined : { headers }),
    ...(extensions === undefined ? undefined : { extensions })
  })
  return withOrigin(copy, origin)
}

/** Runs `work` and marks its errors, so that they are not answered as faults of a peer. */
export const marking = <T>(origin: ErrorOrigin, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw marked(error, origin)
  }
}
