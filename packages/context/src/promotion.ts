import type { Bag, Body, CodecTable } from '@iopa/constants'
import type { Context } from './context.ts'
import { encodeBody } from './encoding.ts'
import type { Endpoint } from './endpoint.ts'
import { PayloadStream } from './payload-stream.ts'

const utf8 = new TextEncoder()
/** Keys of a bag that describe its endpoint. */
const ENDPOINT_KEYS: Readonly<Record<string, keyof Endpoint>> = {
  'iopa.Scheme': 'scheme',
  'iopa.Protocol': 'protocol',
  'server.RemoteAddress': 'remoteAddress',
  'server.RemotePort': 'remotePort',
  'server.LocalAddress': 'localAddress',
  'server.LocalPort': 'localPort',
  'server.TLS': 'tls',
  'server.SessionId': 'sessionId',
  'server.RawTransport': 'rawTransport'
}

/** The endpoint that a bag describes, where it does; else `local`. */
export const endpointOfBag = (bag: Bag, local: Endpoint): Endpoint => {
  let endpoint = local
  for (const key of Object.keys(ENDPOINT_KEYS)) {
    const value = (bag as Record<string, unknown>)[key]
    if (value !== undefined) endpoint = { ...endpoint, [ENDPOINT_KEYS[key] as string]: value }
  }
  return endpoint
}

const HANDLED: ReadonlySet<string> = new Set([
  'iopa.Method',
  'iopa.Path',
  'iopa.QueryString',
  'iopa.Body',
  'iopa.PathSegments',
  'server.RawPath',
  ...Object.keys(ENDPOINT_KEYS)
])

/** Copies the keys of a bag that `create` has not taken already; accessors without a setter are left alone. */
export const copyKnownKeys = (bag: Bag, context: Context): void => {
  const headers = bag['iopa.Headers']
  if (headers !== undefined) (context as { 'iopa.Headers': unknown })['iopa.Headers'] = headers
  for (const key of Object.keys(bag)) {
    if (HANDLED.has(key) || key === 'iopa.Headers' || !key.includes('.')) continue
    const value = (bag as Record<string, unknown>)[key]
    if (value === undefined || READ_ONLY.has(key)) continue
    ;(context as unknown as Record<string, unknown>)[key] = value
  }
}

const READ_ONLY: ReadonlySet<string> = new Set([
  'iopa.Version',
  'iopa.CallCancelled',
  'iopa.Events',
  'server.Connection',
  'server.OnSendingHeaders',
  'server.Inform',
  'server.Trailers',
  'ssl.ClientCertificate',
  'iopa.Id'
])

/** Sets the body of a promoted context: bytes and streams as they are, any other value encoded as an answer would be. */
export const bodyOfBag = (bag: Bag, context: Context, codecs: CodecTable): void => {
  const value = bag['iopa.Body']
  if (value === undefined || value === null) return
  const { payload, type } = encodeBody(value, context['iopa.ContentType'], codecs)
  const target = context as { 'iopa.Body': Body; 'iopa.ContentType': string }
  target['iopa.Body'] = typeof payload === 'string' ? utf8.encode(payload) : payload
  // A stream that no handler, or no client, has begun to read must not stay open.
  if (payload instanceof PayloadStream) context.defer(() => void (payload.begun || payload.return()))
  if (context['iopa.ContentType'] === '') target['iopa.ContentType'] = type
}
