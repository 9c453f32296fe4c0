import type { Context } from '@iopa/context'
import type { PatternSegment } from '../patterns/pattern-segment.ts'
import type { ErrorContract, ResourceContract, SecurityScheme } from './resources.ts'
import type { Schema } from './schemas.ts'

/** Whether the user of a request would be let through: for a method, or any where it is undefined, at a path or at some path of a pattern, mounts included. */
export type RoutePermits = (as: Context, method: string | undefined, segments: readonly PatternSegment[]) => boolean

/** A route as its router announces it: one for each method of a pattern. */
export interface RouteInfo {
  /** The method that it answers; undefined for every method without its own route on the pattern. */
  readonly method: string | undefined
  /** With the prefix of the mounts around it. */
  readonly pattern: string
  /** The root has none; a trailing slash is a final empty one. */
  readonly segments: readonly PatternSegment[]
  readonly attributes: RouteAttributes
  /** The names of the middleware that runs before the handler, in order; missing where there is none. */
  readonly middleware?: readonly string[]
  /** Keys that the route requires of the pipeline before it; missing where there are none. */
  readonly requires?: readonly string[]
  /** True where a guard stands among the middleware of the route itself, or the route asks for an authenticated user. */
  readonly guarded?: boolean
  /** Middleware of the route that decides who may pass: listings leave the route out where one of it would refuse. Missing where there is none. */
  readonly permits?: readonly RoutePermits[]
  /** How users authenticate at the guards that its requests pass, each scheme an alternative; empty where these do not say, missing where there are none. */
  readonly security?: readonly SecurityScheme[]
}

/** The attributes that the core reads. */
export interface CoreRouteAttributes {
  /** Resource types, separated by spaces (RFC 6690 section 3.1). */
  readonly rt?: string
  /** Interface descriptions, separated by spaces (RFC 6690 section 3.2). */
  readonly if?: string
  /** Content-Format numbers. */
  readonly ct?: number | readonly number[]
  readonly title?: string
  readonly description?: string
  /** Of the parameters of the path, of the query, of the headers, of the body; `resources()` of `@iopa/resource` validates by them. */
  readonly params?: Schema
  readonly query?: Schema
  readonly headers?: Schema
  readonly input?: Schema
  /** Of the body of a 2xx answer. */
  readonly answer?: Schema
  readonly errors?: Readonly<Record<string, ErrorContract>>
  /** One of these schemes must have authenticated the user: `by` of the user is its name. Empty: public. */
  readonly security?: readonly SecurityScheme[]
  /** The contract that the route serves, where it does. */
  readonly resource?: ResourceContract
  /** Size in bytes (RFC 6690 section 3.3). */
  readonly sz?: number
  /** True says that it can be observed (RFC 7641 section 6); every GET route can, unless false. */
  readonly obs?: boolean
  /** The paths that exist now below a pattern with parameters, for discovery and for wildcards: `() => ['/lights/hall']`. */
  readonly instances?: () => Iterable<string>
  /** `own` leaves the preconditions of its requests to the handler; otherwise the app judges them (RFC 9110 section 13). */
  readonly preconditions?: 'own'
  /** False hides the route from discovery. */
  readonly discoverable?: boolean
}

/**
 * What a route says of itself, for its one method. Packages add attributes:
 * `declare module '@iopa/transport' { interface RouteAttributes { readonly summary?: string } }`; apps name `@iopa/appbuilder` instead.
 */
export interface RouteAttributes extends CoreRouteAttributes {}

/** True when the route answers requests of this method. */
export const answersMethod = ({ method }: RouteInfo, asked: string): boolean => method === undefined || method === asked

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
  const segments: PatternSegment[] = prefix
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
