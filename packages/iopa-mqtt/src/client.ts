import { randomBytes } from 'node:crypto'
import {
  answerTimeout,
  type Bag,
  type Channel,
  type Clock,
  type ConnectOptions,
  channelClosed,
  checkTargetUrl,
  connectionLost,
  DEFAULT_LIMITS,
  IopaError,
  type Limits,
  type LinkAnswer,
  mergeLimits,
  type OutgoingRequest,
  outgoing,
  readRequestBody,
  systemClock
} from '@iopa/transport'
import { Observers } from './client/observers.ts'
import { answerOfReceipt, PendingRequests } from './client/pending-requests.ts'
import { isRetained, isWebSocket, messageOf, topicFor } from './client/request-message.ts'
import type { RemoteOptions } from './options.ts'
import { RemoteBroker } from './remote/broker.ts'
import { type Connection, ConnectionLost } from './remote/connection.ts'
import type { InboundMessage, MessageProperties } from './remote/message.ts'
import { abortable, endController } from './remote/waiting.ts'
import { isTopicFilter, isTopicName } from './topics/topic.ts'

/** What a client says beside the options of every connect. */
export interface MqttClientOptions extends RemoteOptions {
  /** QoS of requests and observations, 0 or 1; 1 unless given. With 0 nobody hears that nobody listens, and what a lost connection had on its way is lost. */
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

/** Opens a channel to a broker: `mqtt:`, `mqtts:`, `ws:` or `wss:`. Rejects when it cannot. */
export const connectMqtt = async (url: URL, options: ConnectOptions & MqttClientOptions = {}): Promise<Channel> => {
  checkTargetUrl(url, { credentials: true, query: isWebSocket(url) })
  const channel = new MqttChannel(url, options)
  await channel.start(options.signal)
  return channel
}

/** Messages under way to us at once, and what a packet may need beside its payload. */
const RECEIVE_MAXIMUM = 1000
const PACKET_ROOM = 65_536
/** Milliseconds that a retained message, if there is one, takes after SUBACK. */
const RETAINED_WAIT = 500
const RESPONSES = 1
/** Where the broker names no place for responses. The empty first level keeps it apart from paths: no route of an app can take it. */
const RESPONSES_BASE = '/iopa/answers'
const NO_MATCHING_SUBSCRIBERS = 0x10

class MqttChannel implements Channel {
  /** Where the URL is that of a WebSocket, its path is no part of the requests'. */
  readonly prefix?: string
  readonly #broker: RemoteBroker
  readonly #pending = new PendingRequests()
  readonly #observers: Observers
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #timeout: number
  readonly #qos: 0 | 1
  readonly #answer: 'response' | 'acknowledgement'
  readonly #statePrefix: string
  /** Where responses come to; empty before the first request that asks for one. */
  #responseTopic = ''
  #responding: Promise<void> | null = null
  readonly #closed = endController()

  constructor(url: URL, options: ConnectOptions & MqttClientOptions) {
    const { timeout = 30_000, qos = 1, answer = 'response', statePrefix = '', clock = systemClock } = options
    this.#limits = mergeLimits(DEFAULT_LIMITS, options.limits)
    this.#clock = clock
    this.#timeout = timeout
    this.#qos = qos
    this.#answer = answer
    this.#statePrefix = statePrefix === '' ? '' : `${statePrefix}/`
    this.#observers = new Observers(qos, this.#limits, this.#limits.observersPerConnection)
    if (isWebSocket(url)) this.prefix = ''
    this.#broker = new RemoteBroker({
      ...options,
      connectTimeout: Math.min(options.connectTimeout ?? timeout, timeout),
      url,
      clean: options.clientId === undefined,
      receiveMaximum: RECEIVE_MAXIMUM,
      maximumPacketSize: this.#limits.body + PACKET_ROOM,
      maxWaiting: this.#limits.inFlight,
      clock,
      receive: (message, connection) => this.#receive(message, connection),
      connected: connection => this.#connected(connection),
      interrupted: () => {}
    })
  }

  start(signal: AbortSignal | undefined): Promise<void> {
    return this.#broker.start(signal)
  }

  async send(bag: Bag): Promise<LinkAnswer> {
    const request = outgoing(bag)
    // What was cancelled before is not sent.
    request.signal?.throwIfAborted()
    this.#closed.signal.throwIfAborted()
    const topic = topicFor(request)
    if (!isTopicName(topic)) throw new IopaError(400, 'bad-topic', `'${request.path}' is no topic: it is empty, too long, or holds '+' or '#'.`)
    const deadline = this.#deadline(request.signal)
    try {
      const connection = await this.#broker.ready(deadline.signal)
      return connection.capabilities.protocolVersion === 5
        ? await this.#request(request, topic, bag, deadline.signal)
        : await this.#simple(request, topic, bag, deadline.signal)
    } finally {
      deadline.clear()
    }
  }

  async *observe(bag: Bag): AsyncGenerator<LinkAnswer> {
    const request = outgoing(bag)
    const filter = this.#statePrefix + topicFor(request)
    if (!isTopicFilter(filter)) throw new IopaError(400, 'bad-topic', `'${request.path}' is no topic filter.`)
    if (request.signal?.aborted) return
    const observer = this.#observers.add(filter)
    const stop = (): void => observer.end()
    request.signal?.addEventListener('abort', stop, { once: true })
    const deadline = this.#deadline(request.signal)
    try {
      const connection = await this.#broker.ready(deadline.signal)
      await abortable(this.#observers.subscribe(filter, connection), deadline.signal).catch((error: unknown) => {
        // A lost connection subscribes again when it is back.
        if (!(error instanceof ConnectionLost)) throw error
      })
      deadline.clear()
      yield* observer.answers()
    } catch (error) {
      if (!request.signal?.aborted) throw error
    } finally {
      deadline.clear()
      request.signal?.removeEventListener('abort', stop)
      if (this.#observers.remove(observer)) await this.#broker.connection?.unsubscribe([filter]).catch(() => {})
    }
  }

  async close(): Promise<void> {
    const error = channelClosed()
    this.#closed.abort(error)
    this.#pending.abandon(error)
    this.#observers.end()
    await this.#broker.close(false)
  }

  /** Request and response of MQTT 5. */
  async #request(request: OutgoingRequest, topic: string, bag: Bag, signal: AbortSignal): Promise<LinkAnswer> {
    const reading = request.method === 'GET' || request.method === 'HEAD'
    const wantsResponse = reading || this.#answer === 'response'
    if (!wantsResponse) return answerOfReceipt(await this.#publish(request, topic, bag, {}, signal), 204)
    const responseTopic = await this.#responses(signal)
    const { correlationData, answer, forget } = this.#pending.add()
    // A request that has been answered is not sent again, though the connection was lost before its acknowledgement.
    let answered = false
    try {
      const acknowledged = this.#publish(request, topic, bag, { responseTopic, correlationData }, signal, () => !answered)
      acknowledged.catch(() => {})
      const first = await Promise.race([answer, acknowledged])
      if (!('reasonCode' in first)) return first
      // What answers within the broker has done so before the acknowledgement; a refusal, or nobody at all, is the end of it.
      if (first.reasonCode >= 0x80) return answerOfReceipt(first, 204)
      if (first.reasonCode === NO_MATCHING_SUBSCRIBERS && request.method === 'GET') return await this.#retained(topic, signal, RETAINED_WAIT)
      if (first.reasonCode === NO_MATCHING_SUBSCRIBERS) return answerOfReceipt(first, isRetained(request, bag) ? 204 : 404)
      return await abortable(answer, signal)
    } finally {
      forget()
      answered = true
    }
  }

  /** MQTT 3.1.1 knows publishing and subscribing alone. */
  async #simple(request: OutgoingRequest, topic: string, bag: Bag, signal: AbortSignal): Promise<LinkAnswer> {
    if (request.method === 'GET') return this.#retained(topic, signal, this.#timeout)
    if (request.method === 'PUT' || request.method === 'DELETE') return answerOfReceipt(await this.#publish(request, topic, bag, {}, signal), 204)
    throw new IopaError(501, 'not-in-mqtt-3', `The broker speaks MQTT 3.1.1, which has no way to say ${request.method}: use GET, PUT or DELETE.`)
  }

  async #publish(
    request: OutgoingRequest,
    topic: string,
    bag: Bag,
    properties: MessageProperties,
    signal: AbortSignal,
    again?: () => boolean
  ): Promise<Awaited<ReturnType<RemoteBroker['publish']>>> {
    const bounds = { limit: this.#limits.body, clock: this.#clock, timeout: this.#timeout, closing: this.#closed.signal }
    const payload = (await readRequestBody({ ...request, signal }, bounds)) ?? new Uint8Array(0)
    const message = messageOf(request, bag, { topic, payload, qos: this.#qos, properties })
    return this.#broker.publish(message, signal, again).catch((error: IopaError) => {
      // What is not sent again, such as QoS 0, is lost with its connection.
      throw error.code === 'connection-lost' ? connectionLost(error) : error
    })
  }

  /** The first message of a subscription: the retained one, or what an IOPA broker answers to a GET of it. 404 when there is none in time. */
  async #retained(topic: string, signal: AbortSignal, wait: number): Promise<LinkAnswer> {
    const observer = this.#observers.add(topic)
    const timer = this.#clock.setTimeout(() => observer.end(), wait, { keep: true })
    const stop = (): void => observer.end(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    try {
      await abortable(this.#observers.subscribe(topic, await this.#broker.ready(signal)), signal)
      for await (const answer of observer.answers()) return answer
      return answerOfReceipt({ reasonCode: 0, reasonString: '', userProperties: {} }, 404)
    } finally {
      this.#clock.clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      // The answer does not wait for the broker to acknowledge this.
      if (this.#observers.remove(observer)) this.#broker.connection?.unsubscribe([topic]).catch(() => {})
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

  async #connected(connection: Connection): Promise<void> {
    if (this.#responseTopic !== '') await this.#subscribeResponses(connection)
    await this.#observers.resume(connection)
  }

  #receive(message: InboundMessage, connection: Connection): void {
    if (message.topic === this.#responseTopic) this.#pending.settle(message)
    else this.#observers.receive(message)
    if (message.qos === 1) connection.acknowledge(message.packetId)
  }

  /** Aborts after the client's timeout, with `signal`, and when the client is closed. */
  #deadline(signal: AbortSignal | undefined): { signal: AbortSignal; clear: () => void } {
    const controller = new AbortController()
    const closed = this.#closed.signal
    const timer = this.#clock.setTimeout(() => controller.abort(answerTimeout(this.#timeout)), this.#timeout, { keep: true })
    const abort = (): void => controller.abort(signal?.reason)
    const close = (): void => controller.abort(closed.reason)
    signal?.addEventListener('abort', abort, { once: true })
    closed.addEventListener('abort', close, { once: true })
    if (signal?.aborted) abort()
    if (closed.aborted) close()
    const clear = (): void => {
      this.#clock.clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      closed.removeEventListener('abort', close)
    }
    return { signal: controller.signal, clear }
  }
}
