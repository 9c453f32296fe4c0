import type { Counts } from '@iopa/appbuilder'
import { ATTRIBUTE } from './semantic-conventions.ts'

/** What a metric is, for every backend. */
export interface MetricDefinition {
  readonly name: string
  readonly kind: 'histogram' | 'counter' | 'gauge'
  readonly unit: string
  readonly description: string
  /** Names of its attributes. */
  readonly attributes: readonly string[]
}

const { HttpMethod, HttpRoute, HttpStatus, UrlScheme, ErrorType, MessagingSystem, MessagingOperation, MessagingTemplate } = ATTRIBUTE
const HTTP = [HttpMethod, UrlScheme, HttpRoute, HttpStatus, ErrorType]
const TRANSPORT = [ATTRIBUTE.Transport]

const metric = (
  name: string,
  kind: MetricDefinition['kind'],
  unit: string,
  attributes: readonly string[],
  description: string
): MetricDefinition => ({
  name,
  kind,
  unit,
  attributes,
  description
})

/** The metrics that requests and connections write. */
export type MetricName =
  | 'ActiveRequests'
  | 'ConnectionDuration'
  | 'HttpDuration'
  | 'MessagingDuration'
  | 'Notifications'
  | 'Refusals'
  | 'RequestBody'
  | 'ResponseBody'
  | 'RpcDuration'

/** Metrics that requests and connections write. */
export const METRIC: Readonly<Record<MetricName, MetricDefinition>> = {
  ActiveRequests: metric('http.server.active_requests', 'gauge', '{request}', [HttpMethod, UrlScheme], 'HTTP requests that are being served.'),
  ConnectionDuration: metric('iopa.connection.duration', 'histogram', 's', TRANSPORT, 'Duration of connections that have ended.'),
  HttpDuration: metric('http.server.request.duration', 'histogram', 's', HTTP, 'Duration of HTTP requests.'),
  MessagingDuration: metric(
    'messaging.process.duration',
    'histogram',
    's',
    [MessagingSystem, MessagingOperation, MessagingTemplate, ATTRIBUTE.Status, ErrorType],
    'Duration of the processing of MQTT messages.'
  ),
  Notifications: metric('iopa.notifications', 'counter', '{run}', [ATTRIBUTE.Route, ATTRIBUTE.Status], 'Runs of GET for observers after changes.'),
  Refusals: metric(
    'iopa.refusals',
    'counter',
    '{refusal}',
    [ATTRIBUTE.Transport, ATTRIBUTE.Status, ErrorType],
    'Connections and messages that were refused before there was a request.'
  ),
  RequestBody: metric('http.server.request.body.size', 'histogram', 'By', HTTP, 'Size of the bodies of HTTP requests.'),
  ResponseBody: metric('http.server.response.body.size', 'histogram', 'By', HTTP, 'Size of the bodies of HTTP answers.'),
  RpcDuration: metric(
    'rpc.server.call.duration',
    'histogram',
    's',
    [ATTRIBUTE.RpcSystem, ATTRIBUTE.RpcMethod, ATTRIBUTE.RpcStatus, ErrorType],
    'Duration of requests of CoAP, TCP, UDP and of the process itself.'
  )
}

/** Metrics that are read from the counters of the transports, by the name of the counter. */
export const COUNTED: Readonly<Record<keyof Counts, MetricDefinition>> = {
  connections: metric('iopa.connections', 'gauge', '{connection}', TRANSPORT, 'Open connections.'),
  inFlight: metric('iopa.requests.active', 'gauge', '{request}', TRANSPORT, 'Requests that are being served.'),
  observers: metric('iopa.observers', 'gauge', '{observer}', TRANSPORT, 'Observers.'),
  sessions: metric('iopa.sessions', 'gauge', '{session}', TRANSPORT, 'MQTT sessions, also of clients that are away.'),
  dropped: metric('iopa.messages.dropped', 'counter', '{message}', TRANSPORT, 'Messages that a subscriber did not get.'),
  refused: metric('iopa.connections.refused', 'counter', '{connection}', TRANSPORT, 'Connections that were refused over a limit.'),
  shed: metric('iopa.requests.shed', 'counter', '{request}', TRANSPORT, 'Requests that were answered 503 over the limit of requests in flight.')
}

/** Upper bounds of the buckets of durations, in seconds, as the conventions advise. */
export const SECONDS: readonly number[] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** Upper bounds of the buckets of sizes, in bytes. */
export const BYTES: readonly number[] = [0, 128, 1024, 8192, 65_536, 524_288, 1_048_576, 10_485_760]
