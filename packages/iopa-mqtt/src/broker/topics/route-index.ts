import { acceptsSegment, answersMethod, type Host, isOptionalSegment, type PatternSegment, pathsOfRoute, type RouteInfo } from '@iopa/transport'

/**
 * The paths that routes of the app cover now: a path with a GET route is state, a path without any route is a stream of messages. After routes were
 * added or removed, the index is made again when it is asked next.
 */
export class RouteIndex {
  readonly #host: Pick<Host, 'routes' | 'routesVersion'>
  #version = -1
  #routes: RoutesByFirst = new Map()
  /** The routes before the last change. */
  #before: RoutesByFirst = new Map()
  #states: RouteInfo[] = []

  constructor(host: Pick<Host, 'routes' | 'routesVersion'>) {
    this.#host = host
    this.#follow()
  }

  /** Changes with the routes. */
  get version(): number {
    return this.#host.routesVersion
  }

  /** Paths of states that are known by name: GET routes without parameters, and the instances that others announce. */
  *statePaths(): Generator<string, void, undefined> {
    this.#follow()
    for (const route of this.#states) yield* pathsOfRoute(route)
  }

  /** True when a GET route covers this canonical path. */
  hasGet(path: string): boolean {
    return this.#some(path, answersGet)
  }

  /** True when a GET route covered this canonical path before the last change of the routes. */
  hadGet(path: string): boolean {
    this.#follow()
    return some(this.#before, path, answersGet)
  }

  /** True when any route covers this canonical path. */
  hasAny(path: string): boolean {
    return this.#some(path, () => true)
  }

  /** True when routes cover this canonical path, and each of them has a guard of its own. */
  isGuarded(path: string): boolean {
    return this.hasAny(path) && !this.#some(path, route => route.guarded !== true)
  }

  #follow(): void {
    const { routesVersion } = this.#host
    if (routesVersion === this.#version) return
    this.#version = routesVersion
    this.#before = this.#routes
    this.#routes = new Map()
    // Searches that are under way go on with the routes that they began with.
    this.#states = []
    for (const route of this.#host.routes()) {
      const first = route.segments[0]
      const key = first?.kind === 'static' ? first.value : ''
      const same = this.#routes.get(key)
      if (same) same.push(route)
      else this.#routes.set(key, [route])
      if (answersGet(route)) this.#states.push(route)
    }
  }

  #some(path: string, accept: (route: RouteInfo) => boolean): boolean {
    this.#follow()
    return some(this.#routes, path, accept)
  }
}

/** Routes by their first segment where that is static; the others under the empty name. */
type RoutesByFirst = Map<string, RouteInfo[]>

/** True when an accepted route covers this canonical path. */
function some(routes: RoutesByFirst, path: string, accept: (route: RouteInfo) => boolean): boolean {
  const end = path.indexOf('/', 1)
  const first = end === -1 ? path.slice(1) : path.slice(1, end)
  const named = routes.get(first)
  const others = first === '' ? undefined : routes.get('')
  if (!named && !others) return false
  const segments = path.slice(1).split('/')
  const matches = (route: RouteInfo): boolean => accept(route) && matchFrom(route.segments, 0, segments, 0)
  return (named?.some(matches) ?? false) || (others?.some(matches) ?? false)
}

const answersGet = (route: RouteInfo): boolean => answersMethod(route, 'GET')

function matchFrom(pattern: readonly PatternSegment[], at: number, segments: readonly string[], from: number): boolean {
  const segment = pattern[at]
  if (!segment) return from === segments.length
  if (segment.kind === 'tail') return true
  const value = segments[from]
  if (value !== undefined && acceptsSegment(segment, value) && matchFrom(pattern, at + 1, segments, from + 1)) return true
  return isOptionalSegment(segment) && matchFrom(pattern, at + 1, segments, from)
}
