import type { MiddlewareFunction } from '@iopa/appbuilder'
import { callSite, kindOf, sequence } from '@iopa/appbuilder/extension'
import { METHODS } from '@iopa/transport'
import { routeError } from './errors.ts'
import { parsePattern } from './pattern.ts'
import type { RouteTable } from './route-table.ts'
import type { AddMethodRoute, AddRoute, Routes } from './routes.ts'
import type { Target } from './target.ts'

/** The methods of an app, or of a group with its prefix. */
export const methodsFor = (table: RouteTable<Target>, prefix: string): Routes => {
  const adder = (method: string | undefined): AddRoute => {
    const add = function (this: unknown, path: string, ...rest: unknown[]): unknown {
      register(table, method, prefix, path, rest, callSite(add))
      return this
    }
    return add as AddRoute
  }
  const on = function (this: unknown, method: string, path: string, ...rest: unknown[]): unknown {
    register(table, checkMethod(method), prefix, path, rest, callSite(on))
    return this
  }
  const group = function (this: unknown, inner: string, build: unknown, ...surplus: unknown[]): unknown {
    const place = callSite(group)
    if (typeof build !== 'function' || surplus.length > 0)
      throw routeError('invalid-group', 'group() takes a prefix and one function, which adds the routes of the group.', place)
    const whole = prefix + checkPrefix(inner)
    const built: unknown = build({ ...methodsFor(table, whole), prefix: whole })
    if (built instanceof Promise)
      throw routeError('invalid-group', 'The function of group() gave a promise: add the routes before it returns.', place)
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
    group: group as Routes['group']
  }
}

const register = (
  table: RouteTable<Target>,
  method: string | undefined,
  prefix: string,
  path: string,
  rest: readonly unknown[],
  place: () => string
): void => {
  const route = `${method ?? 'all methods'} ${String(path)}`
  if (typeof path !== 'string' || (prefix !== '' && path[0] !== '/'))
    throw routeError('invalid-pattern', `The route pattern ${JSON.stringify(path)} is not valid: begin it with "/".`, place)
  const [first, ...others] = rest
  const attributes = isAttributes(first) ? first : {}
  const chain = attributes === first ? others : rest
  const layers = chainOf(chain, route, place)
  const [handler] = layers
  if (handler === undefined)
    throw routeError(
      'invalid-handler',
      `The route ${route} needs a handler: a function (context, next), last, after the attributes and the middleware where there are any.`,
      place
    )
  // Of a group the root is its prefix, as the root of a mounted app is its mount path.
  const pattern = prefix !== '' && path === '/' ? prefix : prefix + path
  table.add(
    method,
    pattern,
    {
      handler: layers.length === 1 ? handler : sequence(layers),
      attributes,
      judges: attributes.preconditions === 'own',
      guarded: chain.flat(Number.POSITIVE_INFINITY).some(isGuard)
    },
    place
  )
}

/** Middleware that provides the user: discovery hides what stands behind it. */
const isGuard = (value: unknown): boolean => {
  const provides = (value as { provides?: unknown } | null)?.provides
  return Array.isArray(provides) && provides.includes('server.User')
}

/** A plain object that is no middleware. */
const isAttributes = (value: unknown): value is Target['attributes'] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !('invoke' in value) && !('dispatch' in value) && !('then' in value)

/** Functions, objects with `invoke` and arrays of them, in the order given; the last one is the handler. */
const chainOf = (values: readonly unknown[], route: string, place: () => string): MiddlewareFunction[] =>
  values.flatMap((value, at) => {
    if (Array.isArray(value) && at < values.length - 1) return chainOf(value.flat(Number.POSITIVE_INFINITY), route, place)
    if (typeof value === 'function') return [value as MiddlewareFunction]
    const object = value as { invoke?: MiddlewareFunction } | null
    if (typeof object === 'object' && typeof object?.invoke === 'function') return [(context, next) => object.invoke?.(context, next)]
    throw routeError(
      'invalid-handler',
      `The route ${route} needs a handler, last, and before it middleware: functions (context, next) or objects with invoke. ${kindOf(value)} is none of them.`,
      place
    )
  })

/** Methods are case-sensitive (RFC 9110 section 9.1), so `get` would be a method that nobody sends. */
const checkMethod = (method: string): string => {
  const meant = Object.values<string>(METHODS).find(name => name.toLowerCase() === String(method).toLowerCase())
  if (typeof method !== 'string' || method === '') throw routeError('invalid-method', 'Name the method of a route, as in on("FETCH", path, handler).')
  if (meant !== undefined && meant !== method) throw routeError('invalid-method', `Write the method "${method}" as "${meant}"; case counts.`)
  return method
}

const checkPrefix = (prefix: string): string => {
  const { segments } = parsePattern(prefix)
  const last = segments.at(-1)
  if (last?.kind === 'tail' || (last?.kind === 'static' && last.value === '')) {
    throw routeError(
      'invalid-prefix',
      `The prefix ${JSON.stringify(prefix)} of a group is not valid: let it end with a name or a parameter, without a slash behind it.`
    )
  }
  return prefix
}
