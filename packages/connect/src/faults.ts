import { IopaError, isIopaError } from '@iopa/constants'

/** What many packages put on their errors (http-errors). */
interface StatedError {
  readonly status?: unknown
  readonly statusCode?: unknown
  readonly expose?: unknown
  readonly message?: unknown
  readonly headers?: unknown
}

/** The error of a run for what middleware gave to `next` or threw: one that states a status keeps it, anything else is a 500. */
export const faultOf = (error: unknown): unknown => {
  if (isIopaError(error)) return error
  if (typeof error !== 'object' || error === null) return new Error(`A Connect middleware failed with ${String(error)}.`)
  const { status, statusCode, expose, message, headers } = error as StatedError
  const stated = typeof status === 'number' ? status : statusCode
  if (typeof stated !== 'number' || !Number.isInteger(stated) || stated < 400 || stated > 599) return error
  const exposed = (typeof expose === 'boolean' ? expose : stated < 500) && typeof message === 'string'
  return new IopaError(stated, 'middleware-refused', exposed ? message : '', { cause: error, headers: textsOf(headers) })
}

const textsOf = (headers: unknown): Readonly<Record<string, string>> =>
  typeof headers === 'object' && headers !== null
    ? Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])))
    : {}
