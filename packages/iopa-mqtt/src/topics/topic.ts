/** The longest string of MQTT, in bytes (MQTT 5 section 1.5.4). */
const STRING_MAX = 65_535

const fits = (text: string): boolean =>
  text.length > 0 && !text.includes('\0') && (text.length * 3 <= STRING_MAX || Buffer.byteLength(text) <= STRING_MAX) && !LONE_SURROGATE.test(text)

const LONE_SURROGATE = /\p{Surrogate}/u

/** True for what a message may be published to: one character at least, no wildcard, no U+0000 (MQTT 5 section 4.7). */
export const isTopicName = (topic: string): boolean => fits(topic) && !topic.includes('+') && !topic.includes('#')

/** True for what may be subscribed to: wildcards fill a whole level, `#` only the last, `$share/<group>/` is followed by a filter (MQTT 5 sections 4.7, 4.8). */
export function isTopicFilter(filter: string): boolean {
  if (!fits(filter)) return false
  if (filter.startsWith('$share/') || filter === '$share') {
    const shared = parseSharedFilter(filter)
    return shared !== null && isPlainFilter(shared.filter)
  }
  return isPlainFilter(filter)
}

function isPlainFilter(filter: string): boolean {
  for (let at = 0; at < filter.length; at++) {
    const character = filter.charCodeAt(at)
    if (character !== PLUS && character !== HASH) continue
    if (at > 0 && filter.charCodeAt(at - 1) !== SLASH) return false
    if (at + 1 < filter.length && (character === HASH || filter.charCodeAt(at + 1) !== SLASH)) return false
  }
  return filter.length > 0
}

const SLASH = 47
const PLUS = 43
const HASH = 35

/** A filter that a group of sessions shares (MQTT 5 section 4.8.2). */
export interface SharedFilter {
  readonly group: string
  readonly filter: string
}

/** The parts of `$share/<group>/<filter>`, or null for any other filter. */
export function parseSharedFilter(filter: string): SharedFilter | null {
  if (!filter.startsWith('$share/')) return null
  const end = filter.indexOf('/', 7)
  if (end < 8 || end === filter.length - 1) return null
  const group = filter.slice(7, end)
  return group.includes('+') || group.includes('#') ? null : { group, filter: filter.slice(end + 1) }
}

/** True when the filter holds a wildcard. */
export const hasWildcard = (filter: string): boolean => filter.includes('+') || filter.includes('#')

/** Number of levels in a topic name or filter. */
export function levelCount(topic: string): number {
  let count = 1
  for (let at = topic.indexOf('/'); at !== -1; at = topic.indexOf('/', at + 1)) count++
  return count
}

/** True when a message to this topic belongs to this filter, level by level; a wildcard at the front leaves out topics that begin with `$` (MQTT 5 section 4.7.2). */
export function topicMatches(filter: string, topic: string): boolean {
  const first = filter.charCodeAt(0)
  if (topic.charCodeAt(0) === 36 && (first === PLUS || first === HASH)) return false
  let f = 0
  let t = 0
  for (;;) {
    if (filter.charCodeAt(f) === HASH) return true
    const topicEnd = endOfLevel(topic, t)
    const filterEnd = endOfLevel(filter, f)
    const any = filterEnd - f === 1 && filter.charCodeAt(f) === PLUS
    if (!any && (filterEnd - f !== topicEnd - t || !filter.startsWith(topic.slice(t, topicEnd), f))) return false
    const topicDone = topicEnd === topic.length
    const filterDone = filterEnd === filter.length
    if (topicDone) return filterDone || (filter.length === filterEnd + 2 && filter.charCodeAt(filterEnd + 1) === HASH)
    if (filterDone) return false
    f = filterEnd + 1
    t = topicEnd + 1
  }
}

function endOfLevel(text: string, from: number): number {
  const end = text.indexOf('/', from)
  return end === -1 ? text.length : end
}

/** The path of a topic: nothing is decoded, so topic `/a` is path `//a`. */
export const pathOf = (topic: string): string => `/${topic}`

/** The topic of a path, the inverse of `pathOf`. */
export const topicOf = (path: string): string => path.slice(1)

/**
 * True when the topic's path is canonical, so that a route or a file may have it: no empty level but a last one, no `.` or `..`, no backslash.
 * Topics that begin with `$` belong to the broker and never reach a route.
 */
export function isCanonicalTopic(topic: string): boolean {
  if (topic.length === 0 || topic.charCodeAt(0) === 36) return false
  let start = 0
  for (let at = 0; at <= topic.length; at++) {
    const character = at === topic.length ? SLASH : topic.charCodeAt(at)
    if (character === 92) return false
    if (character !== SLASH) continue
    const length = at - start
    if (length === 0 && at < topic.length) return false
    if (length === 1 && topic.charCodeAt(start) === 46) return false
    if (length === 2 && topic.charCodeAt(start) === 46 && topic.charCodeAt(start + 1) === 46) return false
    start = at + 1
  }
  return true
}
