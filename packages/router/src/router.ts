import { IopaError } from '@iopa/appbuilder'
import { type AppHandle, checkOptions, type Extension, markFactory, noteMethods } from '@iopa/appbuilder/extension'
import { fullPath, RECORD, type RunContext } from '@iopa/context/host'
import { CAPABILITIES, IOPA_VERSION } from '@iopa/transport'
import { announced, type RouterRoutes, type Target } from './registration.ts'
import { appMethods, registryOf } from './route-methods.ts'
import { type RouteTableOptions, routeTable } from './route-table.ts'
import type { Routes } from './routes.ts'

/** Options of a router. */
export interface RouterOptions extends RouteTableOptions {}

const OPTIONS: Record<keyof RouterOptions, true> = { trailingSlash: true }

const isOpen = ({ guarded }: Target): boolean => !guarded

/**
 * Routes by method and path: `new App().use(router()).get('/lights/:id', ({ params }) => lights.get(params.id))`.
 * It answers at its place in the pipeline: what its routes need, authentication above all, is used before it.
 */
export const router = (options: RouterOptions = {}): Extension<Routes> => {
  checkOptions('router()', options, OPTIONS, router)
  const table = routeTable<Target>(options)
  // Each path has one form.
  const exact = options.trailingSlash !== 'ignore'
  let home: AppHandle | undefined
  const routes: RouterRoutes = { table, validator: undefined, changed: () => home?.routesChanged() }
  return {
    name: 'router',
    needsApp: true,
    extend(app) {
      if (home !== undefined) throw new IopaError(500, 'router-in-use', 'This router belongs to another app: call router() once for each app.')
      home = app
      app.capabilities[CAPABILITIES.Router] = { version: IOPA_VERSION, trailingSlash: options.trailingSlash ?? 'strict' }
      return appMethods(routes)
    },
    invoke(context, next) {
      const match = table.find(context['iopa.Method'], context['iopa.Path'])
      if (match === undefined) {
        const methods = table.methods(context['iopa.Path'])
        // Methods that a guard of the route hides from listings are not listed here either.
        if (methods.length > 0)
          noteMethods(context, methods, context['server.User'] === undefined ? table.methods(context['iopa.Path'], isOpen) : methods)
        return next()
      }
      const { route } = match
      context['iopa.Params'] = match.params
      context['iopa.Route'] = route.pattern.text
      const base = context['iopa.PathBase']
      const resource = exact && base === '' ? context['iopa.Path'] : fullPath(base, table.canonical(context['iopa.Path']))
      const record = (context as RunContext)[RECORD]
      record.resource = resource
      record.route = base === '' ? route.pattern.text : fullPath(base, route.pattern.text)
      return route.value.handler(context, next)
    },
    routes: () => table.routes.map(announced),
    registry: registryOf(routes, (matches, known) => home?.notifyWhere(matches, known))
  }
}

markFactory('router', router)
