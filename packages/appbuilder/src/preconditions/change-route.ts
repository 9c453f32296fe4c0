import { changesState } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { Next } from '../pipeline/middleware.ts'
import type { RouteAttributes } from '../transport/transport.ts'

/** A route as a router found it. */
export interface CallableRoute {
  readonly handler: (context: Context, next: Next) => unknown
  readonly attributes: RouteAttributes
}

/** Where a router finds its routes. */
export interface RouteLookup {
  find(method: string, path: string): unknown
}

/**
 * Calls the handler of a route. A change with a precondition is judged first, where the path has a GET route, and changes of one path take turns while
 * such a change is under way (RFC 9110 section 13.2.1: after all checks that come before it). Any other request pays one comparison.
 */
export const callRoute = (context: Context, next: Next, route: CallableRoute, routes: RouteLookup): unknown => {
  const own = route.attributes.preconditions === 'own'
  if (!changesState(context['iopa.Method'])) {
    if (own) context.response.judged = true
    return route.handler(context, next)
  }
  const { changes } = context.environment
  const judged = !own && context.hasPrecondition
  if (changes === null || (changes.active === 0 && !judged)) return route.handler(context, next)
  const readable = routes.find('GET', context['iopa.Path']) !== undefined
  return changes.run(context, judged, readable, () => route.handler(context, next))
}
