import {
  type HeaderFields,
  HeaderMap,
  IopaError,
  type LinkAnswer,
  MEDIA_TYPES,
  type OutgoingRequest,
  type ReceivedProblem,
  receivedAnswer
} from '@iopa/transport'
import { formatCode, statusOfCode } from '../codec/codes.ts'
import { codingOf, nearestFormatOf, typeOfFormat } from '../codec/content-formats.ts'
import { etagHeader, etagOption } from '../codec/etag.ts'
import { type MethodCodes, NO_EXTENSIONS } from '../codec/extensions.ts'
import type { Message } from '../codec/message.ts'
import { LONGEST_CODE, LONGEST_TRACE, OPTION, TRACE_OPTIONS } from '../codec/option-registry.ts'
import { decodeText, Options } from '../codec/options.ts'
import type { ClientRequest } from '../exchanges/transfer.ts'
import { decodeProblem } from '../formats/problem-details.ts'
import { addRawOptions, isSealed, namesHost } from './raw-options.ts'

const PROBLEM_TYPE = 'application/concise-problem-details+cbor'
const NOTHING = new Uint8Array(0)

/** The request that an app has written. `host` is the name in the URL, empty for an address. @throws IopaError 400, 501 for what CoAP cannot carry. */
export const clientRequest = (request: OutgoingRequest, host: string, codes: MethodCodes = NO_EXTENSIONS.codes): ClientRequest => {
  const code = codes.codeOf(request.method)
  if (code === undefined)
    throw new IopaError(
      501,
      'no-such-method',
      `CoAP has no method '${request.method}': use GET, POST, PUT, DELETE, FETCH, PATCH or iPATCH, or a code such as 0.30.`
    )
  const options = new Options()
  const given = request.bag['coap.Options']
  if (host !== '' && (given === undefined || !namesHost(given))) options.add(OPTION.URI_HOST, host)
  if (request.path !== '/') for (const segment of request.path.slice(1).split('/')) addText(options, OPTION.URI_PATH, segment)
  if (request.query !== '') for (const part of request.query.split('&')) addText(options, OPTION.URI_QUERY, decodePart(part))
  const payload = request.body === null ? NOTHING : (request.body as Uint8Array)
  // What is protected has no format outside (RFC 8613 section 11.3).
  if (request.type !== '' && payload.length > 0 && !isSealed(given)) {
    const format = nearestFormatOf(request.type, request.headers.get('content-encoding'))
    if (format === undefined) throw new IopaError(415, 'no-content-format', `CoAP has no Content-Format for '${request.type}'.`)
    options.add(OPTION.CONTENT_FORMAT, format)
  }
  addHeaders(options, request.headers)
  if (given !== undefined) addRawOptions(options, given)
  return { code, options, payload }
}

const addHeaders = (options: Options, headers: HeaderFields): void => {
  // To send the request without its condition could overwrite what the condition protects.
  if (headers.has('if-unmodified-since'))
    throw new IopaError(501, 'no-such-condition', 'CoAP has no option for If-Unmodified-Since: use If-Match with an entity tag.')
  const accept = headers.get('accept')?.split(',')[0]?.trim()
  // CoAP asks for one format or for none: what may be anything is not asked for.
  if (accept !== undefined && !accept.includes('*')) {
    const format = nearestFormatOf(accept)
    if (format === undefined) throw new IopaError(406, 'accept-without-format', `CoAP has no Content-Format for '${accept}'.`)
    options.add(OPTION.ACCEPT, format)
  }
  for (const tag of tagsOf(headers.get('if-match'))) options.add(OPTION.IF_MATCH, tag === '*' ? NOTHING : etagOption(tag))
  for (const tag of tagsOf(headers.get('if-none-match'))) {
    if (tag === '*') options.add(OPTION.IF_NONE_MATCH)
    else options.add(OPTION.ETAG, etagOption(tag))
  }
  const key = headers.get('idempotency-key')
  if (key !== undefined) addText(options, OPTION.IDEMPOTENCY_KEY, key.replace(/^"(.*)"$/s, '$1'))
  const seen = headers.get('iopa-seen')
  if (seen !== undefined) options.add(OPTION.SEEN, etagOption(seen))
  for (const [name, number] of TRACE_OPTIONS) {
    const value = headers.get(name)
    if (value === undefined) continue
    const bytes = Buffer.from(value)
    if (bytes.length > 0 && bytes.length <= LONGEST_TRACE) options.add(number, bytes)
  }
}

const tagsOf = (header: string | undefined): string[] => (header === undefined ? [] : (header.match(/\*|(?:W\/)?"[^"]*"/g) ?? []))

const addText = (options: Options, number: number, text: string): void => {
  const bytes = Buffer.from(text)
  if (bytes.length > 255)
    throw new IopaError(
      400,
      'option-too-long',
      'A segment of the path, a part of the query or an idempotency key is longer than 255 bytes, which CoAP cannot carry.'
    )
  options.add(number, bytes)
}

const decodePart = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new IopaError(400, 'undecodable-query', 'The query holds an escape that is not valid UTF-8.')
  }
}

/** The answer that a response is; `payload` is the whole of it, put together from blocks, or a stream that fetches them. */
export const clientAnswer = (message: Message, payload: Uint8Array | AsyncIterable<Uint8Array>): LinkAnswer => {
  const { options, code } = message
  const headers: string[] = []
  for (const tag of options.getAll(OPTION.ETAG)) headers.push('etag', etagHeader(tag))
  const age = options.uint(OPTION.MAX_AGE)
  const hasPayload = !(payload instanceof Uint8Array) || payload.length > 0
  const status = statusOfCode(code, hasPayload)
  if (age !== undefined) headers.push(...(status === 503 || status === 429 ? ['retry-after', String(age)] : ['cache-control', `max-age=${age}`]))
  const location = locationOf(options)
  if (location !== '') headers.push('location', location)
  const trace = options.get(OPTION.TRACEPARENT)
  const traceparent = trace === undefined ? undefined : decodeText(trace)
  if (traceparent !== undefined) headers.push('traceparent', traceparent)
  const format = options.uint(OPTION.CONTENT_FORMAT)
  const coding = format === undefined ? undefined : codingOf(format)
  if (coding !== undefined) headers.push('content-encoding', coding)
  // Without a format the payload of an error is a text for people (RFC 7252 section 5.5.2).
  const type = format !== undefined ? typeOfFormat(format) : code >= 128 && hasPayload ? MEDIA_TYPES.Text : ''
  return receivedAnswer(status, {
    headers: new HeaderMap(headers),
    type,
    payload: hasPayload ? payload : null,
    reason: formatCode(code),
    ...(code >= 128 && { problem: problemIn(type, payload, options) }),
    keys: { 'coap.Message': message }
  })
}

/** What an error says of itself: as concise problem details, or by its code beside a text. Of a payload that is still to come nothing is known. */
const problemIn = (type: string, payload: Uint8Array | AsyncIterable<Uint8Array>, options: Options): ReceivedProblem | undefined => {
  const whole = payload instanceof Uint8Array ? payload : undefined
  if (type === PROBLEM_TYPE) {
    if (whole === undefined) return undefined
    try {
      const { detail, members } = decodeProblem(whole)
      const { code, ...extensions } = members ?? {}
      return { code: typeof code === 'string' ? code : undefined, detail, extensions }
    } catch {
      return undefined
    }
  }
  const bytes = options.get(OPTION.PROBLEM_CODE)
  const code = bytes === undefined || bytes.length > LONGEST_CODE ? undefined : decodeText(bytes)
  if (code === undefined || code === '') return undefined
  return { code, detail: type === MEDIA_TYPES.Text && whole !== undefined ? decodeText(whole) : undefined }
}

const locationOf = (options: Options): string => {
  const path = options.getAll(OPTION.LOCATION_PATH).map(segment => `/${encodeURIComponent(decodeText(segment) ?? '')}`)
  const query = options.getAll(OPTION.LOCATION_QUERY).map(part => encodeURIComponent(decodeText(part) ?? '').replace(/%3D/g, '='))
  return path.join('') + (query.length > 0 ? `${path.length === 0 ? '/' : ''}?${query.join('&')}` : '')
}
