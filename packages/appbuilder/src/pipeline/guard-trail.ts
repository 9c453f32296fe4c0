import { IopaError, withOrigin } from '@iopa/constants'
import { type Context, fullPath } from '@iopa/context'
import { isBelow } from './mount.ts'

/** A guard that runs for a path alone: its middleware, which is what passing it means, and the path below that of the app it is in. */
export interface BoundGuard {
  readonly middleware: unknown
  readonly label: string
  readonly prefix: string
}

/** What a run has met of guards, the latest first: one that it passed, or those that stand before an app that it entered. */
type GuardTrail =
  | { readonly passed: unknown; readonly before: null; readonly base: string; readonly above: GuardTrail | null }
  | { readonly passed: null; readonly before: readonly BoundGuard[]; readonly base: string; readonly above: GuardTrail | null }

const trailOf = (context: Context): GuardTrail | null => context.response.guards as GuardTrail | null

/** Notes that a run is in the hands of a guard: what it calls has passed it. */
export const notePassed = (context: Context, passed: unknown): void => {
  context.response.guards = { passed, before: null, base: '', above: trailOf(context) }
}

/** Notes the guards that stand before an app, for what answers within it. */
export const noteBefore = (context: Context, before: readonly BoundGuard[]): void => {
  context.response.guards = { passed: null, before, base: context['iopa.PathBase'], above: trailOf(context) }
}

/** True when the run has passed a guard. */
export const hasPassed = (context: Context, guard: unknown): boolean => {
  for (let at = trailOf(context); at !== null; at = at.above) if (at.passed === guard) return true
  return false
}

/**
 * Lets nothing answer a path whose guard the run has not met: the path has been rewritten behind that guard, or another mount ran in its place.
 * @throws IopaError 500 that says so, for the log.
 */
export const assertPassed = (context: Context, before: readonly BoundGuard[]): void => {
  const trail = trailOf(context)
  if (before.length === 0 && trail === null) return
  const path = fullPath(context['iopa.PathBase'], context['iopa.Path'])
  check(context, before, context['iopa.PathBase'], path)
  for (let at = trail; at !== null; at = at.above) if (at.before !== null) check(context, at.before, at.base, path)
}

const check = (context: Context, guards: readonly BoundGuard[], base: string, path: string): void => {
  for (const { middleware, label, prefix } of guards) {
    if (!isBelow(base + prefix, path) || hasPassed(context, middleware)) continue
    const detail = `${path} is guarded by ${label}, which did not run for this request: rewrite paths before that guard, and let no mount below its path call on.`
    throw withOrigin(new IopaError(500, 'guard-bypassed', detail), 'internal')
  }
}
