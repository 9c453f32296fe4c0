import type { Context } from '@iopa/appbuilder'
import { type Attributes, SpanKind } from '@opentelemetry/api'
import { methodOf, type Protocol } from './protocols.ts'
import { ATTRIBUTE, OTHER } from './semantic-conventions.ts'

/** Methods of control, which are no messages. */
const CONTROL: ReadonlySet<string> = new Set(['CONNECT', 'SUBSCRIBE', 'UNSUBSCRIBE'])

/** An MQTT message is processed; whatever else comes in is served. */
export const serverKind = ({ family }: Protocol, context: Context): SpanKind => {
  if (context['server.IsNotification'] || context['server.IsLocalOrigin']) return SpanKind.INTERNAL
  return family === 'messaging' && !CONTROL.has(context['iopa.Method']) && context['iopa.Observe'] !== true ? SpanKind.CONSUMER : SpanKind.SERVER
}

/** The name of a span: its method, and its route where that is known. Never a path. */
export const nameOf = ({ family }: Protocol, method: string, route: string): string => {
  const known = methodOf(method)
  const name = known === OTHER ? (family === 'http' ? 'HTTP' : 'REQUEST') : known
  return route === '' ? name : `${name} ${route}`
}

/** The name of an MQTT operation. */
const operationOf = (method: string): string => (CONTROL.has(method) ? method.toLowerCase() : 'publish')

/** What is known of a request when it comes in; queries are left out, for they may carry secrets. */
export const serverAttributes = ({ family, name }: Protocol, context: Context): Attributes => {
  const attributes = addressed(family, name, context['iopa.Method'])
  const path = context['iopa.PathBase'] + context['iopa.Path']
  if (family === 'messaging') {
    attributes[ATTRIBUTE.MessagingOperation] = operationOf(context['iopa.Method'])
    if (!CONTROL.has(context['iopa.Method'])) attributes[ATTRIBUTE.MessagingOperationType] = 'process'
    attributes[ATTRIBUTE.MessagingDestination] = path.slice(1)
    attributes[ATTRIBUTE.MessagingClient] = context['server.SessionId']
  } else {
    attributes[ATTRIBUTE.UrlPath] = path
    attributes[ATTRIBUTE.UrlScheme] = context['iopa.Scheme']
  }
  if (context['server.IsNotification']) attributes[ATTRIBUTE.Notification] = true
  else if (context['iopa.Observe'] === true) attributes[ATTRIBUTE.Observe] = true
  if (context['server.IsLocalOrigin'] || context['server.IsNotification']) return attributes
  const protocol = context['iopa.Protocol']
  const slash = protocol.indexOf('/')
  attributes[ATTRIBUTE.ProtocolName] = name
  if (slash > 0) attributes[ATTRIBUTE.ProtocolVersion] = protocol.slice(slash + 1)
  attributes[ATTRIBUTE.ServerAddress] = context['iopa.Host']
  attributes[ATTRIBUTE.ServerPort] = context['iopa.Port']
  attributes[ATTRIBUTE.ClientAddress] = context['server.RemoteAddress']
  attributes[ATTRIBUTE.ClientPort] = context['server.RemotePort']
  const agent = family === 'http' ? context['iopa.Headers'].get('user-agent') : undefined
  if (agent !== undefined) attributes[ATTRIBUTE.UserAgent] = agent
  return attributes
}

/** What a client asks for. */
export const clientAttributes = ({ family, name }: Protocol, context: Context): Attributes => {
  const attributes = addressed(family, name, context['iopa.Method'])
  const path = context['iopa.Path']
  if (family === 'messaging') {
    attributes[ATTRIBUTE.MessagingOperation] = context['iopa.Observe'] === true ? 'subscribe' : 'publish'
    if (context['iopa.Observe'] !== true) attributes[ATTRIBUTE.MessagingOperationType] = 'send'
    attributes[ATTRIBUTE.MessagingDestination] = path.slice(1)
  } else {
    const host = context['iopa.Host'].includes(':') ? `[${context['iopa.Host']}]` : context['iopa.Host']
    attributes[ATTRIBUTE.UrlFull] = `${context['iopa.Scheme']}://${host}:${context['iopa.Port']}${path}`
  }
  attributes[ATTRIBUTE.ServerAddress] = context['iopa.Host']
  attributes[ATTRIBUTE.ServerPort] = context['iopa.Port']
  return attributes
}

const addressed = (family: Protocol['family'], name: string, method: string): Attributes => {
  if (family === 'messaging') return { [ATTRIBUTE.MessagingSystem]: name }
  const known = methodOf(method)
  if (family === 'rpc') return { [ATTRIBUTE.RpcSystem]: name, [ATTRIBUTE.RpcMethod]: known }
  return known === OTHER ? { [ATTRIBUTE.HttpMethod]: known, [ATTRIBUTE.HttpMethodOriginal]: method.slice(0, 64) } : { [ATTRIBUTE.HttpMethod]: known }
}

/** What is known when the answer is: its status, and the route that gave it. */
export const answerAttributes = ({ family }: Protocol, method: string, status: number, route: string): Attributes => {
  if (family === 'http') return route === '' ? { [ATTRIBUTE.HttpStatus]: status } : { [ATTRIBUTE.HttpStatus]: status, [ATTRIBUTE.HttpRoute]: route }
  if (family === 'messaging')
    return route === '' ? { [ATTRIBUTE.Status]: status } : { [ATTRIBUTE.Status]: status, [ATTRIBUTE.MessagingTemplate]: route.slice(1) }
  const attributes: Attributes = { [ATTRIBUTE.RpcStatus]: String(status) }
  if (route !== '') attributes[ATTRIBUTE.RpcMethod] = `${methodOf(method)} ${route}`
  return attributes
}
