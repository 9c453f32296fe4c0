import { Answer, CodecTable, IopaError } from '@iopa/appbuilder'

const CODECS = new CodecTable()

/** The problem answer for an error that arises before there is a context. */
export const answerTo = (error: IopaError): Answer => {
  const answer = new Answer()
  answer.fail(error)
  answer.seal(CODECS)
  return answer
}

/** What the peer is told when its bytes are no request (RFC 9112), by the code of the parser's error. */
export const malformedRequest = (error: Error & { readonly code?: string; readonly reason?: string }): IopaError => {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return new IopaError(431, 'headers-too-large', 'The request line and the header fields are too long; send less.')
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new IopaError(413, 'chunk-extensions-too-large', 'The extensions of a chunk are too long; leave them out.')
    case 'HPE_PAUSED_H2_UPGRADE':
      return new IopaError(505, 'http-version', 'This server speaks HTTP/1.1.')
    case 'HPE_INVALID_EOF_STATE':
      return new IopaError(400, 'incomplete-request', 'The connection ended within a request.')
    default:
      return new IopaError(400, 'malformed-request', `The request is malformed: ${error.reason ?? 'it cannot be parsed'}.`)
  }
}

/** True for an error of the parser, false for one of the socket. */
export const isParserError = (error: Error & { readonly code?: string }): boolean => error.code?.startsWith('HPE_') === true
