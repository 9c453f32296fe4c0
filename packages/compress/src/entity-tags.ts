import type { HeaderFields } from '@iopa/transport'

/**
 * The entity tag of a compressed body: that of the plain one with the coding behind it, for the two differ byte by byte (RFC 9110 section 8.8.3.3). The
 * preconditions of later requests name it, and are judged by the plain one.
 */
export const codedTag = (etag: string, encoding: string): string => (etag.endsWith('"') ? `${etag.slice(0, -1)}-${encoding}"` : etag)

const CODED = /(W\/)?"([^"]*)-(?:br|zstd|gzip)"/g

const FIELDS = ['if-none-match', 'if-match'] as const

/**
 * Adds the plain tags to the coded ones in the preconditions of a request; a handler may have tags of its own that look like coded ones. Gives the field
 * If-None-Match as it was, where it named a coded tag.
 */
export const plainTags = (headers: HeaderFields): string | undefined => {
  let asked: string | undefined
  for (const name of FIELDS) {
    const field = headers.get(name)
    if (field === undefined) continue
    const both = field.replace(CODED, '$&, $1"$2"')
    if (both === field) continue
    headers.set(name, both)
    if (name === 'if-none-match') asked = field
  }
  return asked
}

/** The tag of a 304: the one that the request named, where it named this one with a coding. */
export const answeredTag = (asked: string, etag: string): string => {
  const coded = /-(?:br|zstd|gzip)"/g
  for (const [suffix] of asked.matchAll(coded)) {
    const tag = `${etag.slice(0, -1)}${suffix}`
    if (asked.includes(tag)) return tag
  }
  return etag
}
