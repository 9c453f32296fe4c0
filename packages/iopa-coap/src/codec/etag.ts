import { createHash } from 'node:crypto'

/** Longest ETag of CoAP, in bytes (RFC 7252 section 5.10.6). */
const LONGEST = 8
const PRINTABLE = /^[\x21\x23-\x7e]+$/

/** Eight bytes that stand for a content. */
export const hashOf = (content: Uint8Array | string): Uint8Array => createHash('sha256').update(content).digest().subarray(0, LONGEST)

/**
 * The ETag option of an `etag` header: its characters where they are printable and at most eight, else a hash of them.
 * What follows W/ counts the same: CoAP knows one kind of ETag.
 */
export const etagOption = (header: string): Uint8Array => {
  const tag = header
    .replace(/^\s*W\//, '')
    .trim()
    .replace(/^"(.*)"$/s, '$1')
  return tag.length <= LONGEST && PRINTABLE.test(tag) ? Uint8Array.from(tag, character => character.charCodeAt(0)) : hashOf(tag)
}

/** The entity tag of an ETag option, quoted: its characters where they are printable, else its bytes in hexadecimal. */
export const etagHeader = (option: Uint8Array): string => {
  const text = String.fromCharCode(...option)
  return PRINTABLE.test(text) ? `"${text}"` : `"${Buffer.from(option).toString('hex')}"`
}

/** True when two ETag options are the same bytes. */
export const sameEtag = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, at) => byte === b[at])
