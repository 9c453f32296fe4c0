import { IopaError } from '@iopa/constants'
import type { Context } from '@iopa/context'
import { fullPath } from '@iopa/context/host'
import { acceptsSegment, isOptionalSegment, isUnrouted, type RouteInfo, type SecurityScheme } from '@iopa/transport'
import { prefixed } from '@iopa/transport/host'
import { hasPassed } from '../pipeline/guard-trail.ts'
import { isBelow } from '../pipeline/mount.ts'
import { isGuard, type PipelineEntry } from './entries.ts'
import { checkCycles, type NestedApp } from './nested-app.ts'
import { inRunOrder } from './run-order.ts'

/** Middleware that provides `server.User`, and the path that it is bound to; empty for every path. */
interface Guard {
  readonly label: string
  readonly prefix: string
  readonly middleware: unknown
  /** True in a branch, which only some requests take. */
  readonly branch: boolean
  /** What stands before it and no guard covers. */
  readonly open: readonly string[]
  readonly security: readonly SecurityScheme[]
}

/** Stands for the guard that a route has among its own middleware. */
const OF_THE_ROUTE: Guard = { label: 'the route', prefix: '/', middleware: null, branch: true, open: [], security: [] }

/** Something that answers requests, and the guards that a request passes on its way there. */
interface Answering {
  readonly label: string
  readonly route: RouteInfo | null
  /** True when a request may name a path at or below `path` and end here. */
  reaches(path: string): boolean
  readonly guards: readonly Guard[]
}

/** Who can answer, and behind which guards, in the order of a run. */
export interface Coverage {
  readonly answering: readonly Answering[]
  readonly guards: readonly Guard[]
  /** True when a path that nothing answers ends behind a guard as well, also in branches. */
  readonly endsCovered: boolean
  /** Guards of a path that stand behind what answers there. */
  readonly misplaced: readonly { readonly guard: string; readonly path: string; readonly answering: string }[]
}

/** True when the pattern of a route may match `path` or something below it; optional segments are taken both ways. */
const routeReaches = ({ segments }: RouteInfo, path: string): boolean => {
  const wanted = path === '' ? [] : path.slice(1).split('/')
  const from = (at: number, depth: number): boolean => {
    if (depth === wanted.length) return true
    const segment = segments[at]
    if (segment === undefined) return false
    if (isOptionalSegment(segment) && from(at + 1, depth)) return true
    return segment.kind === 'tail' || (acceptsSegment(segment, wanted[depth] as string) && from(at + 1, depth + 1))
  }
  return from(0, 0)
}

const labelOf = ({ method, pattern }: RouteInfo): string => `${method ?? '*'} ${pattern}`

/** Walks the pipeline of an app and of all apps within it. @throws IopaError 500 where an app is mounted within itself. */
export const coverageOf = (app: NestedApp): Coverage => {
  checkCycles(app)
  const answering: Answering[] = []
  const all: Guard[] = []
  const misplaced: { guard: string; path: string; answering: string }[] = []
  let endsCovered = true

  const walk = (entries: readonly PipelineEntry[], base: string, around: readonly Guard[], branch: boolean): Guard[] => {
    const passed = [...around]
    const before = answering.length
    const covering = (path: string): Guard[] => passed.filter(({ prefix }) => isBelow(prefix, path))
    const add = ({ kind, label, name, invoke, security }: PipelineEntry, prefix: string): void => {
      const open = answering.filter(({ guards }) => guards.length === 0)
      // A mounted middleware guards the whole path. The guard of a mounted app guards that app: what has a guard of its own is no business of it.
      const earlier = (kind === 'mount' ? answering : answering.slice(0, before).filter(({ guards }) => guards.length === 0)).find(
        answer => prefix !== '' && answer.reaches(prefix)
      )
      const guard = {
        label: kind === 'mount' ? `'${name}'` : label,
        prefix,
        middleware: invoke,
        branch,
        open: open.map(answer => answer.label),
        security
      }
      if (earlier !== undefined) misplaced.push({ guard: guard.label, path: prefix, answering: earlier.label })
      passed.push(guard)
      all.push(guard)
    }
    for (const entry of inRunOrder(entries)) {
      const prefix = base + entry.prefix
      if (entry.app !== null) {
        const within = walk(entry.app.entries, prefix, passed, branch || entry.kind === 'fork')
        // What a branch does not route ends there.
        if (entry.kind === 'fork') endsCovered &&= within.some(guard => isBelow(guard.prefix, base))
        else for (const guard of within) if (!passed.includes(guard)) passed.push(guard)
      } else if (isGuard(entry)) add(entry, prefix)
      else if (entry.routes !== undefined) {
        for (const inner of entry.routes()) {
          const route = prefixed(prefix, inner)
          const path = literalOf(route)
          answering.push({
            label: labelOf(route),
            route,
            guards: route.guarded === true ? [...covering(path), OF_THE_ROUTE] : covering(path),
            reaches: below => routeReaches(route, below)
          })
        }
      } else if (entry.answers) {
        const label = entry.kind === 'mount' ? `mount('${prefix || '/'}')` : entry.label
        answering.push({ label, route: null, guards: covering(prefix), reaches: below => entry.kind === 'mount' && isBelow(below, prefix) })
      }
    }
    return passed
  }

  const passed = walk(app.entries, '', [], false)
  return { answering, guards: all, misplaced, endsCovered: endsCovered && passed.some(({ prefix }) => prefix === '') }
}

/** The literal beginning of a pattern: a guard covers a route when it covers this. */
const literalOf = ({ segments }: RouteInfo): string => {
  let path = ''
  for (const segment of segments) {
    if (segment.kind !== 'static' || isOptionalSegment(segment)) break
    path = fullPath(path, `/${segment.value}`)
  }
  return path
}

/**
 * Refuses a guard that is bound to a path and stands behind something that answers at or below that path.
 * @throws IopaError 500 that names both.
 */
export const checkBoundGuards = ({ misplaced }: Coverage): void => {
  const [first] = misplaced
  if (first !== undefined)
    throw new IopaError(
      500,
      'guard-behind-routes',
      `${first.guard} guards ${first.path}, but ${first.answering} stands before it and answers without it: move the guard before it.`
    )
}

/** What answers without a guard, for the check of public addresses: empty when a guard stands before everything. */
export const exposedOf = ({ answering, guards, endsCovered }: Coverage): string[] => {
  const open = answering.filter(answer => answer.guards.length === 0).map(({ label }) => label)
  if (open.length > 0) return open
  return guards.length > 0 && endsCovered ? [] : ['the paths without a route']
}

/** For each guard that is bound to no path and stands behind something open: a sentence. */
export const warningsOf = ({ guards }: Coverage): string[] =>
  guards
    .filter(({ prefix, open }) => prefix === '' && open.length > 0)
    .map(({ label, open }) => `${label} does not cover ${open.join(', ')}, which ${open.length === 1 ? 'stands' : 'stand'} before it.`)

/** Coverage of apps that are built, and the version of the routes that it is of: a request must not cost a walk over all routes. */
const walked = new WeakMap<NestedApp, { readonly version: number; readonly coverage: Coverage }>()

const currentCoverage = (app: NestedApp): Coverage => {
  if (!app.isFixed) return coverageOf(app)
  const version = app.routesVersion
  let known = walked.get(app)
  if (known?.version !== version) walked.set(app, (known = { version, coverage: coverageOf(app) }))
  return known.coverage
}

/**
 * The routes of an app and of all apps within it, in the order of a run, each with how its guards authenticate; with `as` those that may be listed for
 * it, and with `where` those that it wants.
 */
export const routesFor = (app: NestedApp, as: Context | null, where?: (route: RouteInfo) => boolean): Iterable<RouteInfo> =>
  listedRoutes(currentCoverage(app), as, where)

/** The same routes as their routers announce them, without a look at guards. */
export const announcedRoutes = (app: NestedApp): Iterable<RouteInfo> => {
  checkCycles(app)
  return routesBelow(app, '')
}

const routesBelow = function* (app: NestedApp, base: string): Generator<RouteInfo> {
  for (const entry of inRunOrder(app.entries)) {
    const prefix = base + entry.prefix
    if (entry.app !== null) yield* routesBelow(entry.app, prefix)
    else if (!isGuard(entry) && entry.routes !== undefined) for (const route of entry.routes()) yield prefixed(prefix, route)
  }
}

/** True while middleware or a handler holds the request and has not answered it: every guard that it has met has let it pass. */
const isUnanswered = ({ response }: Context): boolean => !response.sealed && response.error === null && response.body === undefined

/**
 * The routes that may be listed for `as`, who is not known: those that no guard hides, and those of which every guard runs for all requests and let
 * this one pass. Each says how its guards authenticate.
 */
const listedRoutes = function* (coverage: Coverage, as: Context | null, where?: (route: RouteInfo) => boolean): Generator<RouteInfo> {
  // A request that was answered on its way may have been refused by a guard.
  const through = as === null || isUnrouted(as) || isUnanswered(as)
  const schemes = new Map<string, readonly SecurityScheme[]>()
  for (const { route, guards } of coverage.answering) {
    if (route === null || where?.(route) === false) continue
    if (as !== null && !guards.every(({ prefix, branch, middleware }) => through && prefix === '' && !branch && hasPassed(as, middleware))) continue
    yield guards.length === 0 ? route : { ...route, security: schemesOf(guards, route.security, schemes) }
  }
}

/** The schemes of guards, each once; thousands of routes behind the same guards share one list. */
const schemesOf = (
  guards: readonly Guard[],
  own: readonly SecurityScheme[] = [],
  shared: Map<string, readonly SecurityScheme[]>
): readonly SecurityScheme[] => {
  const schemes = [...guards.flatMap(({ security }) => security), ...own]
  const text = JSON.stringify(schemes)
  const known = shared.get(text)
  if (known !== undefined) return known
  const once = schemes.filter(({ name }, at) => schemes.findIndex(other => other.name === name) === at)
  shared.set(text, once)
  return once
}
