import { IopaError, withOrigin } from '@iopa/constants'
import type { Context } from '@iopa/context'
import { fullPath, RECORD, type RunContext } from '@iopa/context/host'
import type { PatternSegment } from '@iopa/transport'
import type { Permits } from './middleware.ts'
import { isBelow } from './mount.ts'

/** A guard that runs for a path alone: its middleware, which is what passing it means, and the path below that of the app it is in. */
export interface BoundGuard {
  readonly middleware: unknown
  readonly label: string
  readonly prefix: string
}

/** What middleware has decided about. */
interface Judged {
  readonly permits: Permits
  readonly method: string
  readonly path: string
}

/**
 * What a run has met of guards, the latest first: one that it passed, those that stand before an app that it entered, or middleware that decided who
 * may pass.
 */
interface GuardTrail {
  readonly passed: unknown
  readonly before: readonly BoundGuard[] | null
  readonly judged: Judged | null
  readonly base: string
  readonly above: GuardTrail | null
}

const trailOf = (context: Context): GuardTrail | null => (context as RunContext)[RECORD].guards as GuardTrail | null

/** Notes that a run is in the hands of a guard: what it calls has passed it. */
export const notePassed = (context: Context, passed: unknown): void => {
  const record = (context as RunContext)[RECORD]
  record.guards = { passed, before: null, judged: null, base: '', above: trailOf(context) }
}

/** Notes the guards that stand before an app, for what answers within it. */
export const noteBefore = (context: Context, before: readonly BoundGuard[]): void => {
  const record = (context as RunContext)[RECORD]
  record.guards = { passed: null, before, judged: null, base: context['iopa.PathBase'], above: trailOf(context) }
}

/** Notes that middleware decides whether a run may go on, at the path and with the method that it has now. */
export const noteJudged = (context: Context, permits: Permits): void => {
  const record = (context as RunContext)[RECORD]
  const path = fullPath(context['iopa.PathBase'], context['iopa.Path'])
  record.guards = { passed: null, before: null, judged: { permits, method: context['iopa.Method'], path }, base: '', above: trailOf(context) }
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

/**
 * Lets nothing answer a path or a method about which middleware before has not decided: behind it they were rewritten.
 * @throws IopaError 403 where it would refuse them.
 */
export const assertPermitted = (context: Context): void => {
  let path: string | undefined
  for (let at = trailOf(context); at !== null; at = at.above) {
    if (at.judged === null) continue
    path ??= fullPath(context['iopa.PathBase'], context['iopa.Path'])
    const { permits, method, path: judged } = at.judged
    if (judged === path && method === context['iopa.Method']) continue
    const segments = path
      .slice(1)
      .split('/')
      .map((value): PatternSegment => ({ kind: 'static', value }))
    if (!permits(context, context['iopa.Method'], segments)) throw new IopaError(403, 'not-permitted', 'You may not do this here.')
  }
}

const check = (context: Context, guards: readonly BoundGuard[], base: string, path: string): void => {
  for (const { middleware, label, prefix } of guards) {
    if (!isBelow(base + prefix, path) || hasPassed(context, middleware)) continue
    const detail = `${path} is guarded by ${label}, which did not run for this request: rewrite paths before that guard, and let no mount below its path call on.`
    throw withOrigin(new IopaError(500, 'guard-bypassed', detail), 'internal')
  }
}
