/** Keys of a request and, on `context.response`, of its answer. */
export const IOPA = {
  Version: 'iopa.Version',
  Id: 'iopa.Id',
  Method: 'iopa.Method',
  Path: 'iopa.Path',
  PathSegments: 'iopa.PathSegments',
  PathBase: 'iopa.PathBase',
  QueryString: 'iopa.QueryString',
  Params: 'iopa.Params',
  Route: 'iopa.Route',
  Headers: 'iopa.Headers',
  ContentType: 'iopa.ContentType',
  Body: 'iopa.Body',
  Input: 'iopa.Input',
  Scheme: 'iopa.Scheme',
  Protocol: 'iopa.Protocol',
  Host: 'iopa.Host',
  Port: 'iopa.Port',
  Observe: 'iopa.Observe',
  Seq: 'iopa.Seq',
  CallCancelled: 'iopa.CallCancelled',
  Events: 'iopa.Events',
  StatusCode: 'iopa.StatusCode',
  ReasonPhrase: 'iopa.ReasonPhrase'
} as const

/** Keys that the host and the transport set. */
export const SERVER = {
  Capabilities: 'server.Capabilities',
  RawPath: 'server.RawPath',
  RemoteAddress: 'server.RemoteAddress',
  RemotePort: 'server.RemotePort',
  LocalAddress: 'server.LocalAddress',
  LocalPort: 'server.LocalPort',
  TLS: 'server.TLS',
  SessionId: 'server.SessionId',
  Connection: 'server.Connection',
  ParentContext: 'server.ParentContext',
  User: 'server.User',
  Logger: 'server.Logger',
  IsLocalOrigin: 'server.IsLocalOrigin',
  IsNotification: 'server.IsNotification',
  IsReplica: 'server.IsReplica',
  IsPrecondition: 'server.IsPrecondition',
  OnSendingHeaders: 'server.OnSendingHeaders',
  Inform: 'server.Inform',
  Trailers: 'server.Trailers',
  RawTransport: 'server.RawTransport',
  Timestamp: 'server.Timestamp'
} as const

/** Keys of a secured connection. */
export const SSL = {
  ClientCertificate: 'ssl.ClientCertificate'
} as const

/** The version of the specification that this line implements: the value of `iopa.Version`. */
export const IOPA_VERSION = '5.0'
