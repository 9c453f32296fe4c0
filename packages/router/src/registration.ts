import { IopaError, isIopaError, type MiddlewareFunction } from '@iopa/appbuilder'
import {
  kindOf,
  parsePattern,
  type RouteAttributes,
  type RouteInfo,
  type RoutePermits,
  type RouteValidator,
  type SecurityScheme,
  sequence,
  withPreconditions
} from '@iopa/appbuilder/extension'
import { METHODS } from '@iopa/transport'
import type { Route } from './route.ts'
import { secured } from './route-security.ts'
import type { RouteTable } from './route-table.ts'

/** What a route leads to. */
export interface Target {
  /** The middleware of the route and, behind the check of preconditions, its handler as one function. */
  readonly handler: MiddlewareFunction
  readonly attributes: RouteAttributes
  /** The names of its middleware, in order. */
  readonly middleware: readonly string[]
  /** Keys that its middleware and handler require of the pipeline. */
  readonly requires: readonly string[]
  /** True if one of its middleware authenticates, or it asks for an authenticated user. */
  readonly guarded: boolean
  /** Its middleware that decides who may pass. */
  readonly permits: readonly RoutePermits[]
  /** How its own middleware authenticates. */
  readonly security: readonly SecurityScheme[]
}

// Listings are made again and again, of routes that stay as they are.
const infos = new WeakMap<Route<Target>, RouteInfo>()

/** A route as discovery and `explain()` see it. */
export const announced = (route: Route<Target>): RouteInfo => {
  let info = infos.get(route)
  if (info === undefined) infos.set(route, (info = infoOf(route)))
  return info
}

const infoOf = ({ method, pattern, value }: Route<Target>): RouteInfo => ({
  method,
  pattern: pattern.text,
  segments: pattern.text === '/' ? [] : pattern.segments,
  attributes: value.attributes,
  ...(value.middleware.length > 0 ? { middleware: value.middleware } : undefined),
  ...(value.requires.length > 0 ? { requires: value.requires } : undefined),
  ...(value.guarded ? { guarded: true } : undefined),
  ...(value.permits.length > 0 ? { permits: value.permits } : undefined),
  ...(value.security.length > 0 ? { security: value.security } : undefined)
})

/** A mistake in how a route is declared: thrown when it is added, never while a request is routed. */
export const routeError = (code: string, detail: string, place: () => string): IopaError => {
  const where = place()
  return new IopaError(500, code, where === '' ? detail : `${detail} (${where})`)
}

/** A route as it was given. */
export interface GivenRoute {
  /** Undefined for every method without its own route on the pattern. */
  readonly method: string | undefined
  /** Of the group that the route is in. */
  readonly prefix: string
  readonly path: string
  readonly attributes: RouteAttributes
  /** Middleware and, last, the handler. */
  readonly chain: readonly unknown[]
  /** The line of the call. */
  readonly place: () => string
}

/** The routes of one router. */
export interface RouterRoutes {
  readonly table: RouteTable<Target>
  /** What validates requests by the schemas of a route; undefined before a package gives one. */
  validator: RouteValidator | undefined
  /** Called when a route was added or removed. */
  readonly changed: () => void
}

const SCHEMAS = ['params', 'query', 'headers', 'input', 'answer'] as const

/** The handler behind the schemas of its route. */
const validated = ({ validator }: RouterRoutes, { method, path, attributes, place }: GivenRoute, handler: MiddlewareFunction): MiddlewareFunction => {
  const named = SCHEMAS.find(name => attributes[name] !== undefined)
  if (named === undefined) return handler
  if (validator === undefined)
    throw routeError(
      'no-validator',
      `The route ${method ?? 'all methods'} ${path} has a schema for its ${named}, and nothing validates by it: write app.use(resources()) behind app.use(router()), with resources from @iopa/resource.`,
      place
    )
  try {
    return validator({ method, pattern: path, attributes }, handler) ?? handler
  } catch (error) {
    throw isIopaError(error) ? routeError(error.code, error.detail, place) : error
  }
}

/** Adds a route. @throws IopaError 500 with the line of the call. */
export const register = (routes: RouterRoutes, given: GivenRoute): Route<Target> => {
  const { table } = routes
  const { method, prefix, path, attributes, chain, place } = given
  const name = `${method ?? 'all methods'} ${String(path)}`
  if (typeof path !== 'string' || (prefix !== '' && path[0] !== '/'))
    throw routeError('invalid-pattern', `The route pattern ${JSON.stringify(path)} is not valid: begin it with "/".`, place)
  const values = chain.slice(0, -1).flat(Number.POSITIVE_INFINITY)
  const middleware = values.map(value => layerOf(value, name, place))
  if (chain.length === 0)
    throw routeError(
      'invalid-handler',
      `The route ${name} needs a handler: a function (context, next), last, after the attributes and the middleware where there are any.`,
      place
    )
  const { security = [] } = attributes
  const plain = withPreconditions(validated(routes, given, layerOf(chain.at(-1), name, place)), {
    method,
    own: attributes.preconditions === 'own',
    hasGet: asked => table.find('GET', asked) !== undefined
  })
  const handler = security.length === 0 ? plain : secured(security, plain)
  const target: Target = {
    handler: middleware.length === 0 ? handler : sequence([...middleware, handler]),
    attributes,
    middleware: values.map(nameOf),
    requires: requiredBy([...values, ...chain.slice(-1)]),
    guarded: security.length > 0 || values.some(isGuard),
    permits: values.flatMap(permitsOf),
    security: values.filter(isGuard).flatMap(schemesOf)
  }
  // The root of a group is its prefix, as the root of a mounted app is its mount path.
  const route = table.add(method, prefix !== '' && path === '/' ? prefix : prefix + path, target, place)
  routes.changed()
  return route
}

const layerOf = (value: unknown, route: string, place: () => string): MiddlewareFunction => {
  if (typeof value === 'function') return value as MiddlewareFunction
  const object = value as { invoke?: MiddlewareFunction; name?: unknown; needsApp?: boolean } | null
  if (object?.needsApp === true)
    throw routeError(
      'invalid-handler',
      `'${object.name}' works for a whole app, not for the route ${route}: write app.use(${object.name}(...)).`,
      place
    )
  if (typeof object === 'object' && typeof object?.invoke === 'function') return (context, next) => object.invoke?.(context, next)
  throw routeError(
    'invalid-handler',
    `The route ${route} needs a handler, last, and before it middleware: functions (context, next) or objects with invoke. ${kindOf(value)} is none of them.`,
    place
  )
}

/** True for middleware, and for arrays of it. */
export const isMiddleware = (value: unknown): boolean =>
  Array.isArray(value)
    ? value.every(isMiddleware)
    : typeof value === 'function' || typeof (value as { invoke?: unknown } | null)?.invoke === 'function'

/** The keys that middleware declares; none where it declares nothing. */
const keysOf = (value: unknown, declaration: 'provides' | 'requires'): readonly string[] => {
  const keys = (value as Partial<Record<typeof declaration, unknown>> | null)?.[declaration]
  return Array.isArray(keys) ? keys : []
}

/** True for middleware that says who is asking. */
const isGuard = (value: unknown): boolean => keysOf(value, 'provides').includes('server.User')

const permitsOf = (value: unknown): readonly RoutePermits[] => {
  const { permits } = value as { readonly permits?: unknown }
  return typeof permits === 'function' ? [permits as RoutePermits] : []
}

const schemesOf = (value: unknown): readonly SecurityScheme[] => {
  const { security } = value as { readonly security?: unknown }
  return Array.isArray(security) ? security : []
}

/** What the layers of a route require and none before them provides. */
const requiredBy = (values: readonly unknown[]): string[] => {
  const provided = new Set<string>()
  const required = new Set<string>()
  for (const value of values) {
    for (const key of keysOf(value, 'requires')) if (!provided.has(key)) required.add(key)
    for (const key of keysOf(value, 'provides')) provided.add(key)
  }
  return [...required]
}

const nameOf = (value: unknown, at: number): string => {
  const { name } = value as { name?: unknown }
  return typeof name === 'string' && name !== '' ? name : `middleware ${at + 1}`
}

/** Methods are case-sensitive (RFC 9110 section 9.1), so `get` is a method that no client sends. @throws IopaError 500. */
export const checkMethod = (method: string, place: () => string): string => {
  if (typeof method !== 'string' || method === '')
    throw routeError('invalid-method', 'Pass the method of the route: on("FETCH", path, handler).', place)
  const meant = Object.values<string>(METHODS).find(name => name.toLowerCase() === method.toLowerCase())
  if (meant !== undefined && meant !== method) throw routeError('invalid-method', `Write the method "${method}" as "${meant}"; case counts.`, place)
  return method
}

/** A group ends with a name or a parameter. @throws IopaError 500. */
export const checkPrefix = (prefix: string): string => {
  const { segments } = parsePattern(prefix)
  const last = segments.at(-1)
  if (last?.kind === 'tail' || (last?.kind === 'static' && last.value === '')) {
    throw new IopaError(
      500,
      'invalid-prefix',
      `The prefix ${JSON.stringify(prefix)} of a group is not valid: let it end with a name or a parameter, without a slash behind it.`
    )
  }
  return prefix
}
