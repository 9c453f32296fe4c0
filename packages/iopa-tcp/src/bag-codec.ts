import { IopaError } from '@iopa/constants'

/** Header fields as a bag holds them: a name and one value, or several. */
export type BagHeaders = Readonly<Record<string, string | readonly string[]>>

/** A request as it crosses the network in a bag. */
export interface BagRequest {
  readonly method: string
  /** Canonical path; never percent-decoded. */
  readonly path: string
  /** Without the question mark; empty when there is none. */
  readonly query: string
  readonly headers: BagHeaders | undefined
  readonly contentType: string | undefined
  readonly body: Uint8Array | null
  /** True begins an observation, false ends the one with the same `seq`. */
  readonly observe: boolean | undefined
  /** Comes back in every answer to this request. */
  readonly seq: number | undefined
}

/** What a bag that cannot be a request turns into. */
export interface BagFault {
  readonly error: IopaError
  /** The seq of the refused bag, when it had a usable one. */
  readonly seq: number | undefined
}

/** An answer as it crosses the network in a bag. */
export interface BagAnswer {
  readonly status: number
  readonly reason: string | undefined
  readonly headers: BagHeaders | undefined
  readonly contentType: string | undefined
  readonly body: Uint8Array | null
  readonly seq: number | undefined
}

/** Bounds of one request, beside the length of its line or datagram. */
export interface BagLimits {
  /** Bytes of all header names and values. */
  readonly headerBytes: number
  readonly headerCount: number
  readonly pathSegments: number
  /** Bytes of one path segment. */
  readonly segmentBytes: number
}

const LIMITS: BagLimits = { headerBytes: 16 * 1024, headerCount: 100, pathSegments: 64, segmentBytes: 1024 }
const CONTROL_METHODS: ReadonlySet<string> = new Set(['CONNECT', 'DISCONNECT', 'SUBSCRIBE', 'UNSUBSCRIBE', 'DATA'])
const ACCEPTED: ReadonlySet<string> = new Set([
  'iopa.Method',
  'iopa.Path',
  'iopa.QueryString',
  'iopa.Headers',
  'iopa.Body',
  'iopa.ContentType',
  'iopa.Observe',
  'iopa.Seq',
  'iopa.BodyEncoding'
])

// RFC 9110 section 5.6.2; a method and a field name are tokens.
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const MEDIA_TYPE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*(?:;[\t\x20-\x7e\x80-\uffff]*)?$/
const FIELD_VALUE = /^[^\0\r\n]*$/
const QUERY = /^[^?\0-\x20\x7f][^\0-\x20\x7f]*$|^$/
const UNSAFE_PATH = /[\0\\]|\/\/|\/\.{1,2}(?:\/|$)|\p{Surrogate}/u
const JSON_TYPE = /^application\/json[ \t]*(?:;|$)|^[^;]+\+json[ \t]*(?:;|$)/i
const TEXT_TYPE = /^(?:text\/|application\/(?:xml|javascript|x-www-form-urlencoded)[ \t]*(?:;|$)|[^;]+\+xml[ \t]*(?:;|$))/i
const OTHER_CHARSET = /;[ \t]*charset=(?!"?(?:utf-8|us-ascii)"?[ \t]*(?:;|$))/i
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const LINE_END = /[\r\n]/

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

type Json = Readonly<Record<string, unknown>>

const bad = (code: string, detail: string): IopaError => new IopaError(400, code, detail)
const shown = (name: string): string => (name.length > 64 ? `${name.slice(0, 64)}...` : name)
const isSeq = (value: unknown): value is number => typeof value === 'number' && value >= 0 && Number.isSafeInteger(value)

/** Reads one line or datagram as a request; never throws. */
export function decodeBagRequest(line: Uint8Array, limits: BagLimits = LIMITS): BagRequest | BagFault {
  let seq: number | undefined
  try {
    const bag = parse(line)
    if (isSeq(bag['iopa.Seq'])) seq = bag['iopa.Seq']
    return request(bag, limits)
  } catch (error) {
    // JSON.stringify of a value that JSON.parse could still build may exhaust the stack.
    return { error: error instanceof IopaError ? error : bad('bag-body', 'iopa.Body is nested too deeply.'), seq }
  }
}

function parse(line: Uint8Array): Json {
  let value: unknown
  try {
    value = JSON.parse(decoder.decode(line))
  } catch {
    throw bad('bag-syntax', 'Send one JSON object, in UTF-8 and without line breaks, such as {"iopa.Method":"GET","iopa.Path":"/"}.')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw bad('bag-syntax', 'Send a JSON object, such as {"iopa.Method":"GET","iopa.Path":"/"}.')
  return value as Json
}

function request(bag: Json, limits: BagLimits): BagRequest {
  for (const key in bag) if (!ACCEPTED.has(key)) throw bad('bag-key', `The key "${shown(key)}" is not accepted from the network; remove it.`)

  const seq = bag['iopa.Seq']
  if (seq !== undefined && !isSeq(seq)) throw bad('bag-type', 'iopa.Seq is a whole number from 0 to 2^53 - 1.')
  const observe = bag['iopa.Observe']
  if (observe !== undefined && typeof observe !== 'boolean') throw bad('bag-type', 'iopa.Observe is true or false.')
  if (observe !== undefined && seq === undefined) throw bad('bag-observe', 'Add an iopa.Seq: it names the observation.')

  const {
    'iopa.Method': method = observe === false ? 'GET' : undefined,
    'iopa.Path': path = observe === false ? '/' : undefined,
    'iopa.QueryString': query = ''
  } = bag
  if (typeof method !== 'string' || !TOKEN.test(method)) throw bad('bag-type', 'iopa.Method is a method name such as "GET".')
  if (CONTROL_METHODS.has(method)) throw bad('control-method', `${method} is made by a transport; a peer cannot ask for it.`)
  if (observe && method !== 'GET') throw bad('bag-observe', 'Only a GET can observe.')
  if (typeof path !== 'string') throw bad('bag-type', 'iopa.Path is a string such as "/lights/1".')
  checkPath(path, limits)
  if (typeof query !== 'string' || !QUERY.test(query))
    throw bad('bag-type', 'iopa.QueryString is a percent-encoded string without the question mark.')

  const headers = checkHeaders(bag['iopa.Headers'], limits)
  const contentType = contentTypeOf(bag['iopa.ContentType'], headers)
  const encoding = bag['iopa.BodyEncoding']
  if (encoding !== undefined && encoding !== 'base64') throw bad('bag-type', 'iopa.BodyEncoding is "base64" or absent.')
  const value = bag['iopa.Body']
  const body = bodyOf(value, contentType, encoding)
  return { method, path, query, headers, contentType: body && !encoding ? (contentType ?? 'application/json') : contentType, body, observe, seq }
}

function checkPath(path: string, limits: BagLimits): void {
  if (path.charCodeAt(0) !== 0x2f) throw bad('path', 'iopa.Path starts with a slash.')
  if (UNSAFE_PATH.test(path)) throw bad('path', 'iopa.Path holds no empty segment but a last one, no "." or "..", no backslash and no NUL.')
  // A UTF-16 unit is at most three bytes of UTF-8, so short paths need no counting.
  if (path.length > limits.pathSegments || path.length * 3 > limits.segmentBytes) {
    const segments = path.slice(1).split('/')
    if (segments.length > limits.pathSegments) throw new IopaError(414, 'path-too-long', `iopa.Path has at most ${limits.pathSegments} segments.`)
    for (const segment of segments) {
      if (segment.length * 3 > limits.segmentBytes && encoder.encode(segment).length > limits.segmentBytes)
        throw new IopaError(414, 'path-too-long', `A segment of iopa.Path has at most ${limits.segmentBytes} bytes.`)
    }
  }
}

function checkHeaders(value: unknown, limits: BagLimits): BagHeaders | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('bag-type', 'iopa.Headers is an object of names and values.')
  let bytes = 0
  let count = 0
  for (const [name, field] of Object.entries(value)) {
    if (!TOKEN.test(name) || name === '__proto__') throw bad('bag-type', `iopa.Headers: "${shown(name)}" is not a header name.`)
    for (const item of Array.isArray(field) ? field : [field]) {
      if (typeof item !== 'string' || !FIELD_VALUE.test(item))
        throw bad('bag-type', `iopa.Headers: "${shown(name)}" is a string, or a list of strings, without line breaks.`)
      bytes += name.length + item.length
      count++
    }
  }
  if (count > limits.headerCount || bytes > limits.headerBytes) {
    throw new IopaError(431, 'headers-too-large', `iopa.Headers holds at most ${limits.headerCount} fields and ${limits.headerBytes} bytes.`)
  }
  return value as BagHeaders
}

function contentTypeOf(value: unknown, headers: BagHeaders | undefined): string | undefined {
  if (value !== undefined && (typeof value !== 'string' || !MEDIA_TYPE.test(value)))
    throw bad('bag-type', 'iopa.ContentType is a media type such as "text/plain".')
  if (headers) {
    for (const name in headers) {
      if (name.length !== 12 || name.toLowerCase() !== 'content-type') continue
      const field = headers[name]
      if (typeof field !== 'string' || !MEDIA_TYPE.test(field) || (value !== undefined && field !== value)) {
        throw bad('bag-type', 'iopa.Headers and iopa.ContentType give different content types; keep one.')
      }
      return field
    }
  }
  return value
}

function bodyOf(value: unknown, contentType: string | undefined, encoding: 'base64' | undefined): Uint8Array | null {
  if (encoding) {
    if (typeof value !== 'string') throw bad('bag-body', 'With iopa.BodyEncoding, iopa.Body is a string in base64.')
    return base64Bytes(value)
  }
  if (value === undefined) return null
  if (contentType === undefined) return value === null ? null : encoder.encode(JSON.stringify(value))
  if (JSON_TYPE.test(contentType)) return encoder.encode(JSON.stringify(value))
  if (value === null) return null
  if (typeof value !== 'string')
    throw bad(
      'bag-body',
      `A body of type ${shown(contentType)} is a string; leave iopa.ContentType away for JSON, or add "iopa.BodyEncoding":"base64" for bytes.`
    )
  return encoder.encode(value)
}

function base64Bytes(value: string): Uint8Array {
  if (value.length % 4 !== 0 || !BASE64.test(value)) throw bad('bag-body', 'iopa.Body is not base64 (RFC 4648 section 4).')
  const binary = atob(value)
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}

function base64(bytes: Uint8Array): string {
  let binary = ''
  // More arguments than this may not fit on the stack.
  for (let i = 0; i < bytes.length; i += 8192) binary += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return btoa(binary)
}

/** Writes a request as one line, without the line end. */
export function encodeBagRequest({ method, path, query, headers, contentType, body, observe, seq }: BagRequest): string {
  let line = `{"iopa.Method":${JSON.stringify(method)},"iopa.Path":${JSON.stringify(path)}`
  if (query) line += `,"iopa.QueryString":${JSON.stringify(query)}`
  line += headersOf(headers) + bodyMembers(body, contentType)
  if (observe !== undefined) line += `,"iopa.Observe":${observe}`
  return seq === undefined ? `${line}}` : `${line},"iopa.Seq":${seq}}`
}

/** Writes an answer as one line, without the line end. */
export function encodeBagAnswer({ status, reason, headers, contentType, body, seq }: BagAnswer): string {
  let line = `{"iopa.StatusCode":${status}`
  if (reason) line += `,"iopa.ReasonPhrase":${JSON.stringify(reason)}`
  line += headersOf(headers) + bodyMembers(body, contentType)
  return seq === undefined ? `${line}}` : `${line},"iopa.Seq":${seq}}`
}

function headersOf(headers: BagHeaders | undefined): string {
  let members = ''
  for (const name in headers) {
    if (name.length === 12 && name.toLowerCase() === 'content-type') continue
    members += `${members ? ',' : ''}${JSON.stringify(name)}:${JSON.stringify(headers[name])}`
  }
  return members && `,"iopa.Headers":{${members}}`
}

function bodyMembers(body: Uint8Array | null, contentType: string | undefined): string {
  const type = contentType === undefined ? '' : `,"iopa.ContentType":${JSON.stringify(contentType)}`
  if (!body) return type
  const value =
    contentType === undefined ? undefined : JSON_TYPE.test(contentType) ? jsonValue(body) : isText(contentType) ? textValue(body) : undefined
  return value === undefined ? `${type},"iopa.Body":"${base64(body)}","iopa.BodyEncoding":"base64"` : `${type},"iopa.Body":${value}`
}

const isText = (contentType: string): boolean => TEXT_TYPE.test(contentType) && !OTHER_CHARSET.test(contentType)

/** The body as JSON text that fits on a line; undefined when it is not JSON at all, for then it would spoil the bag. */
function jsonValue(body: Uint8Array): string | undefined {
  try {
    const text = decoder.decode(body)
    const value: unknown = JSON.parse(text)
    return LINE_END.test(text) ? JSON.stringify(value) : text
  } catch {
    return undefined
  }
}

function textValue(body: Uint8Array): string | undefined {
  try {
    return JSON.stringify(decoder.decode(body))
  } catch {
    return undefined
  }
}

/** Reads one line or datagram as an answer; throws a 502 for one that is none. */
export function decodeBagAnswer(line: Uint8Array): BagAnswer {
  try {
    const bag = parse(line)
    const { 'iopa.StatusCode': status, 'iopa.ReasonPhrase': reason, 'iopa.Seq': seq, 'iopa.BodyEncoding': encoding } = bag
    if (typeof status !== 'number' || !Number.isInteger(status) || status < 100 || status > 599)
      throw bad('bag-type', 'iopa.StatusCode is not a status.')
    if (reason !== undefined && typeof reason !== 'string') throw bad('bag-type', 'iopa.ReasonPhrase is not a string.')
    if (seq !== undefined && !isSeq(seq)) throw bad('bag-type', 'iopa.Seq is not a number.')
    const headers = checkHeaders(bag['iopa.Headers'], LIMITS)
    const contentType = contentTypeOf(bag['iopa.ContentType'], headers)
    const body = bodyOf(bag['iopa.Body'], contentType, encoding === undefined ? undefined : 'base64')
    return { status, reason, headers, contentType: body && !encoding ? (contentType ?? 'application/json') : contentType, body, seq }
  } catch (cause) {
    throw new IopaError(502, 'bad-answer', 'The peer sent a line that is not an answer.', { cause })
  }
}
