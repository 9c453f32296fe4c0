import { METHODS } from '@iopa/appbuilder'
import { callSite } from './call-site.ts'
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
    group(inner, build) {
      const whole = prefix + checkPrefix(inner)
      build({ ...methodsFor(table, whole), prefix: whole } as never)
      return this
    }
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
  const [attributes, handler] = typeof rest[0] === 'function' ? [{}, rest[0]] : rest
  if (typeof handler !== 'function' || typeof attributes !== 'object' || attributes === null) {
    throw routeError(
      'invalid-handler',
      `The route ${method ?? 'all methods'} ${path} needs a handler: a function (context, next), last, after the attributes where there are any.`
    )
  }
  // Of a group the root is its prefix, as the root of a mounted app is its mount path.
  const pattern = prefix !== '' && path === '/' ? prefix : prefix + path
  if (prefix !== '' && path[0] !== '/')
    throw routeError('invalid-pattern', `The route pattern ${JSON.stringify(path)} is not valid: begin it with "/".`)
  table.add(method, pattern, { handler: handler as Target['handler'], attributes }, place)
}

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
