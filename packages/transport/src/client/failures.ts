import { IopaError, isIopaError } from '@iopa/constants'
import type { LinkAnswer } from '@iopa/context'
import type { LinkLoss } from '../contract/link.ts'

/** `close` was called: what waits ends with this, and so does what is asked afterwards. */
export const channelClosed = (): IopaError => new IopaError(503, 'closed', 'The client is closed: connect again.')

/** The connection is gone. */
export const connectionLost = (cause?: unknown): IopaError =>
  new IopaError(502, 'disconnected', 'The connection was lost before the answer came.', cause === undefined ? {} : { cause })

/** The same as the error of a link: says whether the peer may have acted on the request. */
export const linkLost = (loss: LinkLoss, cause?: unknown): IopaError & LinkLoss => lossOf(connectionLost(cause), loss)

/** Marks `error` as the error of a lost link, for a peer that gives a reason for closing. */
export const lossOf = (error: IopaError, loss: LinkLoss): IopaError & LinkLoss => Object.assign(error, loss)

/** What an error says of the loss of a link; undefined where the link was not lost. */
export const lossIn = (error: unknown): LinkLoss | undefined =>
  typeof error === 'object' && error !== null && typeof (error as Partial<LinkLoss>).sent === 'boolean' ? (error as LinkLoss) : undefined

/** The session of a peer has ended: a client to it never reaches the next holder of its address. */
export const peerGone = (): IopaError => new IopaError(503, 'peer-gone', 'The session of the peer has ended: take a client of its next request.')

export const isPeerGone = (error: unknown): boolean => isIopaError(error) && error.code === 'peer-gone'

/** More requests or observations wait than the client may have at once. */
export const overloaded = (limit: number, what = 'requests wait for an answer'): IopaError =>
  new IopaError(503, 'overloaded', `${limit} ${what} on this client; wait for some of them.`)

/** No answer came within `ms` milliseconds, or as long as the protocol waits; `advice` is a sentence about what to check. */
export const answerTimeout = (ms?: number, advice?: string): IopaError =>
  new IopaError(
    504,
    'timeout',
    `The peer has not answered ${ms === undefined ? 'in time' : `within ${ms} ms`}.${advice === undefined ? '' : ` ${advice}`}`
  )

/** The answer is none of the protocol, or does not end as it should. */
export const badAnswer = (detail: string, cause?: unknown): IopaError =>
  new IopaError(502, 'bad-answer', detail, cause === undefined ? {} : { cause })

/** The peer does not let a path be observed, or not any more. What it says itself, its code and sentence, is the cause. */
export const observationRefused = (answer: LinkAnswer): IopaError => {
  const { status } = answer
  const location = answer.headers.get('location')
  // CoAP has no status for a redirect: it is a 5.00 with a location (docs/spec/transport.md).
  if (location !== undefined && (status === 500 || (status >= 300 && status < 400)))
    return new IopaError(502, 'redirected', `The peer redirects this observation: observe ${location}.`)
  return new IopaError(status < 400 ? 502 : status, 'refused', `The peer answers this observation with ${status}.`, { cause: statedError(answer) })
}

/** The problem in an answer (RFC 9457), or its text. */
const statedError = (answer: LinkAnswer): IopaError => {
  const { status, type, payloadBytes, reason, error } = answer
  if (error !== null && error.code !== `status-${status}`) return new IopaError(status, error.code, error.detail)
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
