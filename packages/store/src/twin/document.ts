import { differenceOf, isMembers, type Members, memberOf, membersOf, mergeMembers, sameValue } from './members.ts'

/** The versions that set the desired members, in the shape of the desired object. */
export interface Stamps {
  readonly [member: string]: number | Stamps
}

/** A twin as it is kept. One counter orders all changes of it; each part has the version of its last change. */
export interface TwinDocument {
  /** Counts the changes; it never repeats. */
  readonly version: number
  readonly reported: Members
  readonly reportedVersion: number
  readonly desired: Members
  readonly desiredVersion: number
  readonly stamps: Stamps
  /** What the device still has to do: the desired members that the reported ones do not equal. */
  readonly delta: Members
  /** The version that a device has `seen` when it has read this delta. It grows with each change of the desired members too, so that a device can see those that it equals already. */
  readonly deltaVersion: number
}

/** A part of a twin that has a path of its own. */
export type TwinPart = 'reported' | 'desired' | 'delta'

const NOTHING: Members = {}

/** A twin without members; after a deletion it goes on from the version of that. */
export const emptyTwin = (version = 0): TwinDocument => ({
  version,
  reported: NOTHING,
  reportedVersion: version,
  desired: NOTHING,
  desiredVersion: version,
  stamps: {},
  delta: NOTHING,
  deltaVersion: version
})

/**
 * The twin after a change of what is desired. `next` is the whole desired object; `named` has the members that the change names, also those that had the
 * value before: the version of the change sets them. Without it all are named, as PUT does. Null and empty objects wish nothing.
 * The same twin where nothing has changed.
 */
export const withDesired = (twin: TwinDocument, next: Members, named?: Members): TwinDocument => {
  const version = twin.version + 1
  const { desired, stamps } = stamped(withoutEmpty(next), twin, named ?? next, version)
  if (sameValue(desired, twin.desired) && sameValue(stamps, twin.stamps)) return twin
  const delta = differenceOf(desired, twin.reported) ?? NOTHING
  return { ...twin, version, desired, desiredVersion: version, stamps, delta, deltaVersion: version }
}

/**
 * The twin after a report of its device. `next` is the whole reported object; `named` has the members that the report names, with null for those that it
 * removes. A named member that differs from what is desired ends the wish, if `seen` covers the version that set it: the device has read the wish
 * and has another value since. Without `seen` no wish ends. The same twin where nothing has changed.
 */
export const withReported = (twin: TwinDocument, next: Members, named: Members, seen?: number): TwinDocument => {
  const version = twin.version + 1
  const reported = mergeMembers(NOTHING, next)
  // A version that the twin has not reached is one of a lost past.
  const covered = seen !== undefined && seen <= twin.version ? seen : 0
  const kept = covered === 0 ? twin : unsettled(twin.desired, twin.stamps, named, reported, covered)
  const ended = kept.desired !== twin.desired
  const changed = !sameValue(reported, twin.reported)
  if (!ended && !changed) return twin
  const delta = differenceOf(kept.desired, reported) ?? NOTHING
  return {
    version,
    reported: changed ? reported : twin.reported,
    reportedVersion: changed ? version : twin.reportedVersion,
    desired: kept.desired,
    desiredVersion: ended ? version : twin.desiredVersion,
    stamps: kept.stamps,
    ...(sameValue(delta, twin.delta) ? { delta: twin.delta, deltaVersion: twin.deltaVersion } : { delta, deltaVersion: version })
  }
}

/** The parts that differ between two versions of a twin. */
export const changedParts = (before: TwinDocument, after: TwinDocument): TwinPart[] =>
  (['reported', 'desired', 'delta'] as const).filter(part => before[`${part}Version`] !== after[`${part}Version`])

interface Wishes {
  readonly desired: Members
  readonly stamps: Stamps
}

/** The members with the versions that set them: `version` for those that are named or new. */
const stamped = (next: Members, before: Wishes, named: unknown, version: number): Wishes => {
  const stamps: [string, number | Stamps][] = []
  for (const [name, value] of Object.entries(next)) {
    const known = memberOf(before.desired, name)
    const stamp = memberOf(before.stamps, name)
    const isNamed = isMembers(named) && Object.hasOwn(named, name)
    if (isMembers(value)) {
      const inner = isMembers(known) && isMembers(stamp) ? { desired: known, stamps: stamp as Stamps } : { desired: NOTHING, stamps: {} }
      stamps.push([name, stamped(value, inner, isNamed ? named[name] : undefined, version).stamps])
    } else stamps.push([name, !isNamed && typeof stamp === 'number' && sameValue(known, value) ? stamp : version])
  }
  return { desired: next, stamps: membersOf(stamps) as Stamps }
}

/** The wishes that a report leaves; the same object where it ends none. */
const unsettled = (desired: Members, stamps: Stamps, named: unknown, reported: unknown, seen: number): Wishes => {
  const kept: [string, unknown][] = []
  const keptStamps: [string, number | Stamps][] = []
  let ended = false
  for (const [name, wished] of Object.entries(desired)) {
    const stamp = stamps[name] as number | Stamps
    if (!isMembers(named) || !Object.hasOwn(named, name)) {
      kept.push([name, wished])
      keptStamps.push([name, stamp])
      continue
    }
    const value = memberOf(reported, name)
    if (isMembers(wished) && typeof stamp === 'object') {
      // What is no object any more differs in every member.
      const inner = unsettled(wished, stamp, isMembers(named[name]) ? named[name] : wished, value, seen)
      ended ||= inner.desired !== wished
      if (Object.keys(inner.desired).length === 0) continue
      kept.push([name, inner.desired])
      keptStamps.push([name, inner.stamps])
    } else if (sameValue(wished, value) || (stamp as number) > seen) {
      kept.push([name, wished])
      keptStamps.push([name, stamp])
    } else ended = true
  }
  return ended ? { desired: membersOf(kept), stamps: membersOf(keptStamps) as Stamps } : { desired, stamps }
}

/** Without null and objects that have no members. */
const withoutEmpty = (members: Members): Members => {
  const kept: [string, unknown][] = []
  for (const [name, value] of Object.entries(members)) {
    const clean = isMembers(value) ? withoutEmpty(value) : value
    if (clean === null || clean === undefined || (isMembers(clean) && Object.keys(clean).length === 0)) continue
    kept.push([name, clean])
  }
  return membersOf(kept)
}
