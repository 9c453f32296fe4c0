import { type Body, byteBody, type Context, IopaError, type Limits, type RequestSource } from '@iopa/transport'
import { BERT } from '../codec/block.ts'
import { CODE } from '../codec/codes.ts'
import { codingOf, typeOfFormat } from '../codec/content-formats.ts'
import { etagHeader } from '../codec/etag.ts'
import { type Extensions, NO_EXTENSIONS } from '../codec/extensions.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import { LONGEST_TRACE, OPTION } from '../codec/option-registry.ts'
import { OptionWalker } from '../codec/option-walker.ts'
import { decodeText, decodeUint } from '../codec/options.ts'
import type { PathCache } from './path-cache.ts'

const NONE = -1

const BESIDE_THE_KEY: ReadonlySet<number> = new Set([OPTION.BLOCK1, OPTION.BLOCK2, OPTION.OBSERVE, OPTION.CONTENT_FORMAT, OPTION.ETAG, OPTION.ECHO])

/** A body that is read while its blocks arrive. */
export interface RequestUpload {
  readonly body: AsyncIterable<Uint8Array>
  /** Gives it the context that reads it, and runs that: `run` calls `done` when the answer is sealed. */
  begin(context: Context, run: (done: () => void) => void): void
  /** The request cannot be run. */
  cancel(): void
}

/**
 * What a request says in its options, read in one walk over them; also the source from which its context takes headers and body.
 * An integer is -1 where the option is absent.
 */
export class CoapRequest implements RequestSource {
  readonly message: ReceivedMessage
  path = '/'
  query = ''
  observe: number = NONE
  contentFormat: number = NONE
  accept: number = NONE
  block1: number = NONE
  block2: number = NONE
  size1: number = NONE
  /** True when it asks how large the whole answer is (RFC 7959 section 4). */
  asksSize = false
  noResponse = 0
  port: number = NONE
  uriHost = ''
  /** True when there is an If-Match, an If-None-Match or an ETag option: how they combine is read from the message. */
  conditional = false
  etagged = false
  /** True for one that is for another server; its path is that of the proxy. */
  proxied = false
  echo: Uint8Array | undefined = undefined
  /** The option of the header `idempotency-key`; empty where there is none. */
  idempotencyKey = ''
  /** The option of the header `iopa-seen`. */
  seen: Uint8Array | undefined = undefined
  /** The headers of the options of traces, names and values by turns; null where there are none. */
  trace: string[] | null = null
  /** The body that was assembled from blocks. */
  assembled: Uint8Array | undefined = undefined
  /** The body that is read while it arrives. */
  upload: RequestUpload | undefined = undefined

  constructor(message: ReceivedMessage) {
    this.message = message
  }

  /** Bytes of the request as it was received. */
  get size(): number {
    return this.message.bytes.length
  }

  body(): Body {
    if (this.upload !== undefined) return this.upload.body
    if (this.assembled !== undefined) return this.assembled.length === 0 ? null : this.assembled
    const { bytes, optionsEnd } = this.message
    return optionsEnd < bytes.length ? byteBody(bytes, optionsEnd + 1) : null
  }

  /** Bytes of the body. */
  get bodyLength(): number {
    return this.assembled === undefined ? this.message.payload.length : this.assembled.length
  }

  contentType(): string {
    return this.contentFormat === NONE ? '' : typeOfFormat(this.contentFormat)
  }

  hasPrecondition(): boolean {
    return this.conditional || this.etagged
  }

  authority(): string {
    const host = this.uriHost.includes(':') ? `[${this.uriHost}]` : this.uriHost
    return host === '' || this.port === NONE ? host : `${host}:${this.port}`
  }

  /** The options that have a header of the same meaning (RFC 8075 section 6.6). */
  headers(): string[] {
    const headers: string[] = []
    if (this.contentFormat !== NONE) {
      headers.push('content-type', this.contentType())
      const coding = codingOf(this.contentFormat)
      if (coding !== undefined) headers.push('content-encoding', coding)
    }
    if (this.accept !== NONE) headers.push('accept', typeOfFormat(this.accept))
    if (this.uriHost !== '') headers.push('host', this.authority())
    if (this.etagged) headers.push('if-none-match', this.etags(OPTION.ETAG).map(etagHeader).join(', '))
    if (this.conditional) {
      const tags = this.etags(OPTION.IF_MATCH)
      if (tags.length > 0) headers.push('if-match', tags.some(tag => tag.length === 0) ? '*' : tags.map(etagHeader).join(', '))
      if (this.message.options.has(OPTION.IF_NONE_MATCH)) headers.push('if-none-match', '*')
    }
    if (this.idempotencyKey !== '') headers.push('idempotency-key', this.idempotencyKey)
    if (this.seen !== undefined) headers.push('iopa-seen', etagHeader(this.seen))
    if (this.trace !== null) headers.push(...this.trace)
    return headers
  }

  /** The values of ETag or If-Match options that are no longer than one may be. */
  etags(number: number): Uint8Array[] {
    return this.message.options.getAll(number).filter(value => value.length <= 8 && (number === OPTION.IF_MATCH || value.length > 0))
  }

  /**
   * What blocks of one transfer have in common: method, the options that say what is asked for and of which resource, and the Request-Tag
   * (RFC 7252 section 5.4.2, RFC 7959 section 2.4, RFC 9175 section 3.3). What describes the payload, or says what the client knows already,
   * may be in some of the blocks and not in others.
   */
  get transferKey(): string {
    let key = `${this.message.code}`
    for (const [number, value] of this.message.options) {
      if (BESIDE_THE_KEY.has(number) || (number & 0x1e) === 0x1c) continue
      key += `\n${number}:${value.length}:${Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')}`
    }
    return key
  }
}

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
