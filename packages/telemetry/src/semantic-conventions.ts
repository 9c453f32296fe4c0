// The names of OpenTelemetry's semantic conventions 1.45 that this package writes, and its own, which begin with `iopa.`. CoAP and the bag framing of
// TCP and UDP have no conventions: they are written as remote procedure calls.

/** Attributes of spans and metrics. */
export const ATTRIBUTE = {
  ClientAddress: 'client.address',
  ClientPort: 'client.port',
  ErrorType: 'error.type',
  HttpMethod: 'http.request.method',
  HttpMethodOriginal: 'http.request.method_original',
  HttpRoute: 'http.route',
  HttpStatus: 'http.response.status_code',
  MessagingClient: 'messaging.client.id',
  MessagingDestination: 'messaging.destination.name',
  MessagingOperation: 'messaging.operation.name',
  MessagingOperationType: 'messaging.operation.type',
  MessagingSystem: 'messaging.system',
  MessagingTemplate: 'messaging.destination.template',
  ProtocolName: 'network.protocol.name',
  ProtocolVersion: 'network.protocol.version',
  RpcMethod: 'rpc.method',
  RpcStatus: 'rpc.response.status_code',
  RpcSystem: 'rpc.system.name',
  ServerAddress: 'server.address',
  ServerPort: 'server.port',
  UrlFull: 'url.full',
  UrlPath: 'url.path',
  UrlScheme: 'url.scheme',
  UserAgent: 'user_agent.original',
  /** `client-closed`, `timeout`: why a request ended before its answer was written. */
  EndReason: 'iopa.end_reason',
  Notification: 'iopa.notification',
  Observe: 'iopa.observe',
  Route: 'iopa.route',
  Status: 'iopa.response.status_code',
  Transport: 'iopa.transport'
} as const

/** Stands for a method or route that is not among the known ones. */
export const OTHER = '_OTHER'

/** The name of the instrumentation scope. */
export const SCOPE_NAME = '@iopa/telemetry'
