import type { ByteChannel, ByteReceiver, Context, Connection as CountedConnection, Endpoint, RequestSource } from '@iopa/transport'
import { encodeConnack, encodeDisconnect, PINGRESP } from '../../codec/packet-encoder.ts'
import { PACKET } from '../../codec/packet-types.ts'
import type { ClientPacket, DisconnectPacket } from '../../codec/packets.ts'
import { ProtocolError } from '../../codec/protocol-error.ts'
import { decodeAcknowledgement } from '../../codec/publish-decoder.ts'
import { REASON } from '../../codec/reason-codes.ts'
import type { SubscribeHandler } from '../app/subscribe-handler.ts'
import type { Operation } from '../operation/operation.ts'
import type { PublishingConnection, WillHandling } from '../ports.ts'
import type { Session } from '../session/session.ts'
import type { ConnectingConnection } from './connect.ts'
import { Handshake, type HandshakePorts, LARGEST_CONNECT } from './handshake.ts'
import { PacketReader } from './packet-reader.ts'
import { PacketSender, type SenderPorts } from './packet-sender.ts'
import { PublishReceiver, type PublishReceiverPorts } from './publish-receiver.ts'
import { Timeouts } from './timeouts.ts'
import { UserValidity, type UserValidityPorts } from './user-validity.ts'

/** What a connection and its parts use of the broker. */
export interface ConnectionPorts extends HandshakePorts, PublishReceiverPorts, UserValidityPorts {
  readonly operation: Pick<Operation, 'settings' | 'clock' | 'batches' | 'journal' | 'statistics' | 'logger'>
  readonly sender: SenderPorts
  readonly subscribe: SubscribeHandler
}

type State = 'new' | 'connecting' | 'open' | 'closing' | 'closed'

/** One network connection of a client: reads its packets and ends it (MQTT 5 section 4). */
export class Connection implements ByteReceiver, ConnectingConnection, PublishingConnection {
  readonly channel: ByteChannel
  readonly counted: CountedConnection
  readonly remoteAddress: string
  readonly sender: PacketSender
  readonly #ports: ConnectionPorts
  readonly reader: PacketReader
  readonly #timeouts: Timeouts
  readonly validity: UserValidity
  readonly #closed: () => void
  version = 4
  bridge = false
  disconnected = false
  session: Session | null = null
  context: Context | null = null
  endpoint: Endpoint | null = null
  source: RequestSource | null = null
  authenticationMethod: string | null = null
  #state: State = 'new'
  #handshake: Handshake | null = null
  #receiver: PublishReceiver | null = null
  #connected = false
  /** Why it ended: the reason code of its DISCONNECT context. */
  #endReason = 0

  /** `closed` is called when the channel is closed. */
  constructor(channel: ByteChannel, counted: CountedConnection, ports: ConnectionPorts, closed: () => void) {
    const { settings, clock } = ports.operation
    this.channel = channel
    this.counted = counted
    this.remoteAddress = channel.remoteAddress
    this.#ports = ports
    this.#closed = closed
    this.sender = new PacketSender(channel, ports.sender)
    this.#timeouts = new Timeouts(clock, settings.limits.headerTimeout, settings.limits.requestTimeout)
    this.validity = new UserValidity(this, () => this.#handshake?.underWay === true, ports)
    this.reader = new PacketReader(channel, clock, this.#timeouts, {
      handle: (bytes, start, body, end) => this.#packet(bytes, start, body, end),
      failed: error => this.#failed(error)
    })
    this.reader.maxPacketSize = Math.min(LARGEST_CONNECT, settings.maxPacketSize)
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  data(chunk: Uint8Array): void {
    const { clock, batches, statistics } = this.#ports.operation
    this.#timeouts.lastActive = clock.elapsed()
    statistics.bytesReceived += chunk.length
    if (this.#state === 'new' && this.reader.waiting === 0 && chunk[0] !== PACKET.CONNECT << 4) {
      this.#failed(new ProtocolError(REASON.MALFORMED_PACKET, 'the first packet is no CONNECT'))
      return
    }
    batches.begin()
    this.reader.read(chunk)
    batches.end()
  }

  /** A client that has finished sending cannot acknowledge anything. */
  end(): void {
    this.channel.destroy()
  }

  drain(): void {
    this.#ports.operation.batches.batch(() => {
      this.sender.buffer.drained()
      this.session?.outgoing.pump()
      this.#resume()
    })
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.reader.close()
    this.sender.buffer.close()
    this.counted.remove()
    this.#closed()
    this.#handshake?.abandon()
    this.#ended(REASON.UNSPECIFIED_ERROR, 'publish')
  }

  /** True if the connection was silent for too long, or did not close in time. */
  isLate(): boolean {
    if (this.#state !== 'open') return this.#state !== 'closed' && this.#timeouts.isPastDeadline
    // While handlers keep the broker from reading, silence proves nothing; but a client that does not take its acknowledgements is late.
    return this.#timeouts.isSilent(this.reader.paused && !this.sender.full)
  }

  /** Ends a connection that is late. */
  expire(): void {
    if (this.#state === 'new') this.#ports.counters.refusal(408, 'header-timeout', this.channel)
    if (this.#state === 'open') this.disconnect(REASON.KEEP_ALIVE_TIMEOUT, '')
    else this.channel.destroy()
  }

  disconnect(reasonCode: number, reason: string, will: WillHandling = reasonCode === REASON.SERVER_SHUTTING_DOWN ? 'keep' : 'publish'): void {
    if (this.#state !== 'open') {
      this.destroy()
      return
    }
    if (this.version === 5) this.sender.send(encodeDisconnect(reasonCode, this.sender.wantsProblems ? reason : ''))
    this.#finish(reasonCode, will)
  }

  disconnectSilently(): void {
    if (this.#state === 'open') this.#finish(REASON.UNSPECIFIED_ERROR, 'publish')
  }

  speak(version: number): void {
    this.version = version
    this.sender.version = version
  }

  refuse(code: number, properties?: Parameters<typeof encodeConnack>[3]): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.sender.send(encodeConnack(this.version, false, code, properties))
    this.#finish(code, 'delete')
  }

  destroy(): void {
    if (this.#state !== 'closed') this.#state = 'closing'
    this.reader.close()
    this.#handshake?.abandon()
    this.channel.destroy()
    this.#ended(REASON.UNSPECIFIED_ERROR, 'publish')
  }

  opened(keepAlive: number): void {
    this.#state = 'open'
    this.#connected = true
    this.#handshake = null
    this.reader.maxPacketSize = this.#ports.operation.settings.maxPacketSize
    this.#timeouts.keepAlive = keepAlive
    this.counted.keepAlive(true)
  }

  proceed(): void {
    if (this.#state === 'connecting') this.reader.read(null)
    else this.#resume()
  }

  hold(on: boolean): void {
    this.reader.held = on
    if (!on) this.#resume()
  }

  /** Runs the DISCONNECT of an accepted connection, and ends its scope. */
  endScope(): void {
    const { context } = this
    if (!this.disconnected || context === null) return
    this.context = null
    if (this.#connected) this.#ports.requests.disconnect(context, this.#endReason)
    else void context.end('disconnect')
  }

  #packet(bytes: Buffer, start: number, body: number, end: number): boolean {
    this.#timeouts.incompleteSince = Number.POSITIVE_INFINITY
    const first = bytes[start] as number
    const type = first >> 4
    const { operation, decoder } = this.#ports
    if (type !== PACKET.PUBLISH) operation.statistics.controlReceived++
    if (this.#state !== 'open') return this.#connect(bytes, start, body, end)
    switch (first) {
      case PACKET.PUBACK << 4:
      case PACKET.PUBREC << 4:
      case PACKET.PUBCOMP << 4:
      case (PACKET.PUBREL << 4) | 2: {
        // The packet identifier above the reason code.
        const value = decodeAcknowledgement(bytes, body, end, type, this.version, operation.settings.limits.headerCount)
        if (type === PACKET.PUBREL) this.#publishes().release(value >> 8)
        else (this.session as Session).outgoing.acknowledge(type, value >> 8, value & 255)
        return true
      }
      case PACKET.PINGREQ << 4:
        if (body !== end) break
        this.sender.send(PINGRESP)
        return this.#reads()
      default:
        if (type !== PACKET.PUBLISH) break
        return this.#publishes().receive(bytes, start, body, end) && ((!this.reader.held && !this.sender.buffer.blocked) || this.#reads())
    }
    this.#control(decoder.decode(bytes, start, body, end, this.version))
    return this.#state === 'open' && this.#reads()
  }

  #publishes(): PublishReceiver {
    return (this.#receiver ??= new PublishReceiver(this, this.session as Session, this.#ports))
  }

  #control(packet: ClientPacket): void {
    const session = this.session as Session
    if (packet.type === 'SUBSCRIBE') this.#ports.subscribe.subscribe(this, session, packet)
    else if (packet.type === 'UNSUBSCRIBE') this.#ports.subscribe.unsubscribe(this, session, packet)
    else if (packet.type === 'DISCONNECT') this.#disconnectedBy(packet, session)
    else if (packet.type === 'AUTH') {
      this.#handshake ??= new Handshake(this, this.#ports)
      this.#handshake.reauthenticate(packet)
    } else throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a second CONNECT')
  }

  #disconnectedBy({ reasonCode, sessionExpiryInterval }: DisconnectPacket, session: Session): void {
    if (sessionExpiryInterval !== undefined) {
      if (sessionExpiryInterval > 0 && !session.persistent)
        throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a session without expiry cannot be given one')
      session.changeExpiry(sessionExpiryInterval)
    }
    // With reason code 4 the client asks for its will to be published (MQTT 5 section 3.14.2.1).
    this.#finish(reasonCode, reasonCode === REASON.DISCONNECT_WITH_WILL ? 'publish' : 'delete')
  }

  /** False while the pipeline runs: the next packet waits for its outcome. */
  #connect(bytes: Buffer, start: number, body: number, end: number): boolean {
    if (this.#state === 'new') {
      this.#state = 'connecting'
      this.#ports.operation.statistics.connects++
      this.#handshake = new Handshake(this, this.#ports)
    }
    this.#handshake?.receive(bytes, start, body, end)
    return this.isOpen || this.#handshake?.expects === true
  }

  /** False while the client does not take its acknowledgements, and while a packet is worked on in slices. */
  #reads(): boolean {
    return !this.reader.held && !this.sender.buffer.full
  }

  #resume(): void {
    if (this.#state !== 'open') return
    const { batches } = this.#ports.operation
    batches.begin()
    if ((this.#receiver?.reads ?? true) && this.#reads()) this.reader.read(null)
    batches.end()
  }

  /** An error ends this connection only. */
  #failed(error: unknown): void {
    if (!(error instanceof ProtocolError)) {
      this.#ports.operation.logger.error('iopa: an MQTT connection failed', error)
      this.disconnect(REASON.UNSPECIFIED_ERROR, '')
      return
    }
    this.#ports.operation.logger.debug(`iopa: MQTT client ${this.remoteAddress} broke the protocol: ${error.message}`)
    this.#ports.counters.refusal(400, 'malformed-message', this.channel)
    if (this.#state === 'open') this.disconnect(error.reasonCode, error.message)
    else this.destroy()
  }

  /** Closes after everything has been written; `reasonCode` is that of the client, or of the server. */
  #finish(reasonCode: number, will: WillHandling): void {
    this.#state = 'closing'
    this.#timeouts.closing()
    this.reader.close()
    this.sender.buffer.flush()
    this.channel.resume()
    this.channel.end()
    this.#ended(reasonCode, will)
  }

  /** Leaves the session, once, whatever ends the connection first. Messages in work are finished before the scope ends. */
  #ended(reasonCode: number, will: WillHandling): void {
    this.validity.close()
    if (this.disconnected) return
    this.disconnected = true
    this.#endReason = reasonCode
    if (this.session !== null) this.#ports.sessions.disconnected(this.session, this, will, reasonCode)
    if ((this.#receiver?.inWork ?? 0) === 0) this.endScope()
  }
}
