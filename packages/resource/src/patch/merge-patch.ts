import { isRecord, recordOf } from '../representation.ts'

/** The target after a JSON merge patch (RFC 7396): null removes a member, arrays are replaced whole. The given values are not touched. */
export const mergePatch = (target: unknown, patch: unknown): unknown => {
  if (!isRecord(patch)) return patch
  const members = new Map(isRecord(target) ? Object.entries(target) : [])
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) members.delete(name)
    else members.set(name, mergePatch(members.get(name), change))
  }
  return recordOf(members)
}
