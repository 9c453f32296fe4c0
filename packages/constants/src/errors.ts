import type { IopaErrorCode } from './error-codes.ts'
import { reasonPhrase } from './statuses.ts'

/** What `new IopaError(status, code, detail, options)` takes last. */
export interface IopaErrorOptions {
  /** What led to this error; it is logged and never sent. */
  readonly cause?: unknown
  /** Headers for the answer, such as `allow` or `retry-after`. */
  readonly headers?: Readonly<Record<string, string>>
  /** Further members of the problem, such as the fields that failed (RFC 9457 section 3.2). */
  readonly extensions?: Readonly<Record<string, unknown>>
}

/**
 * The one error of IOPA: each protocol renders its status, code and detail in its own form.
 * Recognise it by `name` and `code`; two copies of this package may be loaded.
 */
export class IopaError extends Error {
  override readonly name = 'IopaError'
  /** Neutral status, 400 to 599. */
  readonly status: number
  /** Stable kebab-case identifier, such as `no-route`: one of docs/spec/errors.md, or one of your own. */
  readonly code: IopaErrorCode | (string & {})
  /** A sentence for the peer that says what to do; empty if the status says enough. */
  readonly detail: string
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly extensions: Readonly<Record<string, unknown>> | undefined

  constructor(status: number, code: IopaErrorCode | (string & {}), detail = '', options: IopaErrorOptions = {}) {
    super(detail || `${reasonPhrase(status)} (${code})`, 'cause' in options ? { cause: options.cause } : undefined)
    this.status = status
    this.code = code
    this.detail = detail
    this.headers = options.headers
    this.extensions = options.extensions
  }
}

const ORIGIN: unique symbol = Symbol.for('iopa.origin') as never

/**
 * Whose error it is: `upstream` came from a server that this process asked, `internal` from a call of the app itself
 * (`notify`, `app.invoke`, `app.observe`). An error without an origin is for the peer whose request is being handled.
 */
export type ErrorOrigin = 'upstream' | 'internal'

/** Marks an error with its origin, which stays with it wherever it is rethrown; anything but an object is returned as it is. */
export const withOrigin = <E>(error: E, origin: ErrorOrigin): E => {
  if (typeof error === 'object' && error !== null && !(ORIGIN in error) && Object.isExtensible(error)) {
    Object.defineProperty(error, ORIGIN, { value: origin })
  }
  return error
}

/** The origin of an error; undefined for one that is for the peer. */
export const originOf = (error: unknown): ErrorOrigin | undefined =>
  typeof error === 'object' && error !== null ? (error as { [ORIGIN]?: ErrorOrigin })[ORIGIN] : undefined

/** True for an IopaError of any copy of this package. */
export const isIopaError = (value: unknown): value is IopaError =>
  value instanceof Error &&
  value.name === 'IopaError' &&
  typeof (value as Partial<IopaError>).status === 'number' &&
  typeof (value as Partial<IopaError>).code === 'string'
