/**
 * The topic filters that catch every topic of a route pattern: a parameter is `+`, a tail is `#`, an optional segment makes two filters. A
 * constrained parameter is `+` too: the router has the last word, and what it does not take is acknowledged as not ours. A pattern whose
 * literal text cannot stand in a filter has none.
 *
 * @example filtersOf('/lights/:id') // ['lights/+']
 */
export const filtersOf = (pattern: string): string[] => {
  let filters: string[][] = [[]]
  const segments = segmentsOf(pattern)
  for (const [index, segment] of segments.entries()) {
    const level = levelOf(segment)
    if (level === null) return []
    const last = index === segments.length - 1
    const longer = filters.map(levels => [...levels, level === '#' && !last ? '+' : level])
    filters = isOptional(segment) ? [...filters, ...longer] : longer
  }
  return [...new Set(filters.map(levels => levels.join('/')).filter(filter => filter !== ''))]
}

/** Splits on slashes outside braces, for a constraint may hold one. */
const segmentsOf = (pattern: string): string[] => {
  const segments: string[] = []
  let depth = 0
  let start = pattern.startsWith('/') ? 1 : 0
  for (let at = start; at <= pattern.length; at++) {
    const character = pattern[at]
    if (character === '{') depth++
    else if (character === '}') depth--
    else if (character === undefined || (character === '/' && depth <= 0)) {
      segments.push(pattern.slice(start, at))
      start = at + 1
    }
  }
  return segments
}

const levelOf = (segment: string): string | null => {
  if (segment === '*' || /^(\{[^:}]*\*\}|:\w+\*)$/.test(segment)) return '#'
  if (/^[:{]/.test(segment)) return '+'
  if (/[{}]/.test(segment)) return '+'
  return /[+#\0]/.test(segment) ? null : segment
}

const isOptional = (segment: string): boolean => /^[:{].*\?$/.test(segment)

/** True when every topic of `inner` is a topic of `outer`. */
export const covers = (outer: string, inner: string): boolean => {
  const outerLevels = outer === '+/#' ? ['#'] : outer.split('/')
  const innerLevels = inner.split('/')
  if (isSystem(inner) && /^[+#]/.test(outer)) return false
  for (const [index, level] of outerLevels.entries()) {
    if (level === '#') return true
    const other = innerLevels[index]
    if (other === undefined || other === '#' || (level !== '+' && level !== other)) return false
  }
  return outerLevels.length === innerLevels.length
}

/** True when a topic exists that both filters match. */
export const overlaps = (one: string, other: string): boolean => {
  if ((isSystem(one) && /^[+#]/.test(other)) || (isSystem(other) && /^[+#]/.test(one))) return false
  const a = one.split('/')
  const b = other.split('/')
  for (let index = 0; ; index++) {
    const x = a[index]
    const y = b[index]
    if (x === '#' || y === '#') return true
    if (x === undefined || y === undefined) return x === y
    if (x !== y && x !== '+' && y !== '+') return false
  }
}

const isSystem = (filter: string): boolean => filter.startsWith('$')

/** The filters without those that another one covers, so that a broker has no reason to send a message twice. */
export const withoutCovered = (filters: Iterable<string>): string[] => {
  const all = [...new Set(filters)]
  return all.filter((filter, index) => !all.some((other, at) => at !== index && covers(other, filter) && !(covers(filter, other) && at > index)))
}

/** Filters apart by whether they share topics with another one of the list: a broker may send a message once for each such filter. */
export const partitionByOverlap = (filters: readonly string[]): { disjoint: string[]; overlapping: string[] } => {
  const disjoint: string[] = []
  const overlapping: string[] = []
  for (const filter of filters) (filters.some(other => other !== filter && overlaps(filter, other)) ? overlapping : disjoint).push(filter)
  return { disjoint, overlapping }
}
