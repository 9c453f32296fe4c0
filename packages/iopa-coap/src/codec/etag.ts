import { createHash } from 'node:crypto'
import { shortTag, tagOfDigest } from '@iopa/transport'

/** The ETag option of a content that has no other tag: the content tag that the app knows on every protocol. */
export const contentOption = (content: Uint8Array | string): Uint8Array => bytesOf(tagOfDigest(createHash('sha256').update(content).digest()))

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
 * The ETag option of an `etag` header: the bytes that its hexadecimal digits say, else its characters where they are printable and at most eight, otherwise those of its short form.
 * What `etagHeader` makes of an option gives that option again. What follows W/ counts the same: CoAP knows one kind of ETag.
 */
export const etagOption = (header: string): Uint8Array => {
  const tag = header
    .replace(/^\s*W\//, '')
    .trim()
    .replace(/^"(.*)"$/s, '$1')
  return numberOf(tag) ?? bytesOf(shortTag(tag))
}

/** The entity tag of an ETag option, quoted: its characters where they are printable and no such digits, else its bytes in hexadecimal. */
export const etagHeader = (option: Uint8Array): string => `"${tagOf(option)}"`

/** True when two ETag options are the same bytes. */
export const sameEtag = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, at) => byte === b[at])

const bytesOf = (tag: string): Uint8Array => Uint8Array.from(tag, character => character.charCodeAt(0))
