const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** True for equal JSON values; the order of members does not count (RFC 6902 section 4.6). It takes no more steps than the smaller value has members. */
export const isEqualJson = (one: unknown, other: unknown): boolean => {
  const open: [unknown, unknown][] = [[one, other]]
  for (let pair = open.pop(); pair !== undefined; pair = open.pop()) {
    const [a, b] = pair
    if (a === b) continue
    if (!isObject(a) || !isObject(b) || Array.isArray(a) !== Array.isArray(b)) return false
    const names = Object.keys(a)
    if (names.length !== Object.keys(b).length) return false
    for (const name of names) {
      if (!Object.hasOwn(b, name)) return false
      open.push([(a as Record<string, unknown>)[name], (b as Record<string, unknown>)[name]])
    }
  }
  return true
}

/** True where arrays and objects are nested in each other more than `most` levels deep. Without recursion, which would end at some depth. */
export const isNestedDeeper = (value: unknown, most: number): boolean => {
  let level = [value].filter(isObject)
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === most) return true
    level = level.flatMap(outer => Object.values(outer).filter(isObject))
  }
  return false
}
