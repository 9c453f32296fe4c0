import { parseHttpDate } from '@iopa/appbuilder/extension'

/** Reads a request header by its lower-case name. */
export interface RequestHeaders {
  get(name: string): string | null | undefined
  /** All of them as a flat list of names and values, where there is one. */
  pairs?(): readonly string[]
}

/**
 * True when no field of a request is a precondition or a Range, so that the answer is the whole representation. Most requests have none, and one look
 * at the names is less than six searches. False where the fields have no list to look through.
 */
export const asksForWhole = (headers: RequestHeaders): boolean => {
  const pairs = headers.pairs?.()
  if (pairs === undefined) return false
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at]!
    switch (name.length) {
      case 5: // Range
        if ((name.charCodeAt(0) | 0x20) === 0x72) return false
        break
      case 8: // If-Match, If-Range
      case 13: // If-None-Match
      case 17: // If-Modified-Since
      case 19: // If-Unmodified-Since
        if ((name.charCodeAt(0) | 0x20) === 0x69) return false
    }
  }
  return true
}

/** The current validators of the selected representation. */
export interface Validators {
  /** Entity-tag with its quotes, `W/"..."` when weak; undefined when the answer has none. */
  readonly etag: string | undefined
  /** Milliseconds since the epoch. */
  readonly lastModified: number
}

/** What the preconditions of a GET or HEAD say: 200 as if there were none, 304, or 412. */
export type Verdict = 200 | 304 | 412

const ENTITY_TAG = /(?:W\/)?"[\x21\x23-\x7e\x80-\uffff]*"/g

/** Evaluates the preconditions of a GET or HEAD in the order of RFC 9110 section 13.2.2; If-Range belongs to the range. */
export const evaluateConditions = (headers: RequestHeaders, current: Validators): Verdict => {
  const ifMatch = headers.get('if-match')
  if (typeof ifMatch === 'string') {
    if (!matchesStrongly(ifMatch, current.etag)) return 412
  } else {
    const since = headers.get('if-unmodified-since')
    const time = typeof since === 'string' ? parseHttpDate(since) : undefined
    if (time !== undefined && seconds(current.lastModified) > seconds(time)) return 412
  }
  const ifNoneMatch = headers.get('if-none-match')
  if (typeof ifNoneMatch === 'string') return matchesWeakly(ifNoneMatch, current.etag) ? 304 : 200
  const since = headers.get('if-modified-since')
  const time = typeof since === 'string' ? parseHttpDate(since) : undefined
  return time !== undefined && seconds(current.lastModified) <= seconds(time) ? 304 : 200
}

/** True when a Range is to be honoured: no If-Range, or one that names exactly the current representation (RFC 9110 section 13.1.5). */
export const rangeApplies = (headers: RequestHeaders, current: Validators): boolean => {
  const ifRange = headers.get('if-range')
  if (typeof ifRange !== 'string') return true
  const value = ifRange.trim()
  if (value.includes('"')) return isStrong(current.etag) && value === current.etag
  const time = parseHttpDate(value)
  return time !== undefined && seconds(time) === seconds(current.lastModified)
}

// HTTP-dates have no fractions.
const seconds = (time: number): number => Math.floor(time / 1000)

const isStrong = (etag: string | undefined): etag is string => etag !== undefined && !etag.startsWith('W/')

const opaque = (etag: string): string => (etag.startsWith('W/') ? etag.slice(2) : etag)

// RFC 9110 section 13.1.1: If-Match compares strongly, so a weak validator on either side never matches.
const matchesStrongly = (header: string, etag: string | undefined): boolean =>
  header.trim() === '*' || (isStrong(etag) && (header === etag || (header.match(ENTITY_TAG)?.includes(etag) ?? false)))

// RFC 9110 section 13.1.2: If-None-Match compares weakly.
const matchesWeakly = (header: string, etag: string | undefined): boolean => {
  if (header === etag || header.trim() === '*') return true
  if (etag === undefined) return false
  const wanted = opaque(etag)
  return header.match(ENTITY_TAG)?.some(tag => opaque(tag) === wanted) ?? false
}
