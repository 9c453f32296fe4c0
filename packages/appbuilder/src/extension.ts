/**
 * What the author of a router or of another extension needs beside what an app needs: the types of `use`, patterns, routes, and the
 * checking of arguments.
 *
 * @example
 * export const version = (): Extension<{ version(): string }> => ({ name: 'version', extend: () => ({ version: () => '1.0' }) })
 */

export { valueType } from '@iopa/context/host'
export type {
  MethodContract,
  PathParams,
  Pattern,
  PatternParams,
  PatternSegment,
  PatternValues,
  ResourceContract,
  RouteAttributes,
  RouteInfo,
  Schema,
  SchemaIssue,
  SchemaResult,
  SecurityScheme
} from '@iopa/transport'
export { checkOptions, expandPattern, isUnrouted, markFactory, matchPattern, parsePattern, pathsOfRoute } from '@iopa/transport'
export { argumentError, callSite, checkSurplus, contentTag, formatHttpDate, kindOf, parseHttpDate } from '@iopa/transport/host'
export type {
  AppHandle,
  Check,
  ContextKey,
  ContextOf,
  Extension,
  Mount,
  PlainMiddlewareObject,
  ProvidedBy,
  Provides,
  RequiredBy,
  Use
} from './app/app-types.ts'
export type { RegisteredRoute, RouteRegistry } from './app/route-registry.ts'
export type { Pipeline } from './pipeline/compose.ts'
export type { Declarations, DeclaredMiddleware, DefinedMiddleware } from './pipeline/middleware.ts'
export { isNoted, noteMethods } from './pipeline/noted-methods.ts'
export { sequence } from './pipeline/sequence.ts'
export type { PreconditionOptions } from './preconditions/change-route.ts'
export { withPreconditions } from './preconditions/change-route.ts'
