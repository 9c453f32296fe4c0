/** The members of an object of a twin: scalars, arrays, and objects with members of their own. */
export type Members = Readonly<Record<string, unknown>>

/** True for an object with members; an array is a value. */
export const isMembers = (value: unknown): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value)

/** The object with these members; `__proto__` is a member like any other. */
export const membersOf = (entries: Iterable<readonly [string, unknown]>): Members => Object.fromEntries(entries)

/** The value of an own member; undefined where there is none. */
export const memberOf = (members: unknown, name: string): unknown => (isMembers(members) && Object.hasOwn(members, name) ? members[name] : undefined)

/** True for equal JSON values; the order of members says nothing. */
export const sameValue = (a: unknown, b: unknown): boolean => {
  if (a === b) return true
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, at) => sameValue(item, b[at]))
  if (!isMembers(a) || !isMembers(b)) return false
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every(name => Object.hasOwn(b, name) && sameValue(a[name], b[name]))
}

/** The object after a merge patch (RFC 7396): null removes a member, arrays and scalars replace it. */
export const mergeMembers = (target: unknown, patch: Members): Members => {
  const merged = new Map<string, unknown>(isMembers(target) ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, isMembers(value) ? mergeMembers(merged.get(name), value) : value)
  }
  return membersOf(merged)
}

/** The members of `desired` that `reported` does not equal; undefined where there are none. */
export const differenceOf = (desired: Members, reported: unknown): Members | undefined => {
  const found: [string, unknown][] = []
  for (const [name, wished] of Object.entries(desired)) {
    const known = memberOf(reported, name)
    const difference = isMembers(wished) && isMembers(known) ? differenceOf(wished, known) : sameValue(wished, known) ? undefined : wished
    if (difference !== undefined) found.push([name, difference])
  }
  return found.length === 0 ? undefined : membersOf(found)
}
