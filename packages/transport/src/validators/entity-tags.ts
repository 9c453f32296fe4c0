import { sha256 } from './sha256.ts'

/** Longest entity tag that every protocol carries, in bytes: that of CoAP (RFC 7252 section 5.10.6). */
const LONGEST = 8
const SHORT = /^[\x21\x23-\x7e]{1,8}$/
const SHORTENED = /^[\w-]{8}$/
const ENTITY_TAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\uffff]*"/g
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const utf8 = new TextEncoder()

/** The tag, without quotes, that stands for a SHA-256 digest: eight characters that mean its first 48 bits (RFC 4648 section 5). */
export const tagOfDigest = (digest: Uint8Array): string => {
  let tag = ''
  for (let at = 0; tag.length < LONGEST; at += 3) {
    const bits = ((digest[at] as number) << 16) | ((digest[at + 1] as number) << 8) | (digest[at + 2] as number)
    for (let shift = 18; shift >= 0; shift -= 6) tag += ALPHABET[(bits >> shift) & 63]
  }
  return tag
}

/** The entity tag of a content that has no other, quoted; it is the same on every protocol. */
export const contentTag = (content: Uint8Array | string): string =>
  `"${tagOfDigest(sha256(typeof content === 'string' ? utf8.encode(content) : content))}"`

/** An entity tag in at most eight characters, without W/ and quotes: itself where it is short enough, otherwise the tag of its digest. */
export const shortTag = (etag: string): string => {
  const opaque = opaqueOf(etag)
  return SHORT.test(opaque) ? opaque : tagOfDigest(sha256(utf8.encode(opaque)))
}

/** The entity tags of a field, in order. */
export const tagsIn = (field: string): readonly string[] => field.match(ENTITY_TAG) ?? []

/** Strong comparison (RFC 9110 section 8.8.3.2); a client that read the tag over CoAP has it in its short form. */
export const matchesStrongly = (given: string, current: string): boolean => !isWeak(given) && !isWeak(current) && matchesWeakly(given, current)

/** Weak comparison (RFC 9110 section 8.8.3.2); a client that read the tag over CoAP has it in its short form. */
export const matchesWeakly = (given: string, current: string): boolean => {
  const opaque = opaqueOf(given)
  return opaque === opaqueOf(current) || (SHORTENED.test(opaque) && opaque === shortTag(current))
}

const isWeak = (etag: string): boolean => etag.startsWith('W/')

const opaqueOf = (etag: string): string =>
  etag
    .trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/s, '$1')
