import type { Context, Next } from '@iopa/appbuilder'
import type { Activity, AppHandle, Clock } from '@iopa/appbuilder/extension'
import type { Attributes } from '@opentelemetry/api'
import type { MetricName } from './metric-definitions.ts'
import { firstFailure } from './misuse.ts'
import { methodOf, type Protocol, Protocols } from './protocols.ts'
import { ATTRIBUTE, OTHER } from './semantic-conventions.ts'

/** Takes what is measured. */
export interface Sink {
  /** Adds to a counter or to a gauge that counts. */
  add(metric: MetricName, amount: number, attributes: Attributes): void
  /** Records a value of a histogram. */
  record(metric: MetricName, value: number, attributes: Attributes): void
}

/** A sink whose failures are no matter of the request. */
class SafeSink implements Sink {
  readonly #sink: Sink
  readonly #failed: (error: unknown) => void

  constructor(sink: Sink, failed: (error: unknown) => void) {
    this.#sink = sink
    this.#failed = failed
  }

  add(metric: MetricName, amount: number, attributes: Attributes): void {
    try {
      this.#sink.add(metric, amount, attributes)
    } catch (error) {
      this.#failed(error)
    }
  }

  record(metric: MetricName, value: number, attributes: Attributes): void {
    try {
      this.#sink.record(metric, value, attributes)
    } catch (error) {
      this.#failed(error)
    }
  }
}

/** Sets of attributes that are kept; beyond them routes share one name, so that routes that come and go cannot fill the memory. */
const MOST_SETS = 2000

type Payload = Uint8Array | string | AsyncIterable<Uint8Array> | null
/** The answer, with what the core knows of it. */
type Answered = Context['response'] & { readonly route: string; readonly payload: Payload }

/** Measures the requests and connections of an app, for one sink. */
export class Measurements {
  readonly #sink: Sink
  readonly #clock: Clock
  readonly #protocols: Protocols
  readonly #sets = new Map<string, Attributes>()

  constructor(name: string, sink: Sink, handle: AppHandle) {
    this.#sink = new SafeSink(
      sink,
      firstFailure(name, () => handle)
    )
    this.#clock = handle.clock
    this.#protocols = new Protocols(() => handle.capabilities)
    handle.activity(activity => this.#heard(activity))
  }

  /** Runs a request, which is recorded when its answer has been written; an observation with its first answer. */
  serve(context: Context, next: Next): unknown {
    const method = context['iopa.Method']
    if (context['server.IsPrecondition'] || method === 'DISCONNECT') return next()
    if (context['server.IsNotification']) {
      context.defer(() => this.#notified(context.response as Answered))
      return next()
    }
    const scheme = context['iopa.Scheme']
    const request = new Measured(this, this.#protocols.of(scheme), methodOf(method), scheme, this.#clock.elapsed(), context.response as Answered)
    if (request.protocol.family === 'http') {
      this.#sink.add('ActiveRequests', 1, request.active)
      if (method !== 'GET' && method !== 'HEAD') request.bodySize = Number(context['iopa.Headers'].get('content-length') ?? Number.NaN)
    }
    const ended = (): void => request.end()
    if (context['iopa.Observe'] === true || method === 'CONNECT' || method === 'SUBSCRIBE') context.onSendingHeaders(ended)
    context.defer(ended)
    return next()
  }

  ended({ protocol, method, scheme, begun, active, bodySize, answer }: Measured): void {
    const sink = this.#sink
    const status = statusOf(answer)
    const seconds = (this.#clock.elapsed() - begun) / 1000
    if (protocol.family === 'http') sink.add('ActiveRequests', -1, active)
    // Given up before there was an answer.
    if (status === 0) return
    const attributes = this.#attributesOf(protocol, method, scheme, status, answer.route)
    if (protocol.family === 'messaging') sink.record('MessagingDuration', seconds, attributes)
    else if (protocol.family === 'rpc') sink.record('RpcDuration', seconds, attributes)
    else {
      sink.record('HttpDuration', seconds, attributes)
      if (bodySize >= 0) sink.record('RequestBody', bodySize, attributes)
      const size = sizeOf(answer.payload)
      if (size >= 0) sink.record('ResponseBody', size, attributes)
    }
  }

  #notified(answer: Answered): void {
    const status = statusOf(answer)
    this.#sink.add(
      'Notifications',
      1,
      this.#set(`notification ${status} ${answer.route}`, answer.route, route => ({ [ATTRIBUTE.Route]: route, [ATTRIBUTE.Status]: status }))
    )
  }

  #heard(activity: Activity): void {
    const transport = { [ATTRIBUTE.Transport]: activity.transport }
    if (activity.kind === 'connection-closed') this.#sink.record('ConnectionDuration', activity.duration / 1000, transport)
    else if (activity.kind === 'refused')
      this.#sink.add('Refusals', 1, { ...transport, [ATTRIBUTE.Status]: activity.status, [ATTRIBUTE.ErrorType]: activity.code })
  }

  #attributesOf({ family, name }: Protocol, method: string, scheme: string, status: number, route: string): Attributes {
    return this.#set(`${scheme} ${method} ${status} ${route}`, route, known => {
      const attributes: Attributes = {}
      if (family === 'http') {
        attributes[ATTRIBUTE.HttpMethod] = method
        attributes[ATTRIBUTE.UrlScheme] = scheme
        attributes[ATTRIBUTE.HttpStatus] = status
        if (known !== '') attributes[ATTRIBUTE.HttpRoute] = known
      } else if (family === 'messaging') {
        attributes[ATTRIBUTE.MessagingSystem] = name
        attributes[ATTRIBUTE.MessagingOperation] = method
        attributes[ATTRIBUTE.Status] = status
        if (known !== '') attributes[ATTRIBUTE.MessagingTemplate] = known
      } else {
        attributes[ATTRIBUTE.RpcSystem] = name
        attributes[ATTRIBUTE.RpcMethod] = known === '' ? method : `${method} ${known}`
        attributes[ATTRIBUTE.RpcStatus] = String(status)
      }
      if (status >= 500) attributes[ATTRIBUTE.ErrorType] = String(status)
      return attributes
    })
  }

  /** The attributes of `key`, made once. */
  #set(key: string, route: string, make: (route: string) => Attributes): Attributes {
    const known = this.#sets.get(key)
    if (known !== undefined) return known
    const full = this.#sets.size >= MOST_SETS
    const made = make(full && route !== '' ? OTHER : route)
    if (!full) this.#sets.set(key, made)
    return made
  }
}

/** A request that is being measured. */
class Measured {
  readonly #owner: Measurements
  readonly protocol: Protocol
  readonly method: string
  readonly scheme: string
  /** Milliseconds of the clock. */
  readonly begun: number
  readonly answer: Answered
  readonly active: Attributes
  /** Bytes of the request's body; NaN where it is not known. */
  bodySize: number = Number.NaN
  #ended = false

  constructor(owner: Measurements, protocol: Protocol, method: string, scheme: string, begun: number, answer: Answered) {
    this.#owner = owner
    this.protocol = protocol
    this.method = method
    this.scheme = scheme
    this.begun = begun
    this.answer = answer
    this.active = protocol.family === 'http' ? { [ATTRIBUTE.HttpMethod]: method, [ATTRIBUTE.UrlScheme]: scheme } : NONE
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#owner.ended(this)
  }
}

const NONE: Attributes = {}

/** The status of an answer. */
const statusOf = (answer: Answered): number => {
  try {
    return answer.status
  } catch {
    // A status that is none: the error boundary makes it 500.
    return 500
  }
}

/** Bytes of a payload in memory; NaN for a stream. */
const sizeOf = (payload: Payload): number => {
  if (payload === null || payload === undefined) return 0
  if (typeof payload === 'string') return utf8Length(payload)
  return payload instanceof Uint8Array ? payload.length : Number.NaN
}

/** Bytes of a text in UTF-8. */
const utf8Length = (text: string): number => {
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    // Each half of a pair stands for two of its four bytes.
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}
