import { type IopaError, reasonPhrase } from '@iopa/constants'

/** Problem details (RFC 9457 section 3.1); `code` is the stable identifier of IOPA. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code?: string
  readonly detail?: string
  readonly [extension: string]: unknown
}

/** The problem that a status, and the error behind it, describe to the peer. */
export const problemOf = (status: number, error: IopaError | null): Problem => {
  const base = { type: 'about:blank', title: reasonPhrase(status), status }
  if (error === null) return base
  return { ...error.extensions, ...base, code: error.code, ...(error.detail === '' ? undefined : { detail: error.detail }) }
}

/** The problem as JSON, without the error's extensions where those have no JSON form or cannot be read. */
export const problemText = (status: number, error: IopaError | null): string => {
  try {
    return JSON.stringify(problemOf(status, error))
  } catch {
    const { code, detail } = error as IopaError
    return JSON.stringify({ type: 'about:blank', title: reasonPhrase(status), status, code, detail: detail === '' ? undefined : detail })
  }
}
