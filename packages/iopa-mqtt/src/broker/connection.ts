import type { ByteChannel, ByteReceiver, Context, Connection as CountedConnection, RequestSource } from '@iopa/transport'
import { FrameGuard } from '../codec/frame-guard.ts'
import { encodeConnack, encodeDisconnect, PINGRESP } from '../codec/packet-encoder.ts'
import { PACKET } from '../codec/packet-types.ts'
import type { AuthPacket } from '../codec/packets.ts'
import { ProtocolError } from '../codec/protocol-error.ts'
import { decodeAcknowledgement } from '../codec/publish-decoder.ts'
import { REASON } from '../codec/reason-codes.ts'
import { handleAcknowledgement } from './acknowledgements.ts'
import type { Broker } from './broker.ts'
import { ConnectionValidity } from './connection-validity.ts'
import { handleControlPacket } from './control-packets.ts'
import { Departure } from './departure.ts'
import type { MqttEndpoint } from './endpoint.ts'
import { Handshake } from './handshake.ts'
import { Intake } from './intake.ts'
import { PacketSender } from './packet-sender.ts'
import type { Session } from './session.ts'
import type { WillFate } from './wills.ts'

type State = 'new' | 'connecting' | 'open' | 'closing' | 'closed'

/** Bytes of a packet before CONNECT has been accepted. */
const LARGEST_CONNECT = 16_384
/** Milliseconds a peer has to close its side after it was said goodbye. */
const GOODBYE = 2000

/** One network connection of a client: the state machine of its packets (MQTT 5 section 4). */
export class Connection implements ByteReceiver {
  readonly broker: Broker
  readonly channel: ByteChannel
  readonly counted: CountedConnection
  readonly sender: PacketSender
  readonly #guard: FrameGuard
  /** A bridge of another broker (see ConnectPacket). */
  bridge = false
  session: Session | null = null
  context: Context | null = null
  endpoint: MqttEndpoint | null = null
  /** The headers of its CONNECT. */
  source: RequestSource | null = null
  /** Of its CONNECT, null for none (MQTT 5 section 4.12). */
  authenticationMethod: string | null = null
  /** Milliseconds without a packet after which the client counts as gone; 0 for never. */
  timeout = 0
  lastActive: number
  readonly #closed: () => void
  #state: State = 'new'
  #handshake: Handshake | null = null
  #intake: Intake | null = null
  #paused = false
  #held = false
  /** When the packet began that has come in part; Infinity while there is none, and while nothing is read. */
  #begun = Number.POSITIVE_INFINITY
  /** When a connection that is closing is destroyed. */
  #deadline = 0
  readonly #departure = new Departure(this)
  readonly validity: ConnectionValidity = new ConnectionValidity(this)

  /** `closed` is called when the channel is gone. */
  constructor(broker: Broker, channel: ByteChannel, counted: CountedConnection, closed: () => void) {
    this.#closed = closed
    this.broker = broker
    this.channel = channel
    this.counted = counted
    this.sender = new PacketSender(broker, channel)
    this.#guard = new FrameGuard(Math.min(LARGEST_CONNECT, broker.maxPacketSize), (bytes, start, body, end) => this.#packet(bytes, start, body, end))
    this.lastActive = broker.elapsed()
    this.#deadline = this.lastActive + broker.limits.headerTimeout
  }

  /** 3, 4 or 5. */
  get version(): number {
    return this.sender.version
  }

  /** True while the client authenticates again. */
  get authenticating(): boolean {
    return this.#handshake?.underWay === true
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  data(chunk: Uint8Array): void {
    const { broker } = this
    this.lastActive = broker.elapsed()
    broker.counters.bytesReceived += chunk.length
    if (this.#state === 'new' && this.#guard.waiting === 0 && chunk[0] !== PACKET.CONNECT << 4) {
      this.destroy()
      return
    }
    broker.flusher.begin()
    this.#guarded(() => this.#guard.push(chunk))
    broker.flusher.end()
  }

  end(): void {
    // An MQTT client that has finished sending can acknowledge nothing any more.
    this.channel.destroy()
  }

  drain(): void {
    this.broker.flusher.batch(() => {
      this.sender.outbox.drained()
      this.session?.deliveries.pump()
      this.#continue()
    })
  }

  close(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#guard.close()
    this.sender.outbox.close()
    this.counted.remove()
    this.#closed()
    this.#handshake?.abandon()
    this.#depart(REASON.UNSPECIFIED_ERROR, 'publish')
  }

  /** True when the connection has been silent, or has not gone, for too long. */
  isLate(): boolean {
    const now = this.broker.elapsed()
    if (this.#state !== 'open') return this.#state !== 'closed' && this.#deadline <= now
    if (now - this.#begun > this.broker.limits.requestTimeout) return true
    if (this.timeout === 0 || now - this.lastActive <= this.timeout) return false
    // While handlers keep it from being read, silence proves nothing; a client that takes no answers has no such excuse.
    return !this.#paused || this.sender.outbox.full
  }

  /** Ends a connection that is late. */
  expire(): void {
    // A packet that never ends is silence, too.
    if (this.#state === 'open') this.disconnect(REASON.KEEP_ALIVE_TIMEOUT, '')
    else this.channel.destroy()
  }

  /** Says why, where the version has words for it, and closes. */
  disconnect(reasonCode: number, reason: string, will: WillFate = reasonCode === REASON.SERVER_SHUTTING_DOWN ? 'keep' : 'publish'): void {
    if (this.#state !== 'open') {
      this.destroy()
      return
    }
    if (this.version === 5) this.sender.send(encodeDisconnect(reasonCode, this.sender.wantsProblems ? reason : ''))
    this.leave(reasonCode, will)
  }

  /** Closes without an acknowledgement, so that the client sends again when it returns. */
  abandon(): void {
    if (this.#state === 'open') this.leave(REASON.UNSPECIFIED_ERROR, 'publish')
  }

  /** Refuses the CONNECT. */
  refuse(code: number, properties?: Parameters<typeof encodeConnack>[3]): void {
    if (this.#state === 'closing' || this.#state === 'closed') return
    this.sender.send(encodeConnack(this.version, false, code, properties))
    this.leave(code, 'drop')
  }

  destroy(): void {
    if (this.#state !== 'closed') this.#state = 'closing'
    this.#guard.close()
    this.#handshake?.abandon()
    this.channel.destroy()
    this.#depart(REASON.UNSPECIFIED_ERROR, 'publish')
  }

  /** Closes when everything written has left; `reasonCode` and `will` are what the client said, or what the broker found. */
  leave(reasonCode: number, will: WillFate): void {
    this.#state = 'closing'
    this.#deadline = this.broker.elapsed() + GOODBYE
    this.#guard.close()
    this.sender.outbox.flush()
    this.channel.resume()
    this.channel.end()
    this.#depart(reasonCode, will)
  }

  /** The CONNECT was accepted: packets flow. */
  opened(session: Session, aliasMaximum: number): void {
    this.#state = 'open'
    this.#departure.connected = true
    this.#handshake = null
    this.#guard.maxPacketSize = this.broker.maxPacketSize
    this.sender.aliasMaximum = Math.min(aliasMaximum, this.broker.options.topicAliasMaximum)
    this.session = session
    this.#intake = null
    this.counted.keepAlive(true)
  }

  /** Goes on with the packets that came while the CONNECT was in work, or that an authentication waits for. */
  proceed(): void {
    if (this.#state === 'connecting') this.#guarded(() => this.#guard.resume())
    else this.#continue()
  }

  /** The number of messages in work has changed. */
  workChanged(inWork: number): void {
    this.counted.busy(inWork)
    if (this.#paused) this.#continue()
    if (inWork === 0) this.#departure.workEnded()
  }

  /** An authentication anew while packets flow. */
  reauthenticate(packet: AuthPacket): void {
    this.#handshake ??= new Handshake(this)
    this.#handshake.reauthenticate(packet)
  }

  #packet(bytes: Buffer, start: number, body: number, end: number): boolean {
    this.#begun = Number.POSITIVE_INFINITY
    const first = bytes[start] as number
    const type = first >> 4
    if (type !== PACKET.PUBLISH) this.broker.counters.controlReceived++
    if (this.#state === 'new') return this.#connect(bytes, start, body, end)
    if (this.#state === 'connecting') return this.#authenticate(bytes, start, body, end)
    const session = this.session as Session
    switch (first) {
      case PACKET.PUBACK << 4:
      case PACKET.PUBREC << 4:
      case PACKET.PUBCOMP << 4:
        handleAcknowledgement(this, session, type, bytes, body, end)
        return true
      case (PACKET.PUBREL << 4) | 2:
        this.#intakeOf(session).release(decodeAcknowledgement(bytes, body, end, PACKET.PUBREL, this.version, this.broker.limits.headerCount) >> 8)
        return true
      case PACKET.PINGREQ << 4:
        if (body !== end) break
        this.sender.send(PINGRESP)
        return !this.#hold()
      default:
        if (type === PACKET.PUBLISH) return this.#intakeOf(session).receive(bytes, start, body, end) && !this.#hold()
    }
    handleControlPacket(this, session, this.broker.decoder.decode(bytes, start, body, end, this.version))
    return this.#state === 'open' && !this.#hold()
  }

  #connect(bytes: Buffer, start: number, body: number, end: number): boolean {
    this.#state = 'connecting'
    this.broker.counters.connects++
    this.#handshake = new Handshake(this)
    this.#handshake.start(bytes, start, body, end)
    return this.isOpen || this.#handshake?.expects === true
  }

  #authenticate(bytes: Buffer, start: number, body: number, end: number): boolean {
    const packet = this.broker.decoder.decode(bytes, start, body, end, this.version)
    if (packet.type !== 'AUTH') throw new ProtocolError(REASON.PROTOCOL_ERROR, 'an authentication is under way')
    this.#handshake?.proceed(packet)
    return this.isOpen || this.#handshake?.expects === true
  }

  /** Stops reading while a packet is worked on in slices. */
  hold(on: boolean): void {
    this.#held = on
    if (!on) this.#continue()
  }

  /** Stops reading while the client does not take its answers, and while a packet is worked on in slices. */
  #hold(): boolean {
    return this.#held || this.sender.outbox.full
  }

  #continue(): void {
    if (this.#state !== 'open') return
    const { broker } = this
    broker.flusher.begin()
    this.#guarded(() => {
      if ((this.#intake?.reads ?? true) && !this.#hold()) this.#guard.resume()
    })
    broker.flusher.end()
  }

  /** Runs what reads packets; what they break ends this connection alone. */
  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (error instanceof ProtocolError) this.#violated(error)
      else {
        this.broker.host.logger.error('iopa: an MQTT connection failed', error)
        this.disconnect(REASON.UNSPECIFIED_ERROR, '')
      }
    }
    const { stopped, waiting } = this.#guard
    if (stopped || waiting === 0) this.#begun = Number.POSITIVE_INFINITY
    else if (this.#begun === Number.POSITIVE_INFINITY) this.#begun = this.broker.elapsed()
    this.#pause(stopped)
  }

  #violated({ reasonCode, message }: ProtocolError): void {
    this.broker.host.logger.debug(`iopa: MQTT client ${this.channel.remoteAddress} broke the protocol: ${message}`)
    if (this.#state === 'open') this.disconnect(reasonCode, message)
    else this.destroy()
  }

  #pause(paused: boolean): void {
    if (paused === this.#paused || this.#state === 'closed' || this.#state === 'closing') return
    this.#paused = paused
    if (paused) this.channel.pause()
    else {
      this.lastActive = this.broker.elapsed()
      this.channel.resume()
    }
  }

  #depart(reasonCode: number, will: WillFate): void {
    this.validity.close()
    this.#departure.begin(reasonCode, will, this.#intake?.inWork ?? 0)
  }

  #intakeOf(session: Session): Intake {
    return (this.#intake ??= new Intake(this, session))
  }
}
