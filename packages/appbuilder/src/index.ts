/**
 * The AppBuilder of IOPA: one pipeline for every protocol, with observation and clients.
 *
 * @example
 * const app = new App().use(router()).use(http({ port: 8080 }))
 * app.get('/hello', () => 'Hello World')
 * await app.listen()
 */

export type {
  Bag,
  Body,
  Capabilities,
  Capability,
  Codec,
  ErrorOrigin,
  HeaderFields,
  HeadersInit,
  IopaErrorOptions,
  KeyDeclaration,
  KeysDeclaration,
  Logger,
  RandomAccessBody,
  User,
  Validity
} from '@iopa/constants'
export {
  CAPABILITIES,
  CONTROL_METHODS,
  CodecTable,
  changesState,
  DEFAULT_PORTS,
  decodeText,
  defineKeys,
  encodeJson,
  IOPA,
  IOPA_VERSION,
  IopaError,
  isControlMethod,
  isIopaError,
  MEDIA_TYPES,
  METHODS,
  mediaTypeEssence,
  originOf,
  parseJson,
  reasonPhrase,
  SERVER,
  STATUS,
  schemeOf,
  withOrigin
} from '@iopa/constants'
export type {
  BaseContext,
  BodyHolder,
  BodyStream,
  Context,
  ContextInit,
  Endpoint,
  EndReason,
  Excerpt,
  HeldBytes,
  InheritedKeys,
  Owned,
  PathLimits,
  Payload,
  Problem,
  Reply,
  RequestSource
} from '@iopa/context'
export {
  Answer,
  abortable,
  applyValue,
  assignHeaders,
  bodyTooLarge,
  byteBody,
  ContextView,
  checkPath,
  collectBytes,
  concatBytes,
  decodePath,
  encodeBody,
  encodePath,
  fullPath,
  HeaderMap,
  hasPreconditionField,
  holdBytes,
  isContext,
  isLoopback,
  joinPath,
  parseUrl,
  readBody,
  reply,
  Scope
} from '@iopa/context'
export { App, App as AppBuilder } from './app/app.ts'
export type { IopaKeys } from './app/app-keys.ts'
export type { ObserveOptions } from './app/app-observation.ts'
export type { AppOptions } from './app/app-options.ts'
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
export { argumentError, checkOptions, checkSurplus, kindOf, markFactory } from './app/arguments.ts'
export { callSite } from './app/call-site.ts'
export type { Explanation } from './app/explain.ts'
export type { Client, RequestOptions } from './client/client.ts'
export { answerTimeout, badAnswer, channelClosed, connectionLost, observationRefused } from './client/failures.ts'
export type { OutgoingRequest } from './client/outgoing.ts'
export { outgoing } from './client/outgoing.ts'
export type { RequestBodyBounds } from './client/request-body.ts'
export { readRequestBody } from './client/request-body.ts'
export type { UsedUrlParts } from './client/target-url.ts'
export { checkTargetUrl } from './client/target-url.ts'
export { upstream } from './client/upstream.ts'
export type { Pipeline } from './pipeline/compose.ts'
export { isUnrouted } from './pipeline/compose.ts'
export type { Declarations, DeclaredMiddleware, DefinedMiddleware, MiddlewareFunction, MiddlewareObject, Next } from './pipeline/middleware.ts'
export { defineMiddleware } from './pipeline/middleware.ts'
export { isNoted, noteMethods } from './pipeline/noted-methods.ts'
export { sequence } from './pipeline/sequence.ts'
export type { CallableRoute, RouteLookup } from './preconditions/change-route.ts'
export { callRoute } from './preconditions/change-route.ts'
export { contentTag, shortTag, tagOfDigest } from './preconditions/entity-tags.ts'
export { formatHttpDate, parseHttpDate } from './preconditions/http-dates.ts'
export type { DgramModule } from './sockets/socket-datagrams.ts'
export { datagramNetwork } from './sockets/socket-datagrams.ts'
export type { NetModule, TlsModule } from './sockets/socket-network.ts'
export { socketNetwork } from './sockets/socket-network.ts'
export type { BagAnswer, BagFault, BagLimits, BagRequest, BagSeq } from './transport/bag-codec.ts'
export { decodeBagAnswer, decodeBagRequest, decodeBagSeq, encodeBagAnswer, encodeBagRequest } from './transport/bag-codec.ts'
export { bodyBudget, HeldBuffer } from './transport/body-budget.ts'
export type { ByteAddress, ByteChannel, ByteNetwork, ByteReceiver, ByteServer } from './transport/byte-channel.ts'
export type { Clock, TimerHandle, TimerOptions } from './transport/clock.ts'
export { systemClock } from './transport/clock.ts'
export type { Connection } from './transport/connections.ts'
export { Connections } from './transport/connections.ts'
export type { Counters, Counts } from './transport/counters.ts'
export { countersOf } from './transport/counters.ts'
export type { DatagramAddress, DatagramChannel, DatagramNetwork, DatagramReceiver } from './transport/datagram-channel.ts'
export type { Limits } from './transport/limits.ts'
export { DEFAULT_LIMITS, mergeLimits } from './transport/limits.ts'
export { nextChunk, silenceLimit } from './transport/next-chunk.ts'
export type { OutboxLimits } from './transport/outbox.ts'
export { Outbox } from './transport/outbox.ts'
export { pathsOfRoute } from './transport/route-paths.ts'
export type { TlsOptions } from './transport/tls.ts'
export { checkTlsOptions } from './transport/tls.ts'
export type {
  Change,
  Channel,
  ConnectOptions,
  Host,
  Listener,
  Observation,
  RouteAttributes,
  RouteInfo,
  RouteSegment,
  Subscription,
  Transport
} from './transport/transport.ts'
export { ConnectionUser } from './users/connection-user.ts'
export type { UserWatches, WatchOptions } from './users/user-watches.ts'
export { usersOf } from './users/user-watches.ts'
