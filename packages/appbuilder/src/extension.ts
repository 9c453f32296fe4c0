/**
 * What the author of a router or of another extension needs beside what an app needs: the types of `use`, the calling of routes, and the
 * checking of arguments.
 *
 * @example
 * export const version = (): Extension<{ version(): string }> => ({ name: 'version', extend: () => ({ version: () => '1.0' }) })
 */

export type { RouteAttributes, RouteInfo, RouteSegment } from '@iopa/transport'
export { checkOptions, isUnrouted, markFactory } from '@iopa/transport'
export { argumentError, callSite, checkSurplus, contentTag, formatHttpDate, kindOf, parseHttpDate } from '@iopa/transport/host'
export type {
  AppHandle,
  Check,
  ContextOf,
  Extension,
  Mount,
  PlainMiddlewareObject,
  ProvidedBy,
  Provides,
  RequiredBy,
  Use
} from './app/app-types.ts'
export type { Pipeline } from './pipeline/compose.ts'
export type { Declarations, DeclaredMiddleware, DefinedMiddleware } from './pipeline/middleware.ts'
export { isNoted, noteMethods } from './pipeline/noted-methods.ts'
export { sequence } from './pipeline/sequence.ts'
export type { CallableRoute, RouteLookup } from './preconditions/change-route.ts'
export { callRoute } from './preconditions/change-route.ts'
