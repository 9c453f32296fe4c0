import type { RouteInfo, RouteSegment } from './transport.ts'

/** A route as it is reached through a mount. */
export const prefixed = (prefix: string, route: RouteInfo): RouteInfo => {
  if (prefix === '') return route
  const segments: RouteSegment[] = prefix
    .slice(1)
    .split('/')
    .map(value => ({ kind: 'static', value }))
  return { ...route, pattern: route.pattern === '/' ? prefix : prefix + route.pattern, segments: [...segments, ...route.segments] }
}
