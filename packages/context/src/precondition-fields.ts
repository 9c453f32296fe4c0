/**
 * True when one of the names is that of a precondition (RFC 9110 section 13.1). Most requests have none, and one look at lengths and first letters
 * costs less than four searches.
 */
export const hasPreconditionField = (pairs: readonly string[]): boolean => {
  for (let at = 0; at < pairs.length; at += 2) {
    const name = pairs[at] as string
    switch (name.length) {
      case 8: // If-Match
      case 13: // If-None-Match
      case 17: // If-Modified-Since
      case 19: // If-Unmodified-Since
        if ((name.charCodeAt(0) | 0x20) === 0x69 && NAMES.has(name.toLowerCase())) return true
    }
  }
  return false
}

const NAMES: ReadonlySet<string> = new Set(['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since'])
