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
  HeaderFields,
  HeadersInit,
  IopaErrorOptions,
  IopaKeys,
  KeyDeclaration,
  KeysDeclaration,
  Logger,
  RandomAccessBody,
  User
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
  parseJson,
  reasonPhrase,
  SERVER,
  STATUS,
  schemeOf
} from '@iopa/constants'
export type {
  BaseContext,
  BodyStream,
  Context,
  ContextInit,
  Endpoint,
  EndReason,
  Owned,
  PathLimits,
  Payload,
  Problem,
  Reply,
  RequestSource
} from '@iopa/context'
export {
  Answer,
  applyValue,
  assignHeaders,
  bodyTooLarge,
  checkPath,
  collectBytes,
  concatBytes,
  decodePath,
  encodeBody,
  encodePath,
  HeaderMap,
  isContext,
  isLoopback,
  joinPath,
  parseUrl,
  readBody,
  reply,
  Scope
} from '@iopa/context'
export type { AppOptions } from './app.ts'
export { App, App as AppBuilder } from './app.ts'
export type { AppHandle, Check, ContextOf, Extension, PlainMiddlewareObject, ProvidedBy, Provides, Use } from './app-types.ts'
export type { BagAnswer, BagFault, BagLimits, BagRequest, BagSeq } from './bag-codec.ts'
export { decodeBagAnswer, decodeBagRequest, encodeBagAnswer, encodeBagRequest } from './bag-codec.ts'
export type { ByteAddress, ByteChannel, ByteNetwork, ByteReceiver, ByteServer } from './byte-channel.ts'
export type { Client, RequestOptions } from './client.ts'
export type { Clock, TimerHandle } from './clock.ts'
export { systemClock } from './clock.ts'
export type { Pipeline } from './compose.ts'
export { isUnrouted } from './compose.ts'
export type { Connection } from './connections.ts'
export { Connections } from './connections.ts'
export type { DatagramAddress, DatagramChannel, DatagramNetwork, DatagramReceiver } from './datagram-channel.ts'
export type { Explanation } from './explain.ts'
export type { Limits } from './limits.ts'
export { DEFAULT_LIMITS, mergeLimits } from './limits.ts'
export type { Declarations, DeclaredMiddleware, DefinedMiddleware, MiddlewareFunction, MiddlewareObject, Next } from './middleware.ts'
export { defineMiddleware } from './middleware.ts'
export type { OutboxLimits } from './outbox.ts'
export { Outbox } from './outbox.ts'
export type { OutgoingRequest } from './outgoing.ts'
export { outgoing } from './outgoing.ts'
export { pathsOfRoute } from './route-paths.ts'
export type { DgramModule } from './socket-datagrams.ts'
export { datagramNetwork } from './socket-datagrams.ts'
export type { NetModule, TlsModule } from './socket-network.ts'
export { socketNetwork } from './socket-network.ts'
export type { TlsOptions } from './tls.ts'
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
} from './transport.ts'
