// The body of a bag: a JSON value, a text, or bytes in base64 (docs/spec/transport.md).
import { mediaTypeEssence } from '@iopa/constants'
import { type BagMembers, bad, shown } from './bag.ts'
import { memberText } from './json-member.ts'

const TEXT = /^text\/|^application\/(?:xml|javascript|x-www-form-urlencoded)$|\+xml$/
const OTHER_CHARSET = /;[ \t]*charset=(?!"?(?:utf-8|us-ascii)"?[ \t]*(?:;|$))/i
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const LINE_END = /[\r\n]/
const LINE_ENDS = /[\r\n]/g
const JSON_TYPE = 'application/json'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const isJson = (contentType: string): boolean => {
  if (contentType === JSON_TYPE) return true
  const essence = mediaTypeEssence(contentType)
  return essence === JSON_TYPE || essence.endsWith('+json')
}
const isText = (contentType: string): boolean => TEXT.test(mediaTypeEssence(contentType)) && !OTHER_CHARSET.test(contentType)

/** The bytes as text; undefined where they are not UTF-8. */
export function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** The body as bytes; `text` is that of the bag, for a JSON value is the text that was sent. */
export function bodyOf(bag: BagMembers, text: string, contentType: string): { body: Uint8Array | null; type: string } {
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

/** The members of a body, each with a comma before it; `proven` says that a text is known to be JSON. */
export function bodyMembers(body: string | Uint8Array | null, contentType: string, proven: boolean): string {
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
