import { IopaError } from '@iopa/appbuilder'
import { type AppHandle, callSite, kindOf, pathsOfRoute, type RouteAttributes, type RouteRegistry } from '@iopa/appbuilder/extension'
import { announced, checkMethod, checkPrefix, isMiddleware, type RouterRoutes, register, routeError } from './registration.ts'
import type { AddMethodRoute, AddRoute, RouteGroup, Routes } from './routes.ts'

/** What the routes of a group share; an app is the group without a prefix. */
interface Group {
  readonly prefix: string
  readonly middleware: unknown[]
  /** True once it has a route, or a group within. */
  started: boolean
}

/** The methods that a router adds to its app. */
export const appMethods = (routes: RouterRoutes): Routes => methodsOf(routes, { prefix: '', middleware: [], started: false })

const methodsOf = (routes: RouterRoutes, group: Group): Routes => {
  const { prefix, middleware } = group
  const add = (method: string | undefined, path: string, rest: readonly unknown[], place: () => string): void => {
    group.started = true
    const [first, ...others] = rest
    const chain = isAttributes(first) ? others : rest
    register(routes, {
      method,
      prefix,
      path,
      attributes: isAttributes(first) ? first : {},
      // A route needs a handler, even if the group has middleware.
      chain: chain.length === 0 ? chain : [...middleware, ...chain],
      place
    })
  }
  const adder = (method: string | undefined): AddRoute => {
    const verb = function (this: unknown, path: string, ...rest: unknown[]): unknown {
      add(method, path, rest, callSite(verb))
      return this
    }
    return verb as AddRoute
  }
  const on = function (this: unknown, method: string, path: string, ...rest: unknown[]): unknown {
    const place = callSite(on)
    add(checkMethod(method, place), path, rest, place)
    return this
  }
  const within = function (this: unknown, inner: string, build: unknown, ...surplus: unknown[]): unknown {
    const place = callSite(within)
    if (typeof build !== 'function' || surplus.length > 0)
      throw routeError('invalid-group', 'group() takes a prefix and one function, which adds the routes of the group.', place)
    group.started = true
    const built: unknown = build(groupMethods(routes, { prefix: prefix + checkPrefix(inner), middleware: [...middleware], started: false }))
    if (built instanceof Promise) throw routeError('invalid-group', 'The function of group() returned a promise: make it synchronous.', place)
    return this
  }
  return {
    get: adder('GET'),
    head: adder('HEAD'),
    post: adder('POST'),
    put: adder('PUT'),
    patch: adder('PATCH'),
    delete: adder('DELETE'),
    options: adder('OPTIONS'),
    all: adder(undefined),
    on: on as AddMethodRoute,
    group: within as Routes['group']
  }
}

const groupMethods = (routes: RouterRoutes, group: Group): RouteGroup<unknown, string> => {
  const use = function (this: unknown, middleware: unknown, ...surplus: unknown[]): unknown {
    const place = callSite(use)
    if (!isMiddleware(middleware) || surplus.length > 0)
      throw routeError(
        'invalid-middleware',
        `use() of a group takes one middleware, a function (context, next) or an object with invoke, not ${kindOf(surplus[0] ?? middleware)}.`,
        place
      )
    if (group.started)
      throw routeError('late-middleware', 'use() of a group comes before its routes: those that it has already would run without it.', place)
    group.middleware.push(middleware)
    return this
  }
  return { ...methodsOf(routes, group), use: use as RouteGroup<unknown, string>['use'], prefix: group.prefix }
}

/** A plain object that is not middleware. */
const isAttributes = (value: unknown): value is RouteAttributes =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !('invoke' in value) && !('dispatch' in value) && !('then' in value)

/** The registry of an app, which `notifyWhere` belongs to. */
export const registryOf = (routes: RouterRoutes, notifyWhere: AppHandle['notifyWhere']): RouteRegistry => {
  const { table } = routes
  const add: RouteRegistry['add'] = (method, path, attributes, chain, place = callSite(add)) => {
    const given = method === undefined ? undefined : checkMethod(method, place)
    const route = register(routes, { method: given, prefix: '', path, attributes, chain, place })
    return {
      remove: () => {
        if (!table.remove(route)) return
        routes.changed()
        if (given !== undefined && given !== 'GET') return
        // MQTT subscriptions do not observe one path: they are notified of the paths that the route lists.
        notifyWhere(asked => table.matches(route, asked), pathsOfRoute(announced(route)))
      }
    }
  }
  return {
    add,
    validateWith(validator) {
      if (routes.validator !== undefined)
        throw new IopaError(500, 'second-validator', 'This app validates by the schemas of its routes already: call app.use(resources()) once.')
      routes.validator = validator
    }
  }
}
