import type { RouteInfo, RouteSegment } from './transport.ts'

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
