import { createHash } from 'node:crypto'

/** Longest ETag of CoAP, in bytes (RFC 7252 section 5.10.6). */
const LONGEST = 8
const PRINTABLE = /^[\x21\x23-\x7e]+$/

/** Eight bytes that stand for a content. */
export const hashOf = (content: Uint8Array | string): Uint8Array => createHash('sha256').update(content).digest().subarray(0, LONGEST)

const DIGITS = /^(0x)?((?:[0-9a-f]{2}){1,8})$/
const isPrintable = (byte: number): boolean => byte > 0x20 && byte < 0x7f && byte !== 0x22

/**
 * The bytes for which a tag stands that is a number in hexadecimal digits; undefined where it is a text. Digits alone stand for bytes of which none is printable,
 * and after 0x for those that are neither such bytes nor a text, so that each option has one header and each header one option.
 */
const numberOf = (tag: string): Uint8Array | undefined => {
  const [, marked, digits = ''] = DIGITS.exec(tag) ?? []
  if (digits === '') return undefined
  const bytes = Uint8Array.from(Buffer.from(digits, 'hex'))
  if (marked === undefined) return bytes.some(isPrintable) ? undefined : bytes
  return tagOf(bytes) === tag ? bytes : undefined
}

const tagOf = (bytes: Uint8Array): string => {
  const text = String.fromCharCode(...bytes)
  if (bytes.every(isPrintable) && numberOf(text) === undefined) return text
  const digits = Buffer.from(bytes).toString('hex')
  return bytes.some(isPrintable) ? `0x${digits}` : digits
}

/**
 * The ETag option of an `etag` header: the bytes that its hexadecimal digits say, else its characters where they are printable and at most eight, else a hash of them.
 * What `etagHeader` makes of an option gives that option again. What follows W/ counts the same: CoAP knows one kind of ETag.
 */
export const etagOption = (header: string): Uint8Array => {
  const tag = header
    .replace(/^\s*W\//, '')
    .trim()
    .replace(/^"(.*)"$/s, '$1')
  const bytes = numberOf(tag)
  if (bytes !== undefined) return bytes
  return tag.length <= LONGEST && PRINTABLE.test(tag) ? Uint8Array.from(tag, character => character.charCodeAt(0)) : hashOf(tag)
}

/** The entity tag of an ETag option, quoted: its characters where they are printable and no such digits, else its bytes in hexadecimal. */
export const etagHeader = (option: Uint8Array): string => `"${tagOf(option)}"`

/** True when two ETag options are the same bytes. */
export const sameEtag = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, at) => byte === b[at])
