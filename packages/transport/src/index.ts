/**
 * What a transport is made of: the contract between a protocol and an app, networks, clocks, limits, the counting of
 * connections, and the bag codec. The author of a transport needs this package and no other.
 *
 * @example
 * export const echo = (): Transport => ({ name: 'echo', schemes: ['echo'], listen, open })
 */

export type {
  Bag,
  Body,
  Capabilities,
  Codec,
  HeaderFields,
  HeadersInit,
  KeysDeclaration,
  Logger,
  RandomAccessBody,
  Trailers,
  User
} from '@iopa/constants'
export {
  CAPABILITIES,
  CodecTable,
  changesState,
  DEFAULT_PORTS,
  decodeText,
  defineKeys,
  encodeJson,
  IOPA_VERSION,
  IopaError,
  idOfUserKey,
  isControlMethod,
  isIopaError,
  MEDIA_TYPES,
  METHODS,
  parseJson,
  reasonPhrase,
  STATUS,
  sameUser,
  schemeOf,
  userKeyOf
} from '@iopa/constants'
export type {
  Client,
  EndReason,
  Excerpt,
  LinkAnswer,
  Payload,
  Peer,
  PeerClientOptions,
  Problem,
  ReceivedAnswer,
  RequestOptions,
  SealedAnswer
} from '@iopa/context'
export type {
  AnsweredContext,
  BodyHolder,
  BodyStream,
  ContextInit,
  Endpoint,
  HeldBytes,
  InheritedKeys,
  OwnedContext as Context,
  PathLimits,
  ReceivedProblem,
  RequestSource
} from '@iopa/context/host'
export {
  abortable,
  addressGroup,
  answerToError,
  answerUnrun,
  bodyTooLarge,
  byteBody,
  checkPath,
  collectBytes,
  concatBytes,
  decodePath,
  encodeBody,
  encodePath,
  HeaderMap,
  hasPreconditionField,
  holdBytes,
  isHttp,
  isLoopback,
  joinPath,
  parseUrl,
  readBody,
  receivedAnswer,
  Scope,
  withPayload
} from '@iopa/context/host'
export type { OptionCheck } from './arguments/arguments.ts'
export { checkOptions, markFactory, optionError, requiredPort } from './arguments/arguments.ts'
export type { BagAnswer, BagFault, BagLimits, BagRequest, BagSeq } from './bags/bag.ts'
export { decodeBagAnswer, decodeBagRequest, decodeBagSeq } from './bags/bag-decoder.ts'
export { encodeBagAnswer, encodeBagRequest } from './bags/bag-encoder.ts'
export type { ByteAddress, ByteChannel, ByteNetwork, ByteReceiver, ByteServer } from './channels/byte-channel.ts'
export { proxiedBy } from './channels/byte-channel.ts'
export type { DatagramAddress, DatagramChannel, DatagramNetwork, DatagramReceiver } from './channels/datagram-channel.ts'
export { nextChunk, silenceLimit } from './channels/next-chunk.ts'
export type { OutboxLimits } from './channels/outbox.ts'
export { Outbox } from './channels/outbox.ts'
export type {
  DatagramEndpoint,
  SecuredChannel,
  SecuredDatagrams,
  SecuredEnd,
  SecuredIdentity,
  SecuredPeer,
  SecuredReceiver,
  SecuredTarget,
  SecurityEnvironment
} from './channels/secured-datagrams.ts'
export { sameIdentity } from './channels/secured-datagrams.ts'
export type { Association, Handshake } from './client/association.ts'
export { openAssociation } from './client/association.ts'
export type { BackoffOptions } from './client/backoff.ts'
export { Backoff } from './client/backoff.ts'
export { connect } from './client/connect.ts'
export {
  answerTimeout,
  badAnswer,
  channelClosed,
  connectionLost,
  linkLost,
  lossOf,
  observationRefused,
  overloaded,
  peerGone
} from './client/failures.ts'
export type { OutgoingRequest } from './client/outgoing.ts'
export { outgoing } from './client/outgoing.ts'
export { requestBytes } from './client/request-body.ts'
export type { UsedUrlParts } from './client/target-url.ts'
export { checkTarget } from './client/target-url.ts'
export type { Activity, ConnectionClosed, ConnectionOpened, Refusal } from './connections/activity.ts'
export { bodyBudget, HeldBuffer } from './connections/body-budget.ts'
export type { Connection } from './connections/connections.ts'
export { Connections } from './connections/connections.ts'
export type { Counters, Counts } from './connections/counters.ts'
export { countersOf } from './connections/counters.ts'
export type { SecuredSession, SecuredSessionsInit, SessionHandlers } from './connections/secured-sessions.ts'
export { SecuredSessions } from './connections/secured-sessions.ts'
export type { Clock, TimerHandle, TimerOptions } from './contract/clock.ts'
export { loaded, systemClock } from './contract/clock.ts'
export type {
  CollectionContract,
  CollectionItem,
  CollectionPage,
  CollectionQuery,
  CollectionQueryInput,
  CollectionTypes
} from './contract/collections.ts'
export type { HistoryItem, HistoryPage, HistoryQuery, HistoryQueryInput, HistoryTypes } from './contract/history.ts'
export { historyContract } from './contract/history.ts'
export type { Change, Host, HostObserveOptions, Observation, PeerTarget, Subscription } from './contract/host.ts'
export type { Limits } from './contract/limits.ts'
export { DEFAULT_LIMITS, mergeLimits } from './contract/limits.ts'
export type { Credentials, Link, LinkEnd, LinkLoss, LinkRequestOptions, OpenOptions, Serving, Sink, SubscribeOptions } from './contract/link.ts'
export type {
  ActiveProtection,
  MessageOption,
  MessageProtection,
  OpenedRequest,
  PlainMessage,
  ProtectedRequest,
  ProtectedSource,
  ProtectionEnvironment,
  RefusedRequest,
  RequestProtection
} from './contract/message-protection.ts'
export type {
  ErrorContract,
  MethodContract,
  MethodTypes,
  ParamsOf,
  RepresentationOf,
  ResourceContract,
  ResourceTypes,
  SecurityScheme,
  StateOf,
  TypesOf
} from './contract/resources.ts'
export type { CoreRouteAttributes, RouteAttributes, RouteInfo, RoutePermits } from './contract/routes.ts'
export { answersMethod, isUnrouted, pathsOfRoute } from './contract/routes.ts'
export type { InputOf, JsonSchemaOptions, OutputOf, Schema, SchemaIssue, SchemaResult } from './contract/schemas.ts'
export type { TlsOptions } from './contract/tls.ts'
export { checkTlsOptions } from './contract/tls.ts'
export type { ConnectOptions, Listener, ServedApp, Transport, TransportApp } from './contract/transport.ts'
export { listenerUrl } from './contract/transport.ts'
export type { PartTypes, PresenceState, ReadTypes, TwinContract, TwinState, TwinTypes, WholeTypes } from './contract/twins.ts'
export type { Upgradable, Upgrades } from './contract/upgrades.ts'
export { upgradesOf } from './contract/upgrades.ts'
export { compileTransitions, REFUSED } from './machine/transitions.ts'
export type { Constraint } from './patterns/constraint.ts'
export type { PathParams } from './patterns/path-params.ts'
export type { Pattern } from './patterns/pattern.ts'
export { parsePattern } from './patterns/pattern.ts'
export type { PatternParams, PatternValues } from './patterns/pattern-paths.ts'
export { expandPattern, matchPattern } from './patterns/pattern-paths.ts'
export type { MixedParam, MixedSegment, PatternSegment } from './patterns/pattern-segment.ts'
export {
  acceptsSegment,
  compareSegments,
  isOptionalSegment,
  MAX_SEGMENT_LENGTH,
  MAX_SEGMENTS,
  paramNames,
  placeParams
} from './patterns/pattern-segment.ts'
export type { InputFault } from './schemas/validation.ts'
export { faultsOf, invalidInput, validate } from './schemas/validation.ts'
export { ConnectionUser } from './users/connection-user.ts'
export type { UserWatches, WatchOptions } from './users/user-watches.ts'
export { usersOf } from './users/user-watches.ts'
export { shortTag, tagOfDigest } from './validators/entity-tags.ts'
