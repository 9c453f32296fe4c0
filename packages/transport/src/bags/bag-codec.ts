import { IopaError, isControlMethod, isIopaError, mediaTypeEssence, reasonPhrase } from '@iopa/constants'
import type { LinkAnswer, Payload } from '@iopa/context'
import { checkPath, HeaderMap, type PathLimits, receivedAnswer } from '@iopa/context/host'
import { memberText } from './json-member.ts'

/** Matches answers to requests: a whole number, or a string of up to 64 characters. */
export type BagSeq = number | string

/** A request as it crosses the network in a bag. */
export interface BagRequest {
  readonly method: string
  /** Canonical path; never percent-decoded. */
  readonly path: string
  /** Without the question mark; empty when there is none. */
  readonly query: string
  /** Names and values in turn. */
  readonly headers: string[]
  /** Empty when there is none. */
  readonly contentType: string
  readonly body: Uint8Array | null
  /** True begins an observation, false ends the one with the same `seq`. */
  readonly observe: boolean | undefined
  readonly seq: BagSeq | undefined
}

/** What a bag that cannot be a request turns into. */
export interface BagFault {
  readonly error: IopaError
  /** The seq of the refused bag, when it had a usable one. */
  readonly seq: BagSeq | undefined
}

/** Bounds of one request, beside the length of its line or datagram. */
export interface BagLimits extends PathLimits {
  /** Characters of all header names and values. */
  readonly headerBytes: number
  readonly headerCount: number
}

/** What of an answer a bag shows: an Answer of the core has all of it. */
export interface BagAnswer {
  readonly status: number
  readonly reason: string
  readonly headerPairs: readonly string[]
  readonly type: string
  /** True for a text that a codec made of a value, so its JSON needs no proof. */
  readonly encoded: boolean
  /** What goes over the wire; a stream must have been collected. */
  readonly payload: Payload
}

const LIMITS: BagLimits = { headerBytes: 16 * 1024, headerCount: 100, pathSegments: 64, segmentLength: 1024 }
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

// A method and a field name are tokens (RFC 9110 section 5.6.2).
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const MEDIA_TYPE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+\/[!#$%&'*+.^_`|~0-9A-Za-z-]+[ \t]*(?:;[\t\x20-\x7e\x80-\uffff]*)?$/
const FIELD_VALUE = /^[^\0\r\n]*$/
const QUERY = /^[^?\0-\x20\x7f][^\0-\x20\x7f]*$|^$/
const TEXT = /^text\/|^application\/(?:xml|javascript|x-www-form-urlencoded)$|\+xml$/
const OTHER_CHARSET = /;[ \t]*charset=(?!"?(?:utf-8|us-ascii)"?[ \t]*(?:;|$))/i
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const LINE_END = /[\r\n]/
const LINE_ENDS = /[\r\n]/g
const JSON_TYPE = 'application/json'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

type Members = Readonly<Record<string, unknown>>

const bad = (code: string, detail: string): IopaError => new IopaError(400, code, detail)
const shown = (name: string): string => (name.length > 64 ? `${name.slice(0, 64)}...` : name)
const isSeq = (value: unknown): value is BagSeq =>
  typeof value === 'number' ? value >= 0 && Number.isSafeInteger(value) : typeof value === 'string' && value.length > 0 && value.length <= 64

/** What a content type says of a body: JSON, text in UTF-8, or neither. */
interface TypeKind {
  readonly contentType: string
  readonly json: boolean
  readonly text: boolean
}

/** Characters of a content type that is remembered. */
const REMEMBERED = 128
/** Messages in a row are mostly of one type. */
let lastKind: TypeKind = { contentType: '', json: false, text: false }

const kindOf = (contentType: string): TypeKind => {
  if (contentType === lastKind.contentType) return lastKind
  const essence = mediaTypeEssence(contentType)
  const json = essence === JSON_TYPE || essence.endsWith('+json')
  const kind = { contentType, json, text: TEXT.test(essence) && !OTHER_CHARSET.test(contentType) }
  if (contentType.length <= REMEMBERED) lastKind = kind
  return kind
}

const isJson = (contentType: string): boolean => contentType === JSON_TYPE || kindOf(contentType).json
const isText = (contentType: string): boolean => kindOf(contentType).text

/** Reads one line or datagram as a request; never throws. */
export function decodeBagRequest(line: Uint8Array, limits: BagLimits = LIMITS): BagRequest | BagFault {
  let seq: BagSeq | undefined
  try {
    const text = textOf(line) ?? ''
    const bag = parse(text)
    if (isSeq(bag['iopa.Seq'])) seq = bag['iopa.Seq']
    return requestOf(bag, text, limits)
  } catch (error) {
    return { error: isIopaError(error) ? error : bad('bag-syntax', 'This bag cannot be read.'), seq }
  }
}

function parse(text: string): Members {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = null
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad('bag-syntax', 'Send one JSON object in UTF-8 without line breaks, such as {"iopa.Method":"GET","iopa.Path":"/"}.')
  }
  return value as Members
}

function requestOf(bag: Members, text: string, limits: BagLimits): BagRequest {
  for (const key in bag) if (!ACCEPTED.has(key)) throw bad('bag-key', `The key "${shown(key)}" is not accepted from the network; remove it.`)

  const seq = seqOf(bag)
  const observe = bag['iopa.Observe']
  if (observe !== undefined && typeof observe !== 'boolean') throw bad('bag-type', 'iopa.Observe is true or false.')
  if (observe !== undefined && seq === undefined) throw bad('bag-observe', 'Add an iopa.Seq: it names the observation.')

  // The end of an observation is named by its seq alone.
  const ends = observe === false
  const { 'iopa.Method': method = ends ? 'GET' : undefined, 'iopa.Path': given = ends ? '/' : undefined, 'iopa.QueryString': query = '' } = bag
  if (typeof method !== 'string' || !TOKEN.test(method)) throw bad('bag-type', 'iopa.Method is a method name such as "GET".')
  if (isControlMethod(method)) throw bad('control-method', `${shown(method)} is made by a transport; a peer cannot ask for it.`)
  if (observe && method !== 'GET') throw bad('bag-observe', 'Only a GET can observe.')
  if (typeof given !== 'string') throw bad('bag-type', 'iopa.Path is a string such as "/lights/1".')
  const path = checkPath(given, limits)
  if (typeof query !== 'string' || !QUERY.test(query)) {
    throw bad('bag-type', 'iopa.QueryString is a percent-encoded string without the question mark.')
  }

  const headers = headersOf(bag['iopa.Headers'], limits)
  const contentType = contentTypeOf(bag['iopa.ContentType'], headers)
  const { body, type } = bodyOf(bag, text, contentType)
  return { method, path, query, headers, contentType: type, body, observe, seq }
}

function seqOf(bag: Members): BagSeq | undefined {
  const seq = bag['iopa.Seq']
  if (seq !== undefined && !isSeq(seq)) throw bad('bag-type', 'iopa.Seq is a whole number from 0 to 2^53 - 1, or a string of 1 to 64 characters.')
  return seq
}

function headersOf(value: unknown, limits: BagLimits): string[] {
  const pairs: string[] = []
  if (value === undefined) return pairs
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('bag-type', 'iopa.Headers is an object of names and values.')
  let bytes = 0
  for (const [name, field] of Object.entries(value)) {
    if (!TOKEN.test(name) || name === '__proto__') throw bad('bag-type', `iopa.Headers: "${shown(name)}" is not a header name.`)
    for (const item of Array.isArray(field) ? field : [field]) {
      if (typeof item !== 'string' || !FIELD_VALUE.test(item)) {
        throw bad('bag-type', `iopa.Headers: "${shown(name)}" is a string, or a list of strings, without line breaks.`)
      }
      bytes += name.length + item.length
      pairs.push(name, item)
    }
  }
  if (pairs.length > 2 * limits.headerCount || bytes > limits.headerBytes) {
    throw new IopaError(431, 'headers-too-large', `iopa.Headers holds at most ${limits.headerCount} fields and ${limits.headerBytes} characters.`)
  }
  return pairs
}

function contentTypeOf(value: unknown, headers: readonly string[]): string {
  if (value !== undefined && (typeof value !== 'string' || !MEDIA_TYPE.test(value))) {
    throw bad('bag-type', 'iopa.ContentType is a media type such as "text/plain".')
  }
  let type = value
  for (let at = 0; at < headers.length; at += 2) {
    if (!isContentType(headers[at]!)) continue
    const field = headers[at + 1]!
    if (!MEDIA_TYPE.test(field) || field !== (type ??= field)) {
      throw bad('bag-type', 'iopa.ContentType and the header content-type are one media type; keep one of them.')
    }
  }
  return type ?? ''
}

const isContentType = (name: string): boolean => name.length === 12 && name.toLowerCase() === 'content-type'

/** The body as bytes; `text` is that of the bag, for a JSON value is the text that was sent. */
function bodyOf(bag: Members, text: string, contentType: string): { body: Uint8Array | null; type: string } {
  const { 'iopa.Body': value, 'iopa.BodyEncoding': encoding } = bag
  if (encoding !== undefined) {
    if (encoding !== 'base64') throw bad('bag-type', 'iopa.BodyEncoding is "base64" or absent.')
    if (typeof value !== 'string') throw bad('bag-body', 'With iopa.BodyEncoding, iopa.Body is a string in base64.')
    return { body: fromBase64(value), type: contentType }
  }
  if (value === undefined || (value === null && !isJson(contentType))) return { body: null, type: contentType }
  if (contentType === '' || isJson(contentType)) return { body: encoder.encode(memberText(text, 'iopa.Body')), type: contentType || JSON_TYPE }
  if (typeof value === 'string' && !OTHER_CHARSET.test(contentType)) return { body: encoder.encode(value), type: contentType }
  throw bad(
    'bag-body',
    `A body of type ${shown(contentType)} is a string in UTF-8; leave out iopa.ContentType for JSON, or send base64 and "iopa.BodyEncoding":"base64".`
  )
}

function fromBase64(value: string): Uint8Array {
  if (value.length % 4 !== 0 || !BASE64.test(value)) throw bad('bag-body', 'iopa.Body is not base64 (RFC 4648 section 4).')
  const binary = atob(value)
  const bytes = new Uint8Array(binary.length)
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at)
  return bytes
}

function toBase64(bytes: Uint8Array): string {
  let binary = ''
  // More arguments than this may not fit on the stack.
  for (let at = 0; at < bytes.length; at += 8192) binary += String.fromCharCode(...bytes.subarray(at, at + 8192))
  return btoa(binary)
}

/** Writes a request as one line, without the line end. */
export function encodeBagRequest({ method, path, query, headers, contentType, body, observe, seq }: BagRequest): string {
  let line = `{"iopa.Method":${JSON.stringify(method)},"iopa.Path":${JSON.stringify(path)}`
  if (query) line += `,"iopa.QueryString":${JSON.stringify(query)}`
  line += headersMember(headers) + bodyMembers(body, contentType, false)
  if (observe !== undefined) line += `,"iopa.Observe":${observe}`
  return line + seqMember(seq)
}

/** Writes an answer as one line, without the line end. */
export function encodeBagAnswer(answer: BagAnswer, seq: BagSeq | undefined): string {
  // The reason last, which is looked up.
  const { status, payload, headerPairs, type, encoded, reason } = answer
  if (payload !== null && typeof payload !== 'string' && !(payload instanceof Uint8Array))
    throw new TypeError('collect the answer before it is encoded')
  let line = `{"iopa.StatusCode":${status}`
  if (reason !== reasonPhrase(status)) line += `,"iopa.ReasonPhrase":${JSON.stringify(reason)}`
  line += headersMember(headerPairs) + bodyMembers(payload, type, typeof payload === 'string' && encoded)
  return line + seqMember(seq)
}

const seqMember = (seq: BagSeq | undefined): string =>
  seq === undefined ? '}' : typeof seq === 'number' ? `,"iopa.Seq":${seq}}` : `,"iopa.Seq":${JSON.stringify(seq)}}`

function headersMember(pairs: readonly string[]): string {
  if (pairs.length === 0) return ''
  const fields = new Map<string, string | string[]>()
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at]!.toLowerCase()
    if (name === 'content-type') continue
    const value = pairs[at + 1]!
    const field = fields.get(name)
    if (field === undefined) fields.set(name, value)
    else if (typeof field === 'string') fields.set(name, [field, value])
    else field.push(value)
  }
  let members = ''
  for (const [name, field] of fields) members += `${members && ','}${JSON.stringify(name)}:${JSON.stringify(field)}`
  return members && `,"iopa.Headers":{${members}}`
}

function bodyMembers(body: string | Uint8Array | null, contentType: string, proven: boolean): string {
  const type = contentType === '' ? '' : `,"iopa.ContentType":${JSON.stringify(contentType)}`
  if (body === null) return type
  const text = typeof body === 'string' ? body : contentType === '' ? undefined : textOf(body)
  let value: string | undefined
  if (text !== undefined && contentType !== '') {
    if (isJson(contentType)) value = jsonOf(text, proven)
    else if (typeof body === 'string' ? !OTHER_CHARSET.test(contentType) : isText(contentType)) value = JSON.stringify(text)
  }
  if (value !== undefined) return `${type},"iopa.Body":${value}`
  return `${type},"iopa.Body":"${toBase64(typeof body === 'string' ? encoder.encode(body) : body)}","iopa.BodyEncoding":"base64"`
}

/** JSON text that fits on a line; undefined for what is not JSON at all and would spoil the bag. */
function jsonOf(text: string, proven: boolean): string | undefined {
  try {
    if (!proven) JSON.parse(text)
  } catch {
    return undefined
  }
  // A string of JSON holds no line break (RFC 8259 section 7), so each is white space between tokens.
  return LINE_END.test(text) ? text.replace(LINE_ENDS, ' ') : text
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** Reads one line or datagram as an answer. @throws IopaError 502 for one that is none. */
export function decodeBagAnswer(line: Uint8Array): { readonly answer: LinkAnswer; readonly seq: BagSeq | undefined } {
  try {
    const text = textOf(line) ?? ''
    const bag = parse(text)
    const seq = seqOf(bag)
    const { 'iopa.StatusCode': status, 'iopa.ReasonPhrase': reason = '' } = bag
    if (typeof status !== 'number' || !Number.isInteger(status) || status < 200 || status > 599)
      throw bad('bag-type', 'iopa.StatusCode is not a status.')
    if (typeof reason !== 'string') throw bad('bag-type', 'iopa.ReasonPhrase is not a string.')
    const headers = headersOf(bag['iopa.Headers'], LIMITS)
    const { body, type } = bodyOf(bag, text, contentTypeOf(bag['iopa.ContentType'], headers))
    return { answer: receivedAnswer(status, { headers: new HeaderMap(headers), type, payload: body, reason }), seq }
  } catch (cause) {
    throw new IopaError(502, 'bad-answer', 'The peer sent a line that is not an answer.', { cause })
  }
}

/** The seq of a line that `decodeBagAnswer` refused, so that only its request fails. @throws IopaError for a line that is no bag at all. */
export function decodeBagSeq(line: Uint8Array): BagSeq | undefined {
  const seq = parse(textOf(line) ?? '')['iopa.Seq']
  return isSeq(seq) ? seq : undefined
}
