import { CAPABILITIES, callRoute, type Extension, IOPA_VERSION } from '@iopa/appbuilder'
import { announced } from './announcement.ts'
import { routeError } from './errors.ts'
import { methodsFor } from './registration.ts'
import { type RouteTableOptions, routeTable } from './route-table.ts'
import type { Routes } from './routes.ts'
import type { Target } from './target.ts'
import { answerUnmatched } from './unmatched.ts'

/** Options of a router. */
export interface RouterOptions extends RouteTableOptions {}

/**
 * Routes by method and path: `new App().use(router()).get('/lights/:id', ({ params }) => lights.get(params.id))`.
 * It answers at its place in the pipeline: what its routes need, authentication above all, is used before it.
 */
export const router = (options: RouterOptions = {}): Extension<Routes> => {
  const table = routeTable<Target>(options)
  const ignoresSlash = options.trailingSlash === 'ignore'
  let used = false
  return {
    name: 'router',
    extend(app) {
      if (used) throw routeError('router-in-use', 'This router belongs to an app already; make one with router() for each app.')
      used = true
      app.capabilities[CAPABILITIES.Router] = { version: IOPA_VERSION, trailingSlash: options.trailingSlash ?? 'strict' }
      return methodsFor(table, '')
    },
    invoke(context, next) {
      const match = table.find(context['iopa.Method'], context['iopa.Path'])
      if (match === undefined) return answerUnmatched(table, context, next)
      context['iopa.Params'] = match.params
      context['iopa.Route'] = match.route.pattern.text
      const path = context['iopa.Path']
      // Both spellings are one resource, for changes and for those who observe it.
      context.response.resource = context['iopa.PathBase'] + (ignoresSlash && path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path)
      return callRoute(context, next, match.route.value, table)
    },
    routes: () => announced(table)
  }
}
