import type { HeaderFields } from '@iopa/constants'
import { matchesStrongly, matchesWeakly, parseHttpDate, tagsIn } from '@iopa/transport/host'

/** The selected representation that a precondition is about. */
export interface Current {
  /** False when there is none. */
  readonly exists: boolean
  /** Its entity tag with quotes. */
  readonly etag: string | undefined
  /** Its Last-Modified header. */
  readonly lastModified: string | undefined
  /** Compares a tag of a change, and one of If-Match, in place of the strong comparison: for tags that say more than the version. */
  readonly isVersion?: (tag: string) => boolean
}

/** What the preconditions of a request say: go on, 304 for a read that would repeat itself, or 412. */
export type Verdict = 'proceed' | 'not-modified' | 'failed'

/** True when a precondition names entity tags, so that the representation needs one. */
export const namesTags = (headers: HeaderFields): boolean =>
  [...headers.getAll('if-match'), ...headers.getAll('if-none-match')].some(field => field.trim() !== '*')

/** Evaluates the preconditions in the order of RFC 9110 section 13.2.2; `reads` is true for GET, HEAD and FETCH. */
export const evaluate = (headers: HeaderFields, current: Current, reads: boolean): Verdict => {
  const ifMatch = headers.getAll('if-match')
  if (ifMatch.length > 0) {
    if (!isMatched(ifMatch, current, matchesStrongly, true)) return 'failed'
  } else {
    const since = dateOf(headers.get('if-unmodified-since'))
    const modified = dateOf(current.lastModified)
    if (since !== undefined && modified !== undefined && modified > since) return 'failed'
  }
  const ifNoneMatch = headers.getAll('if-none-match')
  if (ifNoneMatch.length > 0) {
    if (!isMatched(ifNoneMatch, current, matchesWeakly, !reads)) return 'proceed'
    return reads ? 'not-modified' : 'failed'
  }
  if (!reads) return 'proceed'
  const since = dateOf(headers.get('if-modified-since'))
  const modified = dateOf(current.lastModified)
  return since !== undefined && modified !== undefined && modified <= since ? 'not-modified' : 'proceed'
}

/** True when a field says `*` and there is a representation, or names its tag. */
const isMatched = (
  fields: readonly string[],
  { exists, etag, isVersion }: Current,
  same: (given: string, current: string) => boolean,
  byVersion: boolean
): boolean => {
  const matches = byVersion && isVersion !== undefined ? isVersion : (tag: string) => etag !== undefined && same(tag, etag)
  return exists && fields.some(field => field.trim() === '*' || tagsIn(field).some(matches))
}

const dateOf = (field: string | undefined): number | undefined => (field === undefined ? undefined : parseHttpDate(field))
