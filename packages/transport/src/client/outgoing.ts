import { type Bag, type Body, CodecTable, type HeadersInit } from '@iopa/constants'
import { checkPath, encodeBody, HeaderMap } from '@iopa/context/host'

const utf8 = new TextEncoder()
const DEFAULT_CODECS = new CodecTable()

/** A request as a link sends it. */
export interface OutgoingRequest {
  readonly method: string
  /** Canonical, not percent-encoded. */
  readonly path: string
  /** Without the `?`. */
  readonly query: string
  readonly headers: HeaderMap
  readonly type: string
  readonly body: Body
  readonly signal: AbortSignal | undefined
  /** What it was made of: for keys of the protocol's own namespace. */
  readonly bag: Bag
}

/** Reads a bag or a context as a request to send. @throws IopaError 400 for an illegal path. */
export const outgoing = (request: Bag, codecs: CodecTable = DEFAULT_CODECS): OutgoingRequest => {
  const given: HeadersInit | undefined = request['iopa.Headers']
  const headers = given === undefined ? new HeaderMap() : HeaderMap.from(given)
  const stated = request['iopa.ContentType'] || headers.get('content-type') || ''
  const value = request['iopa.Body']
  let body: Body = null
  let type = stated
  if (value !== undefined && value !== null) {
    const encoded = encodeBody(value, stated, codecs)
    body = typeof encoded.payload === 'string' ? utf8.encode(encoded.payload) : encoded.payload
    type = encoded.type
  }
  return {
    method: request['iopa.Method'] ?? 'GET',
    path: checkPath(request['iopa.Path'] ?? '/'),
    query: request['iopa.QueryString'] ?? '',
    headers,
    type,
    body,
    signal: request['iopa.CallCancelled'],
    bag: request
  }
}
