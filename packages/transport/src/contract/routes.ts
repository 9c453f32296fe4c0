import type { Context } from '@iopa/context'

/** A route as its router announces it. */
export interface RouteInfo {
  /** Empty for every method. */
  readonly methods: readonly string[]
  /** With the prefix of the mounts around it. */
  readonly pattern: string
  readonly segments: readonly RouteSegment[]
  readonly attributes: RouteAttributes
  /** True where a guard stands among the middleware of the route itself. */
  readonly guarded?: boolean
}

/** One segment of a pattern. */
export type RouteSegment =
  | { readonly kind: 'static'; readonly value: string }
  | { readonly kind: 'param'; readonly name: string; readonly constraint?: RegExp; readonly optional?: boolean }
  | { readonly kind: 'tail'; readonly name: string; readonly optional?: boolean }

/** What discovery says of a route (RFC 6690 section 3). */
export interface RouteAttributes {
  /** Resource types, separated by spaces. */
  readonly rt?: string
  /** Interface descriptions, separated by spaces. */
  readonly if?: string
  /** Content-Format numbers. */
  readonly ct?: number | readonly number[]
  readonly title?: string
  /** Size in bytes. */
  readonly sz?: number
  /** True says that it can be observed (RFC 7641 section 6); every GET route can, unless false. */
  readonly obs?: boolean
  /** The paths that exist now below a pattern with params, for discovery and for wildcards: `() => ['/lights/hall']`. */
  readonly instances?: () => Iterable<string>
  /** `own` leaves the preconditions of its requests to the handler; otherwise the app judges them (RFC 9110 section 13). */
  readonly preconditions?: 'own'
  /** False hides the route from discovery. */
  readonly discoverable?: boolean
}

/** The concrete paths of a route: its own when it has no params, else the instances that it names now. */
export const pathsOfRoute = (route: RouteInfo): Iterable<string> => {
  if (route.segments.length === 0) return ['/']
  if (route.segments.every(segment => segment.kind === 'static'))
    return [route.segments.map(segment => `/${(segment as { value: string }).value}`).join('')]
  return route.attributes.instances?.() ?? []
}

/** A route as it is reached through a mount. */
export const prefixed = (prefix: string, route: RouteInfo): RouteInfo => {
  if (prefix === '') return route
  const segments: RouteSegment[] = prefix
    .slice(1)
    .split('/')
    .map(value => ({ kind: 'static', value }))
  const { instances } = route.attributes
  return {
    ...route,
    pattern: route.pattern === '/' ? prefix : prefix + route.pattern,
    segments: [...segments, ...route.segments],
    attributes: instances === undefined ? route.attributes : { ...route.attributes, instances: () => Array.from(instances(), path => prefix + path) }
  }
}

/** True while the answer is that of the end of the pipeline: no handler has run. */
export const isUnrouted = (context: Context): boolean => context.response.error?.code === 'no-route'
