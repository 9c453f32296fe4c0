import { IopaError, isControlMethod, isIopaError } from '@iopa/constants'
import type { LinkAnswer } from '@iopa/context'
import { checkPath, HeaderMap, receivedAnswer } from '@iopa/context/host'
import { type BagFault, type BagLimits, type BagMembers, type BagRequest, type BagSeq, bad, shown } from './bag.ts'
import { bodyOf, textOf } from './bag-body.ts'

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

const isSeq = (value: unknown): value is BagSeq =>
  typeof value === 'number' ? value >= 0 && Number.isSafeInteger(value) : typeof value === 'string' && value.length > 0 && value.length <= 64

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

function parse(text: string): BagMembers {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = null
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw bad('bag-syntax', 'Send one JSON object in UTF-8 without line breaks, such as {"iopa.Method":"GET","iopa.Path":"/"}.')
  }
  return value as BagMembers
}

function requestOf(bag: BagMembers, text: string, limits: BagLimits): BagRequest {
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

function seqOf(bag: BagMembers): BagSeq | undefined {
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
