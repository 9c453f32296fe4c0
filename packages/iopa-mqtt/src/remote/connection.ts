import { type Clock, connectionLost, IopaError } from '@iopa/transport'
import type { IConnackPacket, IDisconnectPacket, IPublishPacket, MqttClient, Packet } from 'mqtt'
import { type BrokerCapabilities, capabilitiesOf } from './capabilities.ts'
import { connectError, timedOut } from './connect-errors.ts'
import { type ConnectionOptions, clientOptions, nameOf } from './connection-options.ts'
import { deferred } from './deferred.ts'
import type { InboundMessage, MessageProperties, OutboundMessage, Receipt, SubscribeRequest } from './message.ts'
import { publishProperties } from './publish-properties.ts'

/** Why a connection is gone. */
export interface Closure {
  /** Of the broker's DISCONNECT; 0 without one. */
  readonly reasonCode: number
  /** Where the broker sends us (MQTT 5 section 4.11); empty without one. */
  readonly serverReference: string
  readonly error: Error | null
}

/** Rejects what was under way when a connection ends. */
export class ConnectionLost extends IopaError {
  /** `what` was under way, for the log. */
  constructor(what: string, options: { readonly cause?: unknown } = {}) {
    const { status, code, detail } = connectionLost()
    super(status, code, detail, { cause: new Error(what, options) })
  }
}

const EMPTY: Readonly<Record<string, string | readonly string[]>> = Object.freeze({})
const DEFERRED = new Error('acknowledged later')
/** Milliseconds that a broker has to close after our DISCONNECT. */
const GOODBYE = 1000

/** MQTT.js leaves it on: a request would wait 40 ms for the acknowledgement that the broker's TCP delays. */
const undelayed = (stream: object): void => void (stream as { setNoDelay?(on: boolean): unknown }).setNoDelay?.(true)

/**
 * One network connection to a broker, over MQTT.js. A new connection is a new object with a new client below it, so that a packet
 * identifier, an acknowledgement or a pending publish can never reach a connection that it does not belong to.
 *
 * MQTT.js works on one packet after another and waits for `handleMessage`, so a handler must not run inside it: it would hold back pings and
 * the acknowledgements that the handler itself waits for. Each message is handed off at once with an "error", upon which MQTT.js sends no
 * acknowledgement; `acknowledge` sends it when the work is done.
 */
export class Connection {
  readonly capabilities: BrokerCapabilities
  readonly sessionPresent: boolean
  /** The client identifier in use: ours, or the one that the broker assigned. */
  readonly clientId: string
  /** Resolves when the connection is gone; never rejects. */
  readonly closed: Promise<Closure>
  #client: MqttClient
  #clock: Clock
  /** The last acknowledgement of a PUBLISH of ours: MQTT.js gives it to nobody, but reports the publish in the same turn. */
  #ack: Packet | null = null
  #ending = false
  /** Rejects what is under way. */
  #pending = new Set<(error: Error) => void>()

  private constructor(client: MqttClient, options: ConnectionOptions, connack: IConnackPacket, closed: Promise<Closure>) {
    this.#client = client
    this.#clock = options.clock
    this.closed = closed
    void closed.then(({ error }) => {
      for (const reject of this.#pending) reject(new ConnectionLost('The connection to the broker was lost.', { cause: error }))
    })
    this.sessionPresent = connack.sessionPresent
    this.clientId = connack.properties?.assignedClientIdentifier ?? options.clientId
    this.capabilities = capabilitiesOf(options.protocolVersion, connack.properties, options.capabilities)
    client.on('packetreceive', packet => {
      if (packet.cmd === 'puback' || packet.cmd === 'pubrec' || packet.cmd === 'pubcomp') this.#ack = packet
    })
  }

  /**
   * Connects. `receive` is called for each message, must not throw, and may be called before this resolves; nothing is read until its promise
   * settles, if it gives one. @throws IopaError
   */
  static async open(options: ConnectionOptions, receive: (message: InboundMessage) => void | Promise<void>): Promise<Connection> {
    const { clock, connectTimeout, signal, url } = options
    signal?.throwIfAborted()
    const { connect } = await import('mqtt')
    signal?.throwIfAborted()
    const { promise: closed, resolve: close } = deferred<Closure>()
    const { promise: opened, resolve, reject } = deferred<IConnackPacket>()
    const client = connect(clientOptions(options))
    undelayed(client.stream)
    client.handleMessage = (packet, callback) => {
      const handedOff = (): void => callback(packet.qos === 1 ? DEFERRED : undefined)
      const pause = receive(inbound(packet))
      if (pause === undefined) handedOff()
      else void pause.then(handedOff)
    }
    let closure: Closure = { reasonCode: 0, serverReference: '', error: null }
    client.on('disconnect', (packet: IDisconnectPacket) => {
      closure = { reasonCode: packet.reasonCode ?? 0, serverReference: packet.properties?.serverReference ?? '', error: null }
      client.end(true)
    })
    client.on('packetreceive', packet => {
      if (packet.cmd === 'connack' && packet.properties?.serverReference) closure = { ...closure, serverReference: packet.properties.serverReference }
    })
    client.on('error', error => {
      closure = { ...closure, error }
      reject(connectError(error, options, closure.serverReference))
    })
    client.on('close', () => {
      close(closure)
      reject(connectionLost(new Error(`The broker ${nameOf(url)} closed the connection before it accepted it.`)))
    })
    client.on('connect', resolve)
    const abort = (): void => reject(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    const timer = clock.setTimeout(() => reject(timedOut(options)), connectTimeout, { keep: true })
    try {
      const connack = await opened
      return new Connection(client, options, connack, closed)
    } catch (error) {
      client.end(true)
      throw error
    } finally {
      clock.clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  /** False once the connection is gone or has been told to go. */
  get connected(): boolean {
    return this.#client.connected && !this.#ending
  }

  /** Acknowledges a QoS 1 message of this connection; does nothing once it is gone, since the broker then sends the message again. */
  acknowledge(packetId: number): void {
    if (this.connected) this.#client['_sendPacket']({ cmd: 'puback', messageId: packetId, reasonCode: 0 })
  }

  /**
   * Publishes; resolves with the broker's answer, also with a refusal. Rejects with ConnectionLost when the connection ends before it, and
   * with the reason of `signal`. @throws IopaError 400 for properties that cannot be sent
   */
  async publish(message: OutboundMessage, signal?: AbortSignal): Promise<Receipt> {
    signal?.throwIfAborted()
    const { topic, payload, qos, retain = false } = message
    const properties = this.capabilities.protocolVersion === 5 ? publishProperties(message.properties) : undefined
    let packetId = 0
    let abort = (): void => {}
    return this.#settle<Receipt>((resolve, reject) => {
      abort = () => {
        reject(signal?.reason)
        if (packetId !== 0) this.#client.removeOutgoingMessage(packetId)
      }
      signal?.addEventListener('abort', abort, { once: true })
      this.#client.publish(topic, payload as Buffer, properties ? { qos, retain, properties } : { qos, retain }, error => {
        const ack = qos > 0 && this.#ack?.messageId === packetId ? this.#ack : null
        this.#ack = null
        if (error && !ack) reject(new ConnectionLost('The message was not acknowledged.', { cause: error }))
        else resolve(receiptOf(ack))
      })
      if (qos > 0) packetId = this.#client.getLastMessageId()
    }).finally(() => signal?.removeEventListener('abort', abort))
  }

  /** Subscribes with one packet; resolves with a reason code per filter, 0x80 and more being refusals. Rejects with ConnectionLost. */
  subscribe(requests: readonly SubscribeRequest[], identifier = 0): Promise<number[]> {
    const map: Record<string, { qos: 0 | 1 | 2; nl: boolean; rap: boolean; rh: number }> = {}
    for (const { filter, qos, noLocal = false, retainAsPublished = false, retainHandling = 0 } of requests) {
      map[filter] = { qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling }
    }
    const withIdentifier = identifier > 0 && this.capabilities.subscriptionIdentifiers
    const properties = withIdentifier ? { properties: { subscriptionIdentifier: identifier } } : {}
    return this.#settle<number[]>((resolve, reject) => {
      this.#client.subscribe(map, { qos: 0, ...properties }, (error, _granted, packet) => {
        if (packet) resolve(packet.granted as number[])
        else reject(new ConnectionLost('the subscription was not acknowledged', { cause: error }))
      })
    })
  }

  unsubscribe(filters: readonly string[]): Promise<void> {
    return this.#settle((resolve, reject) => {
      this.#client.unsubscribe([...filters], error => (error ? reject(new ConnectionLost('', { cause: error })) : resolve()))
    })
  }

  /** Says goodbye; resolves when the connection is gone. `sessionExpiry` (seconds, MQTT 5) replaces that of the CONNECT. */
  async disconnect(sessionExpiry?: number): Promise<void> {
    this.#goodbye(0, sessionExpiry)
    await this.closed
  }

  /** Drops the connection; with `reasonCode` the broker is told why where the version has a way to. */
  destroy(reasonCode = 0): void {
    if (reasonCode !== 0) this.#goodbye(reasonCode)
    else {
      this.#ending = true
      this.#client.end(true)
    }
  }

  #goodbye(reasonCode: number, sessionExpiryInterval?: number): void {
    const client = this.#client
    this.#ending = true
    if (!client.connected || (reasonCode !== 0 && this.capabilities.protocolVersion === 4)) {
      client.end(true)
      return
    }
    const properties = sessionExpiryInterval === undefined ? {} : { properties: { sessionExpiryInterval } }
    // `end(false)` would wait for every acknowledgement of our messages, without a limit.
    client['_sendPacket']({ cmd: 'disconnect', reasonCode, ...properties }, () => setImmediate(() => client.stream.end()))
    const timer = this.#clock.setTimeout(() => client.end(true), GOODBYE)
    void this.closed.then(() => this.#clock.clearTimeout(timer))
  }

  #settle<T>(start: (resolve: (value: T) => void, reject: (error: unknown) => void) => void): Promise<T> {
    if (!this.connected) return Promise.reject(new ConnectionLost('There is no connection to the broker.'))
    let pending: (error: unknown) => void
    return new Promise<T>((resolve, reject) => {
      pending = reject
      this.#pending.add(pending)
      start(resolve, reject)
    }).finally(() => this.#pending.delete(pending))
  }
}

const inbound = (packet: IPublishPacket): InboundMessage => {
  const { properties } = packet
  const identifiers = properties?.subscriptionIdentifier as number | number[] | undefined
  return {
    topic: packet.topic,
    payload: typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload,
    qos: packet.qos,
    retain: packet.retain,
    dup: packet.dup,
    packetId: packet.messageId ?? 0,
    subscriptionIdentifiers: identifiers === undefined ? [] : Array.isArray(identifiers) ? identifiers : [identifiers],
    properties: (properties ?? {}) as MessageProperties
  }
}

const receiptOf = (packet: Packet | null): Receipt => {
  if (!packet || !('reasonCode' in packet)) return { reasonCode: 0, reasonString: '', userProperties: EMPTY }
  const { reasonCode, properties } = packet as {
    reasonCode?: number
    properties?: { reasonString?: string; userProperties?: Receipt['userProperties'] }
  }
  return { reasonCode: reasonCode ?? 0, reasonString: properties?.reasonString ?? '', userProperties: properties?.userProperties ?? EMPTY }
}
