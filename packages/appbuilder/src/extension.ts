/**
 * What the author of a router or of another extension needs beside what an app needs: the types of `use`, patterns, routes, and the
 * checking of arguments.
 *
 * @example
 * export const version = (): Extension<{ version(): string }> => ({ name: 'version', extend: () => ({ version: () => '1.0' }) })
 */

export type { EarlierState } from '@iopa/context/host'
export { valueType } from '@iopa/context/host'
export type {
  Activity,
  Change,
  Clock,
  CollectionContract,
  CollectionItem,
  CollectionPage,
  CollectionQuery,
  CollectionQueryInput,
  CollectionTypes,
  Counts,
  ErrorContract,
  HistoryItem,
  HistoryPage,
  HistoryQuery,
  HistoryTypes,
  InputFault,
  InputOf,
  JsonSchemaOptions,
  MethodContract,
  MethodTypes,
  OutputOf,
  ParamsOf,
  PathParams,
  Pattern,
  PatternParams,
  PatternSegment,
  PatternValues,
  PresenceState,
  RepresentationOf,
  ResourceContract,
  ResourceTypes,
  RouteAttributes,
  RouteInfo,
  RoutePermits,
  Schema,
  SchemaIssue,
  SchemaResult,
  SecurityScheme,
  StateOf,
  Subscription,
  TwinContract,
  TwinState,
  TwinTypes,
  TypesOf
} from '@iopa/transport'
export {
  addressGroup,
  checkOptions,
  expandPattern,
  faultsOf,
  historyContract,
  invalidInput,
  isUnrouted,
  markFactory,
  matchPattern,
  type OptionCheck,
  optionError,
  paramNames,
  parsePattern,
  pathsOfRoute,
  userKeyOf,
  validate
} from '@iopa/transport'
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
export { clockOf, protocolOf, sentBytes } from './app/request-facts.ts'
export type { RegisteredRoute, RouteRegistry, RouteValidator } from './app/route-registry.ts'
export { deliveriesOf, whenObserved } from './observation/observed-request.ts'
export { replayFirst } from './observation/replay.ts'
export type { Pipeline } from './pipeline/compose.ts'
export type { Declarations, DeclaredMiddleware, DefinedMiddleware } from './pipeline/middleware.ts'
export { isNoted, noteMethods } from './pipeline/noted-methods.ts'
export { sequence } from './pipeline/sequence.ts'
export type { CheckedHandler, PreconditionOptions } from './preconditions/change-route.ts'
export { withPreconditions } from './preconditions/change-route.ts'
export type { Current, Verdict } from './preconditions/conditions.ts'
export { evaluate } from './preconditions/conditions.ts'
export type { RunNesting } from './preconditions/run-nesting.ts'
export { runNesting } from './preconditions/run-nesting.ts'
export type {
  Patch,
  ResourceHandler,
  ResourceHandlers,
  ResourceRequest,
  ResourceServer,
  ResourceValue,
  ServeHost,
  ServeOptions
} from './resources/serving.ts'
export type { Storage, StorageChange, StorageRange } from './resources/storage.ts'
