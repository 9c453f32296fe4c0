import { ProtocolError } from '../../codec/protocol-error.ts'
import { REASON } from '../../codec/reason-codes.ts'
import type { Connection } from '../connection/connection.ts'
import type { Message } from '../topics/message.ts'
import type { Recipient } from '../topics/subscription.ts'
import { Delivery, DeliveryQueue, PacketIdentifiers } from './message-queue.ts'
import type { Session } from './session.ts'
import { prove } from './topic-authorization.ts'

/**
 * The messages on their way to one client: those that wait, and those that were sent and not acknowledged (MQTT 5 sections 4.4, 4.9).
 * What a store keeps of a message names its packet identifier before the message leaves, so that after a restart it is sent again as the
 * same message and not as another one.
 */
export class OutgoingMessages {
  readonly #session: Session
  readonly #queue: DeliveryQueue
  /** What was sent and not acknowledged, by packet identifier, in order. */
  readonly #inflight: Map<number, Delivery> = new Map()
  /** Of `#inflight`, what has not been sent again on this connection. */
  #resend: Delivery[] = []
  /** Messages that this connection has not acknowledged: what its receive maximum bounds. */
  #unacknowledged = 0
  readonly #identifiers = new PacketIdentifiers()
  /** Packet identifiers of messages that are about to be sent. */
  #reserved: Set<number> | null = null
  readonly #identifiersInUse = { has: (packetId: number): boolean => this.#inflight.has(packetId) || this.#reserved?.has(packetId) === true }
  #lastSequence = 0

  constructor(session: Session) {
    this.#session = session
    this.#queue = new DeliveryQueue(session.broker.limits, session.broker.queued, session.account)
  }

  /** True when a further message would have to wait. */
  get congested(): boolean {
    const { connection } = this.#session
    return (
      connection === null ||
      this.#queue.size > 0 ||
      this.#resend.length > 0 ||
      connection.sender.buffer.full ||
      this.#unacknowledged >= connection.sender.window
    )
  }

  /** True when a message would be lost for want of room in this client's own queue. */
  get full(): boolean {
    return this.#queue.full
  }

  /** True when a message would be lost for want of room in this client's own queue, or in its account's share of all. */
  get bound(): boolean {
    return this.#queue.bound
  }

  /** Messages that wait, or were sent and not acknowledged. */
  get waiting(): number {
    return this.#queue.size + this.#inflight.size
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#queue.bytes
  }

  /** Sends a message that a live subscription matches. */
  deliver(message: Message, recipient: Recipient): void {
    this.give(message, Math.min(message.qos, recipient.qos), recipient.retainAsPublished && message.retain, recipient.identifiers, false)
  }

  /** Sends a message with this QoS and RETAIN flag, or has it wait. */
  give(message: Message, qos: number, retain: boolean, identifiers: readonly number[], state: boolean): void {
    const { connection } = this.#session
    if (qos === 0) {
      if (connection === null) {
        if (!this.#session.ended) this.#session.miss()
        return
      }
      if (!connection.sender.buffer.full) connection.sender.publish(message, 0, retain, false, 0, identifiers)
      else if (!state || !this.#queue.push(new Delivery(message.detach(), 0, retain, identifiers, true), this.#replaced)) this.#session.drop()
      return
    }
    if (this.#session.ended) return
    if (this.#session.overflowed) {
      this.#session.overflow()
      return
    }
    const delivery = new Delivery(message, qos, retain, identifiers, state)
    if (!this.#session.stored && !this.congested) this.#transmit(delivery, false)
    else this.#enqueue(delivery)
  }

  /** Has a delivery wait until the store has kept it; `pump` after that sends it. */
  stage(message: Message, recipient: Recipient): Delivery | null {
    const qos = Math.min(message.qos, recipient.qos)
    const delivery = new Delivery(message, qos, recipient.retainAsPublished && message.retain, recipient.identifiers, false)
    delivery.kept = false
    return this.#enqueue(delivery) ? delivery : null
  }

  /** Sends what waits, as far as the client takes it. */
  pump(): void {
    const { connection, broker } = this.#session
    if (connection === null || !this.#sendAgain(connection)) return
    for (let next = this.#queue.peek(); next; next = this.#queue.peek()) {
      if (!next.kept || connection.sender.buffer.full || (next.unproven && !this.#prove(next))) return
      if (next.qos > 0 && this.#unacknowledged >= connection.sender.window) return
      if (next.cancelled || (next.message.expires && next.message.isExpired(broker.elapsed()))) {
        if (!next.cancelled) broker.counters.outdated++
        this.#queue.shift()
        this.#forget(next)
      } else if (next.sequence > 0 && next.packetId === 0) {
        this.#identify(connection)
        return
      } else {
        this.#queue.shift()
        if (next.qos === 0) connection.sender.publish(next.message, 0, next.retain, false, 0, next.identifiers)
        else this.#transmit(next, false)
      }
    }
    this.#session.initial.pump()
  }

  /** Gives messages that have been under way for a while bytes of their own, so that they do not hold the chunks they came in. */
  detach(): void {
    if (this.#inflight.size > 0) for (const { message } of this.#inflight.values()) message.detach()
  }

  /** Restarts sending after the client has reconnected. Unacknowledged messages go first (MQTT 5 section 4.4). */
  resume(): void {
    this.#unacknowledged = 0
    this.#resend = [...this.#inflight.values()]
    for (const delivery of this.#resend) {
      delivery.underWay = false
      delivery.unproven = !delivery.released
    }
    for (const delivery of this.#queue.first(this.#queue.size)) delivery.unproven = true
    this.pump()
  }

  /** PUBACK. */
  acknowledged(packetId: number): void {
    const delivery = this.#inflight.get(packetId)
    if (delivery === undefined) return
    if (delivery.qos !== 1) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBACK answers a message of QoS 2')
    this.#settle(delivery)
    this.pump()
  }

  /** PUBREC: PUBREL follows once the store has kept that it came (MQTT 5 section 4.3.3); false when the identifier is not known. */
  received(packetId: number, reasonCode: number): boolean {
    const delivery = this.#inflight.get(packetId)
    if (delivery === undefined) return false
    if (delivery.qos !== 2) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBREC answers a message of QoS 1')
    if (reasonCode >= REASON.UNSPECIFIED_ERROR) {
      this.#settle(delivery)
      this.pump()
    } else if (this.#session.connection !== null) this.#release(delivery, this.#session.connection)
    return true
  }

  /** PUBCOMP. */
  completed(packetId: number): void {
    const delivery = this.#inflight.get(packetId)
    if (delivery === undefined) return
    if (!delivery.released) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBCOMP answers a message that was not released')
    this.#settle(delivery)
    this.pump()
  }

  /** Takes back what a store kept. */
  restore(delivery: Delivery): void {
    this.#lastSequence = Math.max(this.#lastSequence, delivery.sequence)
    if (delivery.packetId > 0) this.#inflight.set(delivery.packetId, delivery)
    else this.#queue.restore(delivery)
  }

  /** Frees what waits; the session is over. */
  clear(): void {
    this.#queue.clear()
    this.#inflight.clear()
    this.#resend = []
  }

  #enqueue(delivery: Delivery): boolean {
    if (this.#session.overflowed) {
      this.#session.overflow()
      return false
    }
    delivery.message.detach()
    const { connection, stored } = this.#session
    // What leaves as soon as it is kept is stored with its identifier at once.
    const leaves =
      stored &&
      connection !== null &&
      this.#resend.length === 0 &&
      !connection.sender.buffer.full &&
      this.#unacknowledged + this.#queue.size < connection.sender.window &&
      this.#queue.last?.packetId !== 0
    if (!this.#queue.push(delivery, this.#replaced)) {
      this.#session.overflow()
      return false
    }
    if (stored && delivery.qos > 0) {
      delivery.sequence = ++this.#lastSequence
      if (leaves) this.#reserve(delivery)
      this.#update(delivery)
    }
    if (delivery.kept) this.pump()
    return true
  }

  #reserve(delivery: Delivery): void {
    delivery.packetId = this.#identifiers.next(this.#identifiersInUse)
    this.#reserved ??= new Set()
    this.#reserved.add(delivery.packetId)
  }

  /** Gives the messages that may leave now their identifiers, has the store keep those, and sends them after that. */
  #identify(connection: Connection): void {
    const next = this.#queue.first(connection.sender.window - this.#unacknowledged)
    const identified: Delivery[] = []
    for (const delivery of next) {
      if (!delivery.kept || delivery.packetId > 0 || delivery.sequence === 0) break
      this.#reserve(delivery)
      delivery.kept = false
      this.#update(delivery)
      identified.push(delivery)
    }
    this.#session.broker.journal.kept(kept => {
      for (const delivery of identified) {
        delivery.kept = true
        if (kept) continue
        this.#reserved?.delete(delivery.packetId)
        delivery.packetId = 0
      }
      if (kept) this.pump()
      else connection.disconnect(REASON.UNSPECIFIED_ERROR, NOT_KEPT)
    })
  }

  #transmit(delivery: Delivery, dup: boolean): void {
    const connection = this.#session.connection as Connection
    if (delivery.packetId === 0) delivery.packetId = this.#identifiers.next(this.#identifiersInUse)
    if (!dup) this.#inflight.set(delivery.packetId, delivery)
    this.#reserved?.delete(delivery.packetId)
    if (connection.sender.publish(delivery.message, delivery.qos, delivery.retain, dup, delivery.packetId, delivery.identifiers)) {
      delivery.underWay = true
      this.#unacknowledged++
      return
    }
    // Too large for this client: for its session it counts as delivered (MQTT 5 section 3.1.2.11.4).
    this.#session.drop(TOO_LARGE)
    this.#inflight.delete(delivery.packetId)
    this.#forget(delivery)
  }

  /** Sends again what is left of the last connection, within the receive maximum; true when nothing is. */
  #sendAgain(connection: Connection): boolean {
    while (this.#resend.length > 0) {
      const next = this.#resend[0] as Delivery
      const live = this.#inflight.get(next.packetId) === next
      if (live && (connection.sender.buffer.full || (next.unproven && !this.#prove(next)))) return false
      // What the client may not have any more goes no further; one of QoS 2 that it may have begun is ended there.
      if (live && next.cancelled && next.qos === 1) this.#settle(next)
      else if (live && (next.released || next.cancelled)) this.#release(next, connection)
      else if (live && next.qos === 1 && next.message.isExpired(this.#session.broker.elapsed())) this.#settle(next)
      else if (live) {
        if (this.#unacknowledged >= connection.sender.window) return false
        this.#transmit(next, true)
      }
      this.#resend.shift()
    }
    return true
  }

  /** Sends PUBREL when the store has kept that the client has the message. */
  #release(delivery: Delivery, connection: Connection): void {
    const send = (): void => {
      if (this.#session.connection === connection && this.#inflight.get(delivery.packetId) === delivery)
        connection.sender.release(delivery.packetId, REASON.SUCCESS)
    }
    delivery.released = true
    if (delivery.sequence === 0 || delivery.releaseKept) {
      send()
      return
    }
    this.#update(delivery)
    this.#session.broker.journal.kept(kept => {
      delivery.releaseKept ||= kept
      if (kept) send()
      else connection.disconnect(REASON.UNSPECIFIED_ERROR, NOT_KEPT)
    })
  }

  /** The client needs nothing more of this message. */
  #settle(delivery: Delivery): void {
    this.#inflight.delete(delivery.packetId)
    if (delivery.underWay) this.#unacknowledged--
    delivery.underWay = false
    this.#forget(delivery)
  }

  #prove(delivery: Delivery): boolean {
    return prove(this.#session, delivery, () => this.pump())
  }

  #update(delivery: Delivery): void {
    if (delivery.sequence === 0) return
    const { broker, key } = this.#session
    broker.journal.add({ kind: 'message', clientId: key, sequence: delivery.sequence, value: delivery.toStored() })
  }

  #forget(delivery: Delivery): void {
    this.#reserved?.delete(delivery.packetId)
    if (delivery.sequence === 0) return
    const { broker, key } = this.#session
    broker.journal.add({ kind: 'message', clientId: key, sequence: delivery.sequence, value: null })
  }

  readonly #replaced = (old: Delivery): void => this.#forget(old)
}

const TOO_LARGE = 'a message is dropped, for its client takes none of that size'
const NOT_KEPT = 'the store of this server fails'
