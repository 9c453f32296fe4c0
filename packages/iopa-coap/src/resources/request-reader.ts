import { IopaError, type Limits } from '@iopa/transport'
import { BERT } from '../codec/block.ts'
import { CODE } from '../codec/codes.ts'
import { type Extensions, NO_EXTENSIONS } from '../codec/extensions.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import { LONGEST_TRACE, OPTION } from '../codec/option-registry.ts'
import { OptionWalker } from '../codec/option-walker.ts'
import { decodeText, decodeUint } from '../codec/options.ts'
import type { PathCache } from './path-cache.ts'
import { CoapRequest } from './request.ts'

const NONE = -1

/** Why a request is refused before anything runs. */
export class Refusal extends Error {
  /** The response code. */
  readonly code: number
  /** A sentence for the peer. */
  readonly detail: string
  /** The number of the option that was not understood. */
  readonly option: number | undefined

  constructor(code: number, detail: string, option?: number) {
    super(detail)
    this.code = code
    this.detail = detail
    this.option = option
  }
}

// What could end the host in a URL, or hide in a log, is none of it.
const HOST = /^[^\u0000-\u0020\u007f/?#@\\]+$/

// What a header field may hold (RFC 9110 section 5.5), in ASCII.
const FIELD_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/

const badOption = (number: number): Refusal =>
  new Refusal(CODE.BAD_OPTION, `Option ${number} is critical and not understood here, or its value is out of range.`, number)

// A request is read to its end before another one is.
const WALKER = new OptionWalker()

/** Reads the options of a request; `proxied` where it is for another server, which this one may ask. @throws Refusal, IopaError for a path that is not canonical. */
export const readRequest = (
  message: ReceivedMessage,
  paths: PathCache,
  limits: Limits,
  reliable: boolean,
  extensions: Extensions = NO_EXTENSIONS,
  proxied = false
): CoapRequest => {
  const request = new CoapRequest(message)
  const { bytes, optionsEnd, tokenStart, tokenEnd } = message
  let pathStart = NONE
  let pathEnd = NONE
  let count = 0
  let last = NONE
  if (tokenEnd - tokenStart > extensions.tokenLength)
    throw new Refusal(CODE.BAD_REQUEST, `This server takes tokens of up to ${extensions.tokenLength} bytes.`)
  if (optionsEnd - tokenEnd > limits.headerBytes) throw new Refusal(CODE.BAD_REQUEST, `The options take more than ${limits.headerBytes} bytes.`)
  for (const walker = WALKER.begin(bytes, tokenEnd, optionsEnd); walker.next(); ) {
    const { number, start, end } = walker
    const length = end - start
    // Of an option that may not be repeated, each further one counts as not understood (RFC 7252 section 5.4.5).
    const again = number === last
    last = number
    if (++count > limits.headerCount + limits.pathSegments) throw new Refusal(CODE.BAD_REQUEST, 'The request has too many options.')
    switch (number) {
      case OPTION.URI_PATH:
        if (length > 255) throw badOption(number)
        if (pathStart === NONE) pathStart = walker.header
        pathEnd = end
        break
      case OPTION.URI_QUERY:
        if (length > 255) throw badOption(number)
        request.query = joinQuery(request.query, bytes.subarray(start, end), again)
        break
      case OPTION.IF_MATCH:
        if (length > 8) throw badOption(number)
        request.conditional = true
        break
      case OPTION.IF_NONE_MATCH:
        if (length > 0 || again) throw badOption(number)
        request.conditional = true
        break
      case OPTION.URI_HOST: {
        const host = length < 1 || length > 255 || again ? undefined : decodeText(bytes.subarray(start, end))
        if (host === undefined || !HOST.test(host)) throw badOption(number)
        request.uriHost = host
        break
      }
      case OPTION.URI_PORT:
        if (length > 2 || again) throw badOption(number)
        request.port = decodeUint(bytes, start, end)
        break
      case OPTION.ACCEPT:
        if (length > 2 || again) throw badOption(number)
        request.accept = decodeUint(bytes, start, end)
        break
      case OPTION.BLOCK2:
        if (length > 3 || again) throw badOption(number)
        request.block2 = decodeUint(bytes, start, end)
        break
      case OPTION.BLOCK1:
        if (length > 3 || again) throw badOption(number)
        request.block1 = decodeUint(bytes, start, end)
        break
      case OPTION.ETAG:
        if (length > 0 && length <= 8) request.etagged = true
        break
      case OPTION.OBSERVE:
        if (length <= 3 && !again) request.observe = decodeUint(bytes, start, end)
        break
      case OPTION.CONTENT_FORMAT:
        if (length <= 2 && !again) request.contentFormat = decodeUint(bytes, start, end)
        break
      case OPTION.SIZE1:
        if (length <= 4 && !again) request.size1 = decodeUint(bytes, start, end)
        break
      case OPTION.SIZE2:
        if (length <= 4 && !again) request.asksSize = true
        break
      case OPTION.ECHO:
        if (length > 0 && length <= 40 && !again) request.echo = bytes.subarray(start, end)
        break
      case OPTION.NO_RESPONSE:
        if (length <= 1 && !again) request.noResponse = decodeUint(bytes, start, end)
        break
      case OPTION.IDEMPOTENCY_KEY: {
        const key = length < 1 || length > 255 || again ? undefined : decodeText(bytes.subarray(start, end))
        if (key !== undefined && FIELD_VALUE.test(key)) request.idempotencyKey = key
        break
      }
      case OPTION.SEEN:
        if (length > 0 && length <= 8 && !again) request.seen = bytes.subarray(start, end)
        break
      case OPTION.TRACEPARENT:
        if (!again) addTrace(request, 'traceparent', bytes.subarray(start, end))
        break
      case OPTION.TRACESTATE:
        if (!again) addTrace(request, 'tracestate', bytes.subarray(start, end))
        break
      case OPTION.BAGGAGE:
        if (!again) addTrace(request, 'baggage', bytes.subarray(start, end))
        break
      case OPTION.HOP_LIMIT:
        // It means nothing to an origin server, but for a value that no proxy may send (RFC 8768 section 3).
        if (length > 4 || decodeUint(bytes, start, end) < 1 || decodeUint(bytes, start, end) > 255)
          throw new Refusal(CODE.BAD_REQUEST, 'Hop-Limit is a number from 1 to 255.')
        break
      case OPTION.PROXY_URI:
      case OPTION.PROXY_SCHEME:
        if (!proxied) throw new Refusal(CODE.PROXYING_NOT_SUPPORTED, 'This server is no proxy.', number)
        if (length === 0 || again) throw badOption(number)
        break
      default:
        // A proxy hands on what is safe to forward, such as OSCORE (RFC 7252 section 5.7.1, RFC 8613 section 10).
        if ((number & 1) === 1 && !extensions.critical.has(number) && !(proxied && (number & 2) === 0)) throw badOption(number)
    }
  }
  if (pathStart !== NONE) request.path = paths.read(bytes, pathStart, pathEnd)
  // The exponent 7 is reserved on datagrams (RFC 7959 section 2.2) and BERT on streams (RFC 8323 section 6).
  if (!reliable && ((request.block1 !== NONE && (request.block1 & 7) === BERT) || (request.block2 !== NONE && (request.block2 & 7) === BERT)))
    throw new Refusal(CODE.BAD_REQUEST, 'A block has a size exponent from 0 to 6.')
  return request
}

/** Adds the header of an option of traces; a value that is no field value is ignored, for a trace must not fail a request. */
const addTrace = (request: CoapRequest, name: string, bytes: Uint8Array): void => {
  const value = bytes.length < 1 || bytes.length > LONGEST_TRACE ? undefined : decodeText(bytes)
  if (value !== undefined && FIELD_VALUE.test(value)) (request.trace ??= []).push(name, value)
}

// A literal plus would be read as a space (application/x-www-form-urlencoded).
const PLAIN = /^[\w.~!$'()*,;:@/?=-]*$/

/** Appends a Uri-Query option to the query string; what would be read as a separator there is escaped (RFC 7252 section 6.5). */
const joinQuery = (query: string, bytes: Uint8Array, more: boolean): string => {
  const text = decodeText(bytes)
  if (text === undefined) throw new IopaError(400, 'undecodable-query', 'A Uri-Query option is not valid UTF-8.')
  const part = PLAIN.test(text) ? text : encodeURIComponent(text).replace(/%(?:3D|2F|3A|40|3F|2C|3B|24)/g, decodeURIComponent)
  return more ? `${query}&${part}` : part
}
