import { type ByteChannel, type Clock, connectionLost, IopaError } from '@iopa/transport'
import { encodeClientDisconnect, encodeConnect, encodeSubscribe, encodeUnsubscribe, type SubscribeRequest } from '../codec/client-encoder.ts'
import { PACKET } from '../codec/packet-types.ts'
import { ProtocolError } from '../codec/protocol-error.ts'
import { acknowledgementSize, writeAcknowledgement } from '../codec/publish-encoder.ts'
import { REASON } from '../codec/reason-codes.ts'
import type { Acknowledgement, ConnackPacket, ServerPacket, ServerPublish } from '../codec/server-decoder.ts'
import { type BrokerCapabilities, capabilitiesOf } from './capabilities.ts'
import { Exchanges } from './exchanges.ts'
import { encodePublish, type InboundMessage, inbound, NO_RECEIPT, type OutboundMessage, type Receipt, receiptOf } from './message.ts'
import { type ConnectionOptions, connectError, nameOf, openChannel, timedOut } from './network-connection.ts'
import { PacketChannel } from './packet-channel.ts'
import { abortable, deferred } from './waiting.ts'

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

/** Milliseconds that a broker has to close after our DISCONNECT. */
const GOODBYE = 1000
/** Bytes of the largest packet that MQTT has (MQTT 5 section 2.1.4). */
const LARGEST_PACKET = 268_435_460

/**
 * One network connection to a broker. A new connection is a new object, so that a packet identifier, an acknowledgement or a pending publish
 * can never reach a connection that it does not belong to.
 */
export class Connection {
  /** Resolves when the connection is gone; never rejects. */
  readonly closed: Promise<Closure>
  readonly #options: ConnectionOptions
  readonly #clock: Clock
  readonly #packets: PacketChannel
  readonly #receive: (message: InboundMessage) => void | Promise<void>
  readonly #connack = deferred<ConnackPacket>()
  #accepted: ConnackPacket | null = null
  #capabilities: BrokerCapabilities
  #closure: Closure = { reasonCode: 0, serverReference: '', error: null }
  #ending = false
  readonly #exchanges = new Exchanges()
  /** QoS 2 messages that were delivered and are not released yet (MQTT 5 section 4.3.3). */
  readonly #unreleased = new Set<number>()

  private constructor(channel: ByteChannel, options: ConnectionOptions, receive: (message: InboundMessage) => void | Promise<void>) {
    const { protocolVersion, maximumPacketSize, clientId, clean, keepAlive, username, password, sessionExpiry, receiveMaximum } = options
    this.#options = options
    this.#clock = options.clock
    this.#receive = receive
    this.#capabilities = capabilitiesOf(protocolVersion, {}, options.capabilities)
    const { promise: closed, resolve: close } = deferred<Closure>()
    this.closed = closed
    // Rejected when nobody waits any more, at the latest.
    this.#connack.promise.catch(() => {})
    // MQTT 3.1.1 has no way to tell a broker what we take.
    this.#packets = new PacketChannel(channel, protocolVersion, protocolVersion === 5 ? maximumPacketSize : LARGEST_PACKET, {
      packet: packet => this.#take(packet),
      broken: error => this.#fail(error),
      closed: error => {
        this.#end(error)
        close(this.#closure)
      }
    })
    this.#packets.write(
      encodeConnect({
        protocolVersion,
        clientId,
        cleanStart: clean,
        keepAlive,
        userName: username,
        password,
        sessionExpiryInterval: sessionExpiry,
        receiveMaximum,
        maximumPacketSize
      })
    )
  }

  /**
   * Connects. `receive` is called for each message, must not throw, and may be called before this resolves; nothing is read until its promise
   * settles, if it gives one. @throws IopaError
   */
  static async open(options: ConnectionOptions, receive: (message: InboundMessage) => void | Promise<void>): Promise<Connection> {
    const { clock, connectTimeout, signal } = options
    signal?.throwIfAborted()
    const giveUp = new AbortController()
    const abort = (): void => giveUp.abort(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    const timer = clock.setTimeout(() => giveUp.abort(timedOut(options)), connectTimeout, { keep: true })
    let connection: Connection | undefined
    try {
      connection = new Connection(await openChannel(options, giveUp.signal), options, receive)
      await abortable(connection.#connack.promise, giveUp.signal)
      return connection
    } catch (error) {
      connection?.destroy()
      throw giveUp.signal.aborted ? giveUp.signal.reason : error
    } finally {
      clock.clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  get capabilities(): BrokerCapabilities {
    return this.#capabilities
  }

  get sessionPresent(): boolean {
    return this.#accepted?.sessionPresent === true
  }

  /** The client identifier in use: ours, or the one that the broker assigned. */
  get clientId(): string {
    return this.#accepted?.properties.assignedClientIdentifier ?? this.#options.clientId
  }

  /** False once the connection is gone or has been told to go. */
  get connected(): boolean {
    return this.#accepted !== null && !this.#ending
  }

  /** Acknowledges a QoS 1 message of this connection; does nothing once it is gone, since the broker then sends the message again. */
  acknowledge(packetId: number): void {
    if (this.connected) this.#acknowledge(PACKET.PUBACK, packetId)
  }

  /**
   * Publishes; resolves with the broker's answer, also with a refusal. Rejects with ConnectionLost when the connection ends before it, and
   * with the reason of `signal`. @throws IopaError 400 for properties that cannot be sent
   */
  async publish(message: OutboundMessage, signal?: AbortSignal): Promise<Receipt> {
    signal?.throwIfAborted()
    const encode = encodePublish(message, this.#options.protocolVersion)
    if (message.qos === 0) {
      this.#assertConnected()
      this.#packets.write(encode(0))
      await abortable(this.#packets.drained(), signal)
      if (!this.connected) throw new ConnectionLost('The message may not have left.', { cause: this.#closure.error })
      return NO_RECEIPT
    }
    const awaits = message.qos === 1 ? PACKET.PUBACK : PACKET.PUBREC
    return receiptOf(await abortable(this.#exchange(awaits, encode), signal))
  }

  /** Subscribes with one packet; resolves with a reason code per filter, 0x80 and more being refusals. Rejects with ConnectionLost. */
  async subscribe(requests: readonly SubscribeRequest[], identifier = 0): Promise<readonly number[]> {
    const used = this.#capabilities.subscriptionIdentifiers ? identifier : 0
    const version = this.#options.protocolVersion
    return (await this.#exchange(PACKET.SUBACK, packetId => encodeSubscribe(version, packetId, requests, used))).reasonCodes
  }

  async unsubscribe(filters: readonly string[]): Promise<void> {
    await this.#exchange(PACKET.UNSUBACK, packetId => encodeUnsubscribe(this.#options.protocolVersion, packetId, filters))
  }

  /** Says goodbye; resolves when the connection is gone. `sessionExpiry` (seconds, MQTT 5) replaces that of the CONNECT. */
  async disconnect(sessionExpiry?: number): Promise<void> {
    this.#goodbye(0, sessionExpiry)
    await this.closed
  }

  /** Drops the connection; with `reasonCode`, a broker of MQTT 5 gets the reason in a DISCONNECT. */
  destroy(reasonCode = 0): void {
    if (reasonCode !== 0) this.#goodbye(reasonCode)
    else {
      this.#ending = true
      this.#packets.destroy()
    }
  }

  #goodbye(reasonCode: number, sessionExpiryInterval?: number): void {
    const { protocolVersion } = this.#options
    const silent = !this.connected || (reasonCode !== 0 && protocolVersion === 4)
    this.#ending = true
    if (silent) {
      this.#packets.destroy()
      return
    }
    this.#packets.write(encodeClientDisconnect(protocolVersion, reasonCode, sessionExpiryInterval))
    this.#packets.end()
    const timer = this.#clock.setTimeout(() => this.#packets.destroy(), GOODBYE)
    void this.closed.then(() => this.#clock.clearTimeout(timer))
  }

  #take(packet: ServerPacket): void | Promise<void> {
    if (packet.type === PACKET.CONNACK) return this.#accept(packet)
    if (this.#accepted === null) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a broker sends CONNACK before anything else')
    switch (packet.type) {
      case PACKET.PUBLISH:
        return this.#deliver(packet)
      case PACKET.PUBREL:
        this.#acknowledge(PACKET.PUBCOMP, packet.packetId, this.#unreleased.delete(packet.packetId) ? 0 : REASON.PACKET_IDENTIFIER_NOT_FOUND)
        return
      case PACKET.PUBREC:
        this.#release(packet)
        return
      case PACKET.DISCONNECT:
        this.#closure = { reasonCode: packet.reasonCode, serverReference: packet.serverReference, error: null }
        this.destroy()
        return
      case PACKET.PINGRESP:
        return
      default:
        this.#exchanges.settle(packet)
    }
  }

  #accept(connack: ConnackPacket): void {
    if (this.#accepted !== null) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a broker sends CONNACK once')
    const { reasonCode, properties } = connack
    if (reasonCode !== 0) {
      const { serverReference = '' } = properties
      const refusal = Object.assign(new Error(`Connection refused (0x${reasonCode.toString(16)})`), { code: reasonCode })
      this.#connack.reject(connectError(refusal, this.#options, serverReference))
      this.#closure = { reasonCode: 0, serverReference, error: refusal }
      this.destroy()
      return
    }
    this.#accepted = connack
    this.#capabilities = capabilitiesOf(this.#options.protocolVersion, properties, this.#options.capabilities)
    this.#packets.keepAlive((properties.serverKeepAlive ?? this.#options.keepAlive) * 1000, this.#clock)
    this.#connack.resolve(connack)
  }

  #deliver(publish: ServerPublish): void | Promise<void> {
    const { qos, packetId } = publish
    if (qos === 2) {
      const again = this.#unreleased.has(packetId)
      this.#unreleased.add(packetId)
      this.#acknowledge(PACKET.PUBREC, packetId)
      if (again) return
    }
    return this.#receive(inbound(publish))
  }

  #acknowledge(type: number, packetId: number, reasonCode = 0): void {
    const version = this.#options.protocolVersion
    const packet = Buffer.allocUnsafe(acknowledgementSize(version, reasonCode, null))
    writeAcknowledgement(packet, 0, type, packetId, version, reasonCode, null)
    this.#packets.write(packet)
  }

  #release(pubrec: Acknowledgement): void {
    const reasonCode = this.#exchanges.release(pubrec)
    if (reasonCode !== null) this.#acknowledge(PACKET.PUBREL, pubrec.packetId, reasonCode)
  }

  async #exchange(awaits: number, encode: (packetId: number) => Buffer): Promise<Acknowledgement> {
    this.#assertConnected()
    const packetId = this.#exchanges.freePacketId()
    if (packetId === 0) throw new ConnectionLost('The broker has not acknowledged 65,535 packets.')
    const packet = encode(packetId)
    const acknowledged = this.#exchanges.wait(packetId, awaits)
    this.#packets.write(packet)
    return acknowledged
  }

  #assertConnected(): void {
    if (!this.connected) throw new ConnectionLost('There is no connection to the broker.')
  }

  /** The broker breaks the protocol (MQTT 5 section 4.13). */
  #fail(error: Error): void {
    this.#closure = { ...this.#closure, error }
    this.destroy(error instanceof ProtocolError ? error.reasonCode : 0)
  }

  #end(error: Error | null): void {
    this.#ending = true
    this.#closure = { ...this.#closure, error: this.#closure.error ?? error }
    const { error: reason } = this.#closure
    this.#connack.reject(
      reason === null
        ? connectionLost(new Error(`The broker ${nameOf(this.#options.url)} closed the connection before it accepted it.`))
        : connectError(reason, this.#options, '')
    )
    this.#exchanges.end(() => new ConnectionLost('The connection to the broker was lost.', { cause: reason }))
  }
}
