import { changesState } from '@iopa/constants'
import type { ChangeOrder, Context } from '@iopa/context'
import type { Next } from '../pipeline/middleware.ts'

/** A route as a router found it. */
export interface CallableRoute {
  readonly handler: (context: Context, next: Next) => unknown
  /** True where the handler judges the preconditions of its requests itself. */
  readonly judges: boolean
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
  if (route.judges) context.response.judged = true
  if (!changesState(context['iopa.Method'])) return route.handler(context, next)
  const judged = !route.judges && context.hasPrecondition
  const { changes } = context.environment
  if (changes === null || (changes.active === 0 && !judged)) return route.handler(context, next)
  return takeTurn(changes, judged, context, next, route, routes)
}

const takeTurn = (changes: ChangeOrder, judged: boolean, context: Context, next: Next, route: CallableRoute, routes: RouteLookup): unknown =>
  changes.run(context, judged, routes.find('GET', context['iopa.Path']) !== undefined, () => route.handler(context, next))
