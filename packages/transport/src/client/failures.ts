import { IopaError } from '@iopa/constants'
import type { Answer } from '@iopa/context'

/** `close` was called: what waits ends with this, and so does what is asked afterwards. */
export const channelClosed = (): IopaError => new IopaError(503, 'channel-closed', 'The client is closed: connect again.')

/** The connection is gone. */
export const connectionLost = (cause?: unknown): IopaError =>
  new IopaError(502, 'disconnected', 'The connection was lost before the answer came.', cause === undefined ? {} : { cause })

/** No answer came within `ms` milliseconds, or as long as the protocol waits. */
export const answerTimeout = (ms?: number): IopaError =>
  new IopaError(504, 'timeout', `The peer has not answered ${ms === undefined ? 'in time' : `within ${ms} ms`}.`)

/** The answer is none of the protocol, or does not end as it should. */
export const badAnswer = (detail: string, cause?: unknown): IopaError =>
  new IopaError(502, 'bad-answer', detail, cause === undefined ? {} : { cause })

/** The peer does not let a path be observed, or not any more. What it says itself, its code and sentence, is the cause. */
export const observationRefused = (answer: Answer): IopaError => {
  const { status } = answer
  const location = answer.headers.get('location')
  // CoAP has no status for a redirect: it is a 5.00 that says where (docs/spec/transport.md).
  if (location !== undefined && (status === 500 || (status >= 300 && status < 400)))
    return new IopaError(502, 'redirected', `The peer redirects this observation: observe ${location}.`)
  return new IopaError(status < 400 ? 502 : status, 'refused', `The peer answers this observation with ${status}.`, { cause: statedError(answer) })
}

/** The problem in an answer (RFC 9457), or its text. */
const statedError = (answer: Answer): IopaError => {
  const { status, type, payloadBytes, reason } = answer
  const text = new TextDecoder().decode(payloadBytes)
  let problem: { readonly code?: unknown; readonly detail?: unknown } = {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) problem = value
  } catch {
    // It does not say more.
  }
  const { code, detail = type.startsWith('text/plain') ? text : reason } = problem
  return new IopaError(status < 400 ? 502 : status, typeof code === 'string' ? code : 'refused', typeof detail === 'string' ? detail : '')
}
