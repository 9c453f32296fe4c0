import { Answer, CodecTable, IopaError } from '@iopa/appbuilder'

const CODECS = new CodecTable()

/** The problem answer for an error that arises before there is a context. */
export const answerTo = (error: IopaError): Answer => {
  const answer = new Answer()
  answer.fail(error)
  answer.seal(CODECS)
  return answer
}

/** The error for bytes that are no request (RFC 9112); `fault` completes the sentence, and says what to send instead. */
export const malformed = (fault: string): IopaError => new IopaError(400, 'malformed-request', `The request is malformed: ${fault}.`)

/** The error for a header section, or for trailers, beyond the limit. */
export const headersTooLarge = (limit: number): IopaError =>
  new IopaError(431, 'headers-too-large', `The request line and the header fields are longer than ${limit} bytes; send less.`)

/** The error for a version of HTTP that is not spoken here. */
export const otherVersion = (): IopaError => new IopaError(505, 'http-version', 'This server speaks HTTP/1.1.')
