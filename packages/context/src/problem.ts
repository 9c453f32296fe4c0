import { IopaError, MEDIA_TYPES, mediaTypeEssence, parseJson, reasonPhrase, withOrigin } from '@iopa/constants'

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

/** The error that a received answer of 400 and more tells of; null for any other one, and for one whose body has not been read. */
export const problemIn = (status: number, type: string, payload: unknown): IopaError | null => {
  if (status < 400 || status > 599) return null
  if (typeof payload === 'object' && payload !== null && !(payload instanceof Uint8Array)) return null
  const text = typeof payload === 'string' ? payload : payload instanceof Uint8Array ? new TextDecoder().decode(payload) : ''
  const essence = mediaTypeEssence(type)
  if (essence === MEDIA_TYPES.ProblemJson || essence === MEDIA_TYPES.Json) {
    const problem = problemOfText(text)
    if (problem !== null) {
      const { type: _, title: __, status: ___, code, detail, ...extensions } = problem
      return receivedError(status, typeof code === 'string' ? code : '', typeof detail === 'string' ? detail : '', extensions)
    }
  }
  // Protocols without a form for problems send the detail as text (RFC 7252 section 5.5.2).
  const diagnostic = (essence === '' || essence === 'text/plain') && text.length <= MOST_DIAGNOSTIC
  return receivedError(status, '', diagnostic ? text : '', {})
}

const MOST_DIAGNOSTIC = 1024

const problemOfText = (text: string): Record<string, unknown> | null => {
  try {
    const value = parseJson(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** The error of a received answer. */
export const receivedError = (status: number, code: string, detail: string, extensions: Record<string, unknown>): IopaError => {
  const options = Object.keys(extensions).length === 0 ? {} : { extensions }
  return withOrigin(new IopaError(status, code || `status-${status}`, detail, options), 'upstream')
}
