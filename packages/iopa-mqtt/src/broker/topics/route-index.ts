import { acceptsSegment, answersMethod, isOptionalSegment, type PatternSegment, pathsOfRoute, type RouteInfo } from '@iopa/transport'

/** The paths that routes of the app cover: a path with a GET route is state, a path without any route is a stream of messages. */
export class RouteIndex {
  /** By their first segment where that is static; the others under the empty name. */
  readonly #byFirst = new Map<string, RouteInfo[]>()
  readonly #states: RouteInfo[] = []

  constructor(routes: Iterable<RouteInfo>) {
    for (const route of routes) {
      const first = route.segments[0]
      const key = first?.kind === 'static' ? first.value : ''
      const same = this.#byFirst.get(key)
      if (same) same.push(route)
      else this.#byFirst.set(key, [route])
      if (answersGet(route)) this.#states.push(route)
    }
  }

  /** Paths of states that are known by name: GET routes without parameters, and the instances that others announce. */
  *statePaths(): Generator<string, void, undefined> {
    for (const route of this.#states) yield* pathsOfRoute(route)
  }

  /** True when a GET route covers this canonical path. */
  hasGet(path: string): boolean {
    return this.#some(path, answersGet)
  }

  /** True when any route covers this canonical path. */
  hasAny(path: string): boolean {
    return this.#some(path, () => true)
  }

  /** True when routes cover this canonical path, and each of them has a guard of its own. */
  isGuarded(path: string): boolean {
    return this.hasAny(path) && !this.#some(path, route => route.guarded !== true)
  }

  #some(path: string, accept: (route: RouteInfo) => boolean): boolean {
    const end = path.indexOf('/', 1)
    const first = end === -1 ? path.slice(1) : path.slice(1, end)
    const named = this.#byFirst.get(first)
    const others = first === '' ? undefined : this.#byFirst.get('')
    if (!named && !others) return false
    const segments = path.slice(1).split('/')
    const matches = (route: RouteInfo): boolean => accept(route) && matchFrom(route.segments, 0, segments, 0)
    return (named?.some(matches) ?? false) || (others?.some(matches) ?? false)
  }
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
