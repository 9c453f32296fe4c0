import type { PatternSegment } from '@iopa/transport'

/**
 * The topic filters that catch every topic of a route: a parameter is `+`, a tail is `#`, an optional segment makes two filters. A constrained
 * parameter and one with text beside it are `+` too: the router has the last word, and what it does not take is acknowledged as not ours. A route
 * whose text cannot stand in a topic has none, and neither has `/`, for no topic is empty.
 *
 * @example filtersOf([{ kind: 'static', value: 'lights' }, { kind: 'param', name: 'id' }]) // ['lights/+']
 */
export const filtersOf = (segments: readonly PatternSegment[]): string[] => {
  let filters: string[][] = [[]]
  for (const [at, segment] of segments.entries()) {
    const level = levelOf(segment, at)
    if (level === null) return []
    const longer = filters.map(levels => [...levels, level])
    filters = segment.kind === 'param' && segment.optional ? [...filters, ...longer] : longer
  }
  return [...new Set(filters.map(levels => levels.join('/')).filter(filter => filter !== ''))]
}

const levelOf = (segment: PatternSegment, at: number): string | null => {
  if (segment.kind === 'tail') return '#'
  if (segment.kind === 'param') return '+'
  if (segment.kind === 'static') return isTopicText(segment.value) ? segment.value : null
  // No wildcard at the beginning of a filter matches a topic that begins with $ (MQTT 5 section 4.7.2).
  if (at === 0 && isSystem(segment.prefix)) return null
  return isTopicText(segment.prefix) && segment.params.every(({ literal }) => isTopicText(literal)) ? '+' : null
}

const isTopicText = (text: string): boolean => !/[+#\0]/.test(text)

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

const isSystem = (topic: string): boolean => topic.startsWith('$')

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
