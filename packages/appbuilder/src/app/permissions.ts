import type { Context } from '@iopa/context'
import type { PatternSegment, RouteInfo } from '@iopa/transport'
import type { Permits } from '../pipeline/middleware.ts'
import type { PipelineEntry } from './entries.ts'
import type { NestedApp } from './nested-app.ts'
import { inRunOrder } from './run-order.ts'

/** Middleware that decides who may pass, and the segments of the path that it is bound to. */
interface Permission {
  readonly permits: Permits
  readonly prefix: readonly string[]
}

const segmentsOf = (path: string): string[] => (path === '' ? [] : path.slice(1).split('/'))

const permissionsOf = (entries: readonly PipelineEntry[], base: string): Permission[] =>
  inRunOrder(entries).flatMap(({ app, permits, prefix }) =>
    app !== null ? permissionsOf(app.entries, base + prefix) : permits === undefined ? [] : [{ permits, prefix: segmentsOf(base + prefix) }]
  )

const isAt = (prefix: readonly string[], segments: readonly PatternSegment[]): boolean =>
  prefix.every((value, at) => {
    const segment = segments[at]
    return segment?.kind === 'static' && segment.value === value
  })

const literal = (path: string): PatternSegment[] => segmentsOf(path).map(value => ({ kind: 'static', value }))

/**
 * The routes that middleware of the app lets the user of `as` reach, each with the instances that it lets reach. What stands in a branch counts for the
 * routes of every branch.
 */
export const permittedRoutes = (routes: Iterable<RouteInfo>, app: NestedApp, as: Context): Iterable<RouteInfo> => {
  return filtered(routes, permissionsOf(app.entries, ''), as)
}

const filtered = function* (routes: Iterable<RouteInfo>, permissions: readonly Permission[], as: Context): Generator<RouteInfo> {
  for (const route of routes) {
    const { method, segments, attributes, permits: own = [] } = route
    const asked = [...permissions.filter(({ prefix }) => isAt(prefix, segments)).map(({ permits }) => permits), ...own]
    if (asked.length === 0) {
      yield route
      continue
    }
    const may = (path: readonly PatternSegment[]): boolean => asked.every(permits => permits(as, method, path))
    // The root has no segments, where a path has an empty one.
    if (!may(segments.length === 0 ? literal('/') : segments)) continue
    const { instances } = attributes
    yield instances === undefined
      ? route
      : { ...route, attributes: { ...attributes, instances: () => Array.from(instances()).filter(path => may(literal(path))) } }
  }
}
