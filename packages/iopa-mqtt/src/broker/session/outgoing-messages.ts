import { PACKET } from '../../codec/packet-types.ts'
import { ProtocolError } from '../../codec/protocol-error.ts'
import { REASON } from '../../codec/reason-codes.ts'
import type { Operation } from '../operation/operation.ts'
import type { Quota } from '../operation/quota.ts'
import type { DropReason } from '../operation/statistics.ts'
import type { ClientConnection, Grant, OutgoingQueue } from '../ports.ts'
import type { Message } from '../topics/message.ts'
import { Delivery, DeliveryQueue } from './delivery-queue.ts'
import { InflightMessages } from './inflight-messages.ts'

/** The session whose client the messages are for. */
export interface OutgoingOwner {
  readonly key: string
  readonly account: string
  readonly connection: ClientConnection | null
  readonly stored: boolean
  readonly ended: boolean
  readonly overflowed: boolean
  /** Counts and logs a message that the client does not get. */
  drop(reason?: DropReason): void
  /** Counts a message of QoS 0 for a client that is away. */
  miss(): void
  /** Ends the session: a message of QoS 1 or 2 found no room. */
  overflow(): void
  /** True if a message that waited for the client may still be sent; if that is not known yet, `again` is called when it is. */
  check(delivery: Delivery, again: () => void): boolean
  /** Called when nothing waits any more. */
  drained(): void
}

/** The messages on their way to one client: those that wait, and those that were sent and not acknowledged (MQTT 5 sections 4.4, 4.9). */
export class OutgoingMessages implements OutgoingQueue {
  readonly #owner: OutgoingOwner
  readonly #operation: Pick<Operation, 'clock' | 'journal' | 'statistics'>
  readonly queue: DeliveryQueue
  readonly inflight: InflightMessages
  /** Messages in flight that have not been sent again on this connection. */
  #resend: Delivery[] = []
  /** Messages sent and not acknowledged on this connection, bounded by its receive maximum. */
  #unacknowledged = 0

  constructor(owner: OutgoingOwner, operation: Pick<Operation, 'settings' | 'clock' | 'journal' | 'statistics'>, queued: Quota) {
    this.#owner = owner
    this.#operation = operation
    this.queue = new DeliveryQueue(operation.settings.limits, queued, owner.account)
    this.inflight = new InflightMessages(operation.journal, owner.key)
  }

  /** True if a further message would wait. */
  get congested(): boolean {
    const { connection } = this.#owner
    return (
      connection === null ||
      this.queue.size > 0 ||
      this.#resend.length > 0 ||
      connection.sender.full ||
      this.#unacknowledged >= connection.sender.window
    )
  }

  /** True if the client's own queue or the share of its account is full. */
  get bound(): boolean {
    return this.queue.bound
  }

  /** Messages that wait, or were sent and not acknowledged. */
  get waiting(): number {
    return this.queue.size + this.inflight.size
  }

  /** Sends a message that a live subscription matches. */
  deliver(message: Message, recipient: Grant): void {
    this.give(message, Math.min(message.qos, recipient.qos), recipient.retainAsPublished && message.retain, recipient.identifiers)
  }

  /** Sends a message with this QoS and RETAIN flag, or queues it; `state` marks a representation that a newer one replaces. */
  give(message: Message, qos: number, retain: boolean, identifiers: readonly number[], state = false): void {
    const { connection } = this.#owner
    if (qos === 0) {
      if (connection === null) {
        if (!this.#owner.ended) this.#owner.miss()
        return
      }
      if (!connection.sender.full) connection.sender.publish(message, 0, retain, false, 0, identifiers)
      else if (!state || !this.queue.push(new Delivery(message.detach(), 0, retain, identifiers, true), this.#replaced)) this.#owner.drop()
      return
    }
    if (this.#owner.ended) return
    if (this.#owner.overflowed) {
      this.#owner.overflow()
      return
    }
    const delivery = new Delivery(message, qos, retain, identifiers, state)
    if (!this.#owner.stored && !this.congested) this.#transmit(delivery, false)
    else this.#enqueue(delivery)
  }

  /** Queues a message until the store has kept it; `pump` then sends it. */
  stage(message: Message, recipient: Grant): Delivery | null {
    const qos = Math.min(message.qos, recipient.qos)
    const delivery = new Delivery(message, qos, recipient.retainAsPublished && message.retain, recipient.identifiers)
    delivery.kept = false
    return this.#enqueue(delivery) ? delivery : null
  }

  /** Sends queued messages as far as the client takes them. */
  pump(): void {
    const { connection } = this.#owner
    const { clock, statistics } = this.#operation
    if (connection === null || !this.#sendAgain(connection)) return
    for (let next = this.queue.peek(); next; next = this.queue.peek()) {
      if (!next.kept || connection.sender.full || (next.unchecked && !this.#owner.check(next, this.#pumpOn))) return
      if (next.qos > 0 && this.#unacknowledged >= connection.sender.window) return
      if (next.cancelled || (next.message.expires && next.message.isExpired(clock.elapsed()))) {
        if (!next.cancelled) statistics.outdated++
        this.queue.shift()
        this.inflight.forget(next)
      } else if (next.sequence > 0 && next.packetId === 0) {
        this.#identify(connection)
        return
      } else {
        this.queue.shift()
        if (next.qos === 0) connection.sender.publish(next.message, 0, next.retain, false, 0, next.identifiers)
        else this.#transmit(next, false)
      }
    }
    this.#owner.drained()
  }

  /** Copies messages in flight out of the chunks that they came in. */
  detach(): void {
    if (this.inflight.size > 0) for (const { message } of this.inflight.values()) message.detach()
  }

  /** Restarts sending after the client has reconnected. Unacknowledged messages go first (MQTT 5 section 4.4). */
  resume(): void {
    this.#unacknowledged = 0
    this.#resend = [...this.inflight.values()]
    for (const delivery of this.#resend) {
      delivery.underWay = false
      delivery.unchecked = !delivery.released
    }
    for (const delivery of this.queue.first(this.queue.size)) delivery.unchecked = true
    this.pump()
  }

  /** PUBACK, PUBREC or PUBCOMP (MQTT 5 sections 4.3.2, 4.3.3). @throws ProtocolError for a packet that does not fit the QoS of the message */
  acknowledge(type: number, packetId: number, reasonCode: number): void {
    const delivery = this.inflight.get(packetId)
    const { connection } = this.#owner
    if (delivery === undefined) {
      // A failure for an unknown identifier needs no PUBREL: the client has dropped the message.
      if (type === PACKET.PUBREC && reasonCode < REASON.UNSPECIFIED_ERROR)
        connection?.sender.acknowledge(PACKET.PUBREL, packetId, REASON.PACKET_IDENTIFIER_NOT_FOUND, null)
      return
    }
    if (type === PACKET.PUBACK && delivery.qos !== 1) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBACK answers a message of QoS 2')
    if (type === PACKET.PUBREC && delivery.qos !== 2) throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBREC answers a message of QoS 1')
    if (type === PACKET.PUBCOMP && !delivery.released)
      throw new ProtocolError(REASON.PROTOCOL_ERROR, 'a PUBCOMP answers a message that was not released')
    if (type === PACKET.PUBREC && reasonCode < REASON.UNSPECIFIED_ERROR) {
      if (connection !== null) this.#release(delivery, connection)
    } else {
      this.#settle(delivery)
      this.pump()
    }
  }

  /** Adds a message that the store kept. */
  restore(delivery: Delivery): void {
    if (!this.inflight.restore(delivery)) this.queue.restore(delivery)
  }

  /** Drops everything: the session has ended. */
  clear(): void {
    this.queue.clear()
    this.inflight.clear()
    this.#resend = []
  }

  #enqueue(delivery: Delivery): boolean {
    if (this.#owner.overflowed) {
      this.#owner.overflow()
      return false
    }
    delivery.message.detach()
    const { connection, stored } = this.#owner
    // A message that is sent as soon as it is kept is stored together with its packet identifier.
    const leaves =
      stored &&
      connection !== null &&
      this.#resend.length === 0 &&
      !connection.sender.full &&
      this.#unacknowledged + this.queue.size < connection.sender.window &&
      this.queue.last?.packetId !== 0
    if (!this.queue.push(delivery, this.#replaced)) {
      this.#owner.overflow()
      return false
    }
    if (stored && delivery.qos > 0) {
      this.inflight.sequence(delivery)
      if (leaves) this.inflight.reserve(delivery)
      this.inflight.store(delivery)
    }
    if (delivery.kept) this.pump()
    return true
  }

  /** Gives messages that may be sent now their packet identifiers, and sends them once the store has kept those. */
  #identify(connection: ClientConnection): void {
    const next = this.queue.first(connection.sender.window - this.#unacknowledged)
    const identified: Delivery[] = []
    for (const delivery of next) {
      if (!delivery.kept || delivery.packetId > 0 || delivery.sequence === 0) break
      this.inflight.reserve(delivery)
      delivery.kept = false
      this.inflight.store(delivery)
      identified.push(delivery)
    }
    this.#operation.journal.kept(kept => {
      for (const delivery of identified) {
        delivery.kept = true
        if (!kept) this.inflight.release(delivery)
      }
      if (kept) this.pump()
      else connection.disconnect(REASON.UNSPECIFIED_ERROR, NOT_KEPT)
    })
  }

  #transmit(delivery: Delivery, dup: boolean): void {
    const connection = this.#owner.connection as ClientConnection
    if (!dup) this.inflight.add(delivery)
    if (connection.sender.publish(delivery.message, delivery.qos, delivery.retain, dup, delivery.packetId, delivery.identifiers)) {
      delivery.underWay = true
      this.#unacknowledged++
      return
    }
    // Too large for this client: for its session it counts as delivered (MQTT 5 section 3.1.2.11.4).
    this.#owner.drop('too-large')
    this.inflight.remove(delivery)
  }

  /** Sends messages in flight again after a reconnection, within the receive maximum; true when none is left. */
  #sendAgain(connection: ClientConnection): boolean {
    while (this.#resend.length > 0) {
      const next = this.#resend[0] as Delivery
      const live = this.inflight.get(next.packetId) === next
      if (live && (connection.sender.full || (next.unchecked && !this.#owner.check(next, this.#pumpOn)))) return false
      // A message that the client may not have any more is not sent again; of QoS 2 the client may have begun it, so PUBREL ends it there.
      if (live && next.cancelled && next.qos === 1) this.#settle(next)
      else if (live && (next.released || next.cancelled)) this.#release(next, connection)
      else if (live && next.qos === 1 && next.message.isExpired(this.#operation.clock.elapsed())) this.#settle(next)
      else if (live) {
        if (this.#unacknowledged >= connection.sender.window) return false
        this.#transmit(next, true)
      }
      this.#resend.shift()
    }
    return true
  }

  /** Sends PUBREL once the store has kept that the client has the message. */
  #release(delivery: Delivery, connection: ClientConnection): void {
    const send = (): void => {
      if (this.#owner.connection === connection && this.inflight.get(delivery.packetId) === delivery)
        connection.sender.acknowledge(PACKET.PUBREL, delivery.packetId, REASON.SUCCESS, null)
    }
    delivery.released = true
    if (delivery.sequence === 0 || delivery.releaseKept) {
      send()
      return
    }
    this.inflight.store(delivery)
    this.#operation.journal.kept(kept => {
      delivery.releaseKept ||= kept
      if (kept) send()
      else connection.disconnect(REASON.UNSPECIFIED_ERROR, NOT_KEPT)
    })
  }

  /** The client needs nothing more of this message. */
  #settle(delivery: Delivery): void {
    if (delivery.underWay) this.#unacknowledged--
    delivery.underWay = false
    this.inflight.remove(delivery)
  }

  readonly #pumpOn = (): void => this.pump()

  readonly #replaced = (old: Delivery): void => this.inflight.forget(old)
}

const NOT_KEPT = 'the store of this server fails'
