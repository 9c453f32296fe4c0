import { createHash } from 'node:crypto'
import { shortTag, tagOfDigest } from '@iopa/appbuilder'

const PRINTABLE = /^[\x21\x23-\x7e]+$/

/** The ETag option of a content that has no other tag: the content tag that the app knows on every protocol. */
export const contentOption = (content: Uint8Array | string): Uint8Array => bytesOf(tagOfDigest(createHash('sha256').update(content).digest()))

/**
 * The ETag option of an `etag` header: its characters where they are printable and at most eight, else those of its short form.
 * What follows W/ counts the same: CoAP knows one kind of ETag.
 */
export const etagOption = (header: string): Uint8Array => bytesOf(shortTag(header))

/** The entity tag of an ETag option, quoted: its characters where they are printable, else its bytes in hexadecimal. */
export const etagHeader = (option: Uint8Array): string => {
  const text = String.fromCharCode(...option)
  return PRINTABLE.test(text) ? `"${text}"` : `"${Buffer.from(option).toString('hex')}"`
}

/** True when two ETag options are the same bytes. */
export const sameEtag = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, at) => byte === b[at])

const bytesOf = (tag: string): Uint8Array => Uint8Array.from(tag, character => character.charCodeAt(0))
