import { answerToError, IopaError, type SealedAnswer } from '@iopa/transport'

/** The problem answer for an error that arises before there is a context. */
export const answerTo: (error: IopaError) => SealedAnswer = answerToError

/** The error for bytes that are no request (RFC 9112); `fault` completes the sentence, and says what to send instead. */
export const malformed = (fault: string): IopaError => new IopaError(400, 'malformed-request', `The request is malformed: ${fault}.`)

/** The error for a header section, or for trailers, beyond the limit. */
export const headersTooLarge = (limit: number): IopaError =>
  new IopaError(431, 'headers-too-large', `The request line and the header fields are longer than ${limit} bytes; send less.`)

/** The error for a version of HTTP that is not spoken here. */
export const otherVersion = (): IopaError => new IopaError(505, 'http-version', 'This server speaks HTTP/1.1.')

/** For a request whose body can never be complete. */
export const DISCONNECTED: IopaError = new IopaError(400, 'incomplete-request', 'The peer has gone before its request was complete.')

/** For a body that is read after its request was answered. */
export const OVER: IopaError = new IopaError(400, 'request-over', 'The request has been answered; its body cannot be read any more.')

/** For the bytes that a connection ends within. */
export const INCOMPLETE: IopaError = new IopaError(400, 'incomplete-request', 'The connection ended within a request.')

/** The error for a header that does not come. */
export const headerTimeout = (limit: number): IopaError =>
  new IopaError(408, 'header-timeout', `The header of the request did not come within ${limit} ms.`)

/** The error for an answer whose body stands still. */
export const bodyStalled = (limit: number): IopaError => new IopaError(500, 'body-stalled', `The body made no progress for ${limit} ms.`)
