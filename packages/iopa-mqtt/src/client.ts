import { randomBytes } from 'node:crypto'
import {
  type Clock,
  channelClosed,
  checkTarget,
  IopaError,
  type Limits,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  linkLost,
  lossOf,
  type OpenOptions,
  type OutgoingRequest,
  requestBytes,
  type Sink,
  type SubscribeOptions
} from '@iopa/transport'
import { type Observer, Observers } from './client/observers.ts'
import { answerOfReceipt, PendingRequests } from './client/pending-requests.ts'
import { isRetained, isWebSocket, messageOf, topicFor } from './client/request-message.ts'
import type { RemoteOptions } from './options.ts'
import { RemoteBroker } from './remote/broker.ts'
import { type Connection, ConnectionLost } from './remote/connection.ts'
import type { InboundMessage, MessageProperties, Receipt } from './remote/message.ts'
import { abortable } from './remote/waiting.ts'
import { isTopicFilter, isTopicName } from './topics/topic.ts'

/** What a client says beside the options of every connect. */
export interface MqttClientOptions extends RemoteOptions {
  /** QoS of requests and observations, 0 or 1; 1 unless given. With 0 the client does not learn that nothing subscribes to a topic. */
  readonly qos?: 0 | 1
  /**
   * What answers a request. `response`, the default, is whoever handles it, over a Response Topic (MQTT 5 section 4.10); when nobody does, the
   * request ends with 504. `acknowledgement` is the broker alone: the request resolves with 204 as soon as it has the message, or with the
   * status that an IOPA broker puts into its acknowledgement. GET always waits for a response.
   */
  readonly answer?: 'response' | 'acknowledgement'
  /** Goes before every observed topic: `state` where the resources are those of workers on a broker (`statePrefix` there); empty unless given. */
  readonly statePrefix?: string
}

/** A link to a broker: `mqtt:`, `mqtts:`, `ws:` or `wss:`. Rejects when it does not accept the connection. */
export const openMqttLink = async (url: URL, opening: OpenOptions, options: MqttClientOptions = {}): Promise<Link> => {
  checkTarget(url, opening, { credentials: true, query: isWebSocket(url) })
  const link = new MqttLink(url, opening, options)
  await link.start(opening.signal)
  return link
}

/** Messages under way to us at once, and what a packet may need beside its payload. */
const RECEIVE_MAXIMUM = 1000
const PACKET_ROOM = 65_536
/** Milliseconds that a retained message, if there is one, takes after SUBACK. */
const RETAINED_WAIT = 500
const RESPONSES = 1
const PACKET_TOO_LARGE = 0x95
/** The longest time that a timer of the system can have. */
const LONGEST_TIMEOUT = 2 ** 31 - 1
/** Where the broker names no place for responses. The empty first level keeps it apart from paths: no route of an app can take it. */
const RESPONSES_BASE = '/iopa/answers'
const NO_MATCHING_SUBSCRIBERS = 0x10

/** One connection to a broker, with the subscriptions of its observers and its responses. */
class MqttLink implements Link {
  /** The broker's receive maximum is heeded below. */
  readonly concurrency: number = Number.POSITIVE_INFINITY
  readonly closed: Promise<LinkEnd>
  /** Where the URL is that of a WebSocket, its path is no part of the requests'. */
  readonly prefix?: string
  readonly #broker: RemoteBroker
  readonly #pending = new PendingRequests()
  readonly #observers: Observers
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #qos: 0 | 1
  readonly #answer: 'response' | 'acknowledgement'
  readonly #statePrefix: string
  /** Where responses come to; empty before the first request that asks for one. */
  #responseTopic = ''
  #responding: Promise<void> | null = null
  #end: (end: LinkEnd) => void = () => {}

  constructor(url: URL, { limits, clock, tls, credentials }: OpenOptions, options: MqttClientOptions) {
    const { qos = 1, answer = 'response', statePrefix = '' } = options
    this.#limits = limits
    this.#clock = clock
    this.#qos = qos
    this.#answer = answer
    this.#statePrefix = statePrefix === '' ? '' : `${statePrefix}/`
    this.#observers = new Observers(qos)
    if (isWebSocket(url)) this.prefix = ''
    this.closed = new Promise(resolve => {
      this.#end = resolve
    })
    this.#broker = new RemoteBroker({
      ...options,
      ...credentials,
      ...(tls && { tls }),
      // The client gives up before, with the signal.
      connectTimeout: options.connectTimeout ?? LONGEST_TIMEOUT,
      url,
      clean: options.clientId === undefined,
      receiveMaximum: RECEIVE_MAXIMUM,
      maximumPacketSize: limits.body + PACKET_ROOM,
      maxWaiting: limits.inFlight,
      clock,
      once: true,
      receive: (message, connection) => this.#receive(message, connection),
      connected: () => Promise.resolve(),
      interrupted: error => this.#lost(error)
    })
  }

  start(signal: AbortSignal): Promise<void> {
    return this.#broker.start(signal)
  }

  async request(message: OutgoingRequest, { signal }: LinkRequestOptions): Promise<LinkAnswer> {
    const topic = topicFor(message)
    if (!isTopicName(topic)) throw new IopaError(400, 'bad-topic', `'${message.path}' is no topic: it is empty, too long, or holds '+' or '#'.`)
    const { connection } = this.#broker
    if (connection === null) throw linkLost({ sent: false })
    try {
      return await (connection.capabilities.protocolVersion === 5 ? this.#request(message, topic, signal) : this.#simple(message, topic, signal))
    } catch (error) {
      if (!(error instanceof IopaError) || error.code !== 'disconnected') throw error
      const { reasonCode } = await abortable(connection.closed, signal)
      if (reasonCode === 0) throw error instanceof ConnectionLost ? linkLost({ sent: true }, error) : error
      // The broker says with its DISCONNECT what is wrong with this message, or with another one (MQTT 5 section 4.13).
      const status = reasonCode === PACKET_TOO_LARGE ? 413 : 502
      const said = `The broker closes the connection when it gets this message (0x${reasonCode.toString(16)}).`
      throw lossOf(new IopaError(status, 'message-refused', said, { cause: error }), { sent: true, repeat: true })
    }
  }

  async subscribe(message: OutgoingRequest, sink: Sink, { signal }: SubscribeOptions): Promise<void> {
    const filter = this.#statePrefix + topicFor(message)
    if (!isTopicFilter(filter)) throw new IopaError(400, 'bad-topic', `'${message.path}' is no topic filter.`)
    const observer = this.#observers.add(filter, sink)
    const stop = (): void => observer.end()
    signal.addEventListener('abort', stop, { once: true })
    try {
      const { connection } = this.#broker
      if (connection === null) throw linkLost({ sent: false })
      await abortable(this.#observers.subscribe(filter, connection), signal)
      sink.accepted()
      await observer.ended
    } catch (error) {
      throw error instanceof ConnectionLost ? linkLost({ sent: true }, error) : error
    } finally {
      signal.removeEventListener('abort', stop)
      this.#leave(observer)
    }
  }

  async close(): Promise<void> {
    const error = channelClosed()
    this.#pending.abandon(error)
    this.#observers.end(error)
    await this.#broker.close(false)
    this.#end({ reason: 'finish' })
  }

  #lost(error: Error | null): void {
    const lost = linkLost({ sent: true }, error ?? undefined)
    this.#pending.abandon(lost)
    this.#observers.end(lost)
    this.#end({ reason: 'lost', error })
  }

  /** Takes an observer out; the broker hears of it where that was the last one of its filter. Nothing waits for that. */
  #leave(observer: Observer): void {
    if (this.#observers.remove(observer)) this.#broker.connection?.unsubscribe([observer.filter]).catch(() => {})
  }

  /** Request and response of MQTT 5. */
  async #request(request: OutgoingRequest, topic: string, signal: AbortSignal): Promise<LinkAnswer> {
    const reading = request.method === 'GET' || request.method === 'HEAD'
    const wantsResponse = reading || this.#answer === 'response'
    if (!wantsResponse) return answerOfReceipt(await this.#publish(request, topic, {}, signal), 204)
    const responseTopic = await this.#responses(signal)
    const { correlationData, answer, forget } = this.#pending.add()
    try {
      const acknowledged = this.#publish(request, topic, { responseTopic, correlationData }, signal)
      acknowledged.catch(() => {})
      const first = await Promise.race([answer, acknowledged])
      if (!('reasonCode' in first)) return first
      // What answers within the broker has done so before the acknowledgement; a refusal, or nobody at all, is the end of it.
      if (first.reasonCode >= 0x80) return answerOfReceipt(first, 204)
      if (first.reasonCode === NO_MATCHING_SUBSCRIBERS && request.method === 'GET') return await this.#retained(topic, signal, RETAINED_WAIT)
      if (first.reasonCode === NO_MATCHING_SUBSCRIBERS) return answerOfReceipt(first, isRetained(request, request.bag) ? 204 : 404)
      return await abortable(answer, signal)
    } finally {
      forget()
    }
  }

  /** MQTT 3.1.1 knows publishing and subscribing alone. */
  async #simple(request: OutgoingRequest, topic: string, signal: AbortSignal): Promise<LinkAnswer> {
    if (request.method === 'GET') return this.#retained(topic, signal, Number.POSITIVE_INFINITY)
    if (request.method === 'PUT' || request.method === 'DELETE') return answerOfReceipt(await this.#publish(request, topic, {}, signal), 204)
    throw new IopaError(501, 'not-in-mqtt-3', `The broker speaks MQTT 3.1.1, which has no way to say ${request.method}: use GET, PUT or DELETE.`)
  }

  async #publish(request: OutgoingRequest, topic: string, properties: MessageProperties, signal: AbortSignal): Promise<Receipt> {
    const payload = (await requestBytes(request, this.#limits.body, signal)) ?? new Uint8Array(0)
    const message = messageOf(request, request.bag, { topic, payload, qos: this.#qos, properties })
    return this.#broker
      .publish(message, signal, () => false)
      .catch((error: IopaError) => {
        throw error.code === 'connection-lost' ? linkLost({ sent: true }, error) : error
      })
  }

  /** The first message of a subscription: the retained one, or what an IOPA broker answers to a GET of it. 404 when there is none in time. */
  async #retained(topic: string, signal: AbortSignal, wait: number): Promise<LinkAnswer> {
    let take: (answer: LinkAnswer) => void = () => {}
    const first = new Promise<LinkAnswer>(resolve => {
      take = resolve
    })
    const none = (): void => take(answerOfReceipt({ reasonCode: 0, reasonString: '', userProperties: {} }, 404))
    const observer = this.#observers.add(topic, { next: take, accepted: () => {} })
    const timer = Number.isFinite(wait) ? this.#clock.setTimeout(none, wait, { keep: true }) : undefined
    try {
      const { connection } = this.#broker
      if (connection === null) throw linkLost({ sent: false })
      await abortable(this.#observers.subscribe(topic, connection), signal)
      return await abortable(Promise.race([first, observer.ended.then(() => first)]), signal)
    } finally {
      this.#clock.clearTimeout(timer)
      this.#leave(observer)
    }
  }

  /** Subscribes to our Response Topic, once. */
  async #responses(signal: AbortSignal): Promise<string> {
    const connection = await this.#broker.ready(signal)
    if (this.#responding === null) {
      const base = connection.capabilities.responseInformation.replace(/\/$/, '') || RESPONSES_BASE
      // The random level keeps others from publishing there.
      this.#responseTopic = `${base}/${connection.clientId.replace(/[/+#\0]/g, '-')}/${randomBytes(16).toString('base64url')}`
      this.#responding = this.#subscribeResponses(connection)
      this.#responding.catch(() => {
        this.#responding = null
        this.#responseTopic = ''
      })
    }
    await abortable(this.#responding, signal)
    return this.#responseTopic
  }

  async #subscribeResponses(connection: Connection): Promise<void> {
    const [code = 0x80] = await connection.subscribe([{ filter: this.#responseTopic, qos: this.#qos }], RESPONSES)
    if (code >= 0x80) {
      throw new IopaError(
        403,
        'responses-refused',
        `The broker refuses a subscription to ${this.#responseTopic}: allow it, or give answer: 'acknowledgement'.`
      )
    }
  }

  #receive(message: InboundMessage, connection: Connection): void {
    if (message.topic === this.#responseTopic) this.#pending.settle(message)
    else this.#observers.receive(message)
    if (message.qos === 1) connection.acknowledge(message.packetId)
  }
}
