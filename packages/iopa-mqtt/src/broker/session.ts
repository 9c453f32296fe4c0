import type { Context, RequestSource } from '@iopa/appbuilder'
import { REASON } from '../codec/reason-codes.ts'
import type { StoredSession } from '../store.ts'
import type { Broker } from './broker.ts'
import type { Connection } from './connection.ts'
import { Delivery } from './delivery.ts'
import { DeliveryQueue } from './delivery-queue.ts'
import type { Message } from './message.ts'
import type { ObservedTopic } from './observed-topic.ts'
import { PacketIdentifiers } from './packet-identifiers.ts'
import type { Recipient } from './recipients.ts'
import { Replays } from './replays.ts'
import type { Subscription } from './subscription.ts'
import type { Topic } from './topic-table.ts'
import { Verdicts } from './verdicts.ts'
import type { PendingWill } from './wills.ts'

/** Never expires (MQTT 5 section 3.1.2.11.2). */
export const FOREVER = 0xffff_ffff

/** What a QoS 2 message has in place of a reason code while its handler works. */
export const IN_WORK = -1

/** What the broker keeps of one client, over its connections (MQTT 5 section 4.1). */
export class Session {
  readonly clientId: string
  readonly broker: Broker
  version: number
  /** Null while the client is away. */
  connection: Connection | null = null
  /** The connection whose CONNECT was accepted last; it becomes `connection` when CONNACK is sent. */
  claim: Connection | null = null
  /** The scope of the session; in its name the broker reads what the client has subscribed to. */
  context: Context
  /** The headers of its CONNECT. */
  source: RequestSource | null = null
  /** What it observes by exact filters, by topic. */
  observed: Map<string, ObservedTopic> | null = null
  /** Seconds that it outlives its connection. */
  expiryInterval = 0
  /** Milliseconds since 1970, while the client is away; Infinity for never. */
  expiresAt: number = Number.POSITIVE_INFINITY
  will: PendingWill | null = null
  /** When a delayed will is published, in milliseconds since 1970; Infinity for none. */
  willAt: number = Number.POSITIVE_INFINITY
  ended = false
  readonly subscriptions: Map<string, Subscription> = new Map()
  /** QoS 2 messages that came and were not released: packet identifier to reason code. */
  received: Map<number, number> | null = null
  /** What was sent and not acknowledged, by packet identifier, in order. */
  readonly inflight: Map<number, Delivery> = new Map()
  readonly queue: DeliveryQueue
  /** Whether it may receive from a topic. */
  readonly verdicts: Verdicts
  /** Whether it may have answers published to a topic. */
  readonly replyVerdicts: Verdicts
  readonly replays: Replays
  /** Messages that were dropped since the client was slow or away. */
  dropped = 0
  /** Of `inflight`, what is to be sent again. */
  #resend: Delivery[] = []
  readonly #identifiers = new PacketIdentifiers()
  /** Packet identifiers of messages that wait. */
  #reserved: Set<number> | null = null
  readonly #identifiersInUse = { has: (packetId: number): boolean => this.inflight.has(packetId) || this.#reserved?.has(packetId) === true }
  #lastSequence = 0

  constructor(broker: Broker, clientId: string, version: number, context: Context) {
    this.broker = broker
    this.clientId = clientId
    this.version = version
    this.context = context
    this.queue = new DeliveryQueue(broker.limits, broker.queued)
    this.verdicts = new Verdicts(this, readRequest)
    this.replyVerdicts = new Verdicts(this, replyRequest)
    this.replays = new Replays(this)
  }

  /** True when the session outlives its connection. */
  get persistent(): boolean {
    return this.expiryInterval > 0
  }

  /** True when the store keeps it. */
  get stored(): boolean {
    return this.persistent && this.broker.journal.active
  }

  /** True when a further message would have to wait. */
  get congested(): boolean {
    return (
      this.connection === null || this.queue.size > 0 || this.connection.sender.outbox.full || this.inflight.size >= this.connection.sender.window
    )
  }

  /** Sends a message that a live subscription matches. */
  deliver(message: Message, recipient: Recipient): void {
    this.give(message, Math.min(message.qos, recipient.qos), recipient.retainAsPublished && message.retain, recipient.identifiers, false)
  }

  /** Sends a message with this QoS and RETAIN flag, or has it wait. */
  give(message: Message, qos: number, retain: boolean, identifiers: readonly number[], state: boolean): void {
    const connection = this.connection
    if (qos === 0) {
      if (connection === null) return
      if (!connection.sender.outbox.full) connection.sender.publish(message, 0, retain, false, 0, identifiers)
      else if (!state || !this.queue.push(new Delivery(message.detach(), 0, retain, identifiers, true), this.#replaced)) this.drop()
      return
    }
    if (this.ended) return
    const delivery = new Delivery(message, qos, retain, identifiers, state)
    if (!this.stored && !this.congested) this.#transmit(delivery, false)
    else this.#enqueue(delivery)
  }

  /** Has a delivery wait until the store has kept it; `pump` after that sends it. */
  stage(message: Message, recipient: Recipient): Delivery | null {
    const qos = Math.min(message.qos, recipient.qos)
    const delivery = new Delivery(message, qos, recipient.retainAsPublished && message.retain, recipient.identifiers, false)
    delivery.kept = false
    return this.#enqueue(delivery) ? delivery : null
  }

  /** Counts a message that the client does not get. */
  drop(): void {
    this.dropped++
    this.broker.counters.dropped++
  }

  /** Sends what waits, as far as the client takes it. */
  pump(): void {
    const connection = this.connection
    if (connection === null) return
    this.#sendAgain(connection)
    for (let next = this.queue.peek(); next; next = this.queue.peek()) {
      if (!next.kept || connection.sender.outbox.full) return
      if (next.qos > 0 && this.inflight.size >= connection.sender.window) return
      this.queue.shift()
      if (next.cancelled || next.message.isExpired(this.broker.now())) this.#forget(next)
      else if (next.qos === 0) connection.sender.publish(next.message, 0, next.retain, false, 0, next.identifiers)
      else this.#transmit(next, false)
    }
    this.replays.pump()
  }

  /** Gives messages that have been under way for a while bytes of their own, so that they do not hold the chunks they came in. */
  detach(): void {
    if (this.inflight.size > 0) for (const { message } of this.inflight.values()) message.detach()
  }

  /** Begins to send anew after the client came back: what it may have missed first (MQTT 5 section 4.4). */
  resume(): void {
    this.#resend = [...this.inflight.values()]
    this.pump()
  }

  acknowledged(packetId: number): void {
    const delivery = this.inflight.get(packetId)
    if (delivery?.qos !== 1) return
    this.inflight.delete(packetId)
    this.#forget(delivery)
    this.pump()
  }

  /** PUBREC: true when PUBREL follows, false when the client refused the message, null when it is not known. */
  receivedByPeer(packetId: number, reasonCode: number): boolean | null {
    const delivery = this.inflight.get(packetId)
    if (delivery?.qos !== 2) return null
    if (reasonCode >= REASON.UNSPECIFIED_ERROR) {
      this.completed(packetId)
      return false
    }
    if (!delivery.released) {
      delivery.released = true
      this.#update(delivery)
    }
    return true
  }

  completed(packetId: number): void {
    const delivery = this.inflight.get(packetId)
    if (delivery?.qos !== 2) return
    this.inflight.delete(packetId)
    this.#forget(delivery)
    this.pump()
  }

  /** Takes back what a store kept. */
  restore(delivery: Delivery): void {
    this.#lastSequence = Math.max(this.#lastSequence, delivery.sequence)
    if (delivery.packetId > 0) this.inflight.set(delivery.packetId, delivery)
    else this.queue.push(delivery, this.#replaced)
  }

  toStored(): StoredSession {
    return {
      protocolVersion: this.version,
      expiryInterval: this.expiryInterval,
      expiresAt: this.connection === null && this.expiresAt !== Number.POSITIVE_INFINITY ? this.expiresAt : null,
      will: this.will?.toStored() ?? null,
      user: plainJson(this.context['server.User'])
    }
  }

  /** Frees what waits; the session is over. */
  clear(): void {
    this.queue.clear()
    this.inflight.clear()
    this.replays.clear()
    this.received = null
  }

  #enqueue(delivery: Delivery): boolean {
    delivery.message.detach()
    if (!this.queue.push(delivery, this.#replaced)) {
      this.drop()
      return false
    }
    if (this.stored && delivery.qos > 0) {
      delivery.sequence = ++this.#lastSequence
      // Sent under another identifier after a crash, a message of QoS 2 would be a second one to the client.
      if (delivery.qos === 2) {
        delivery.packetId = this.#identifiers.next(this.#identifiersInUse)
        this.#reserved ??= new Set()
        this.#reserved.add(delivery.packetId)
      }
      this.#update(delivery)
    }
    if (delivery.kept) this.pump()
    return true
  }

  #transmit(delivery: Delivery, dup: boolean): void {
    const connection = this.connection as Connection
    if (delivery.packetId === 0) delivery.packetId = this.#identifiers.next(this.#identifiersInUse)
    if (!dup) this.inflight.set(delivery.packetId, delivery)
    this.#reserved?.delete(delivery.packetId)
    if (connection.sender.publish(delivery.message, delivery.qos, delivery.retain, dup, delivery.packetId, delivery.identifiers)) return
    // Too large for this client: it counts as delivered (MQTT 5 section 3.1.2.11.4).
    this.inflight.delete(delivery.packetId)
    this.#forget(delivery)
  }

  #sendAgain(connection: Connection): void {
    while (this.#resend.length > 0 && !connection.sender.outbox.full) {
      const next = this.#resend.shift() as Delivery
      if (this.inflight.get(next.packetId) !== next) continue
      if (next.released) connection.sender.release(next.packetId, REASON.SUCCESS)
      else if (next.message.isExpired(this.broker.now()) && next.qos === 1) {
        this.inflight.delete(next.packetId)
        this.#forget(next)
      } else this.#transmit(next, true)
    }
  }

  #update(delivery: Delivery): void {
    if (delivery.sequence > 0) {
      this.broker.journal.add({ kind: 'message', clientId: this.clientId, sequence: delivery.sequence, value: delivery.toStored() })
    }
  }

  #forget(delivery: Delivery): void {
    if (delivery.sequence > 0) this.broker.journal.add({ kind: 'message', clientId: this.clientId, sequence: delivery.sequence, value: null })
  }

  readonly #replaced = (old: Delivery): void => this.#forget(old)
}

const readRequest = (session: Session, topic: Topic): Context => session.broker.requests.read(session, topic)
const replyRequest = (session: Session, topic: Topic): Context => session.broker.requests.reply(session, topic)

/** The value when it is plain JSON, else null: what a store can keep and give back. */
function plainJson(value: unknown): unknown {
  try {
    const text = JSON.stringify(value)
    return text === undefined ? null : JSON.parse(text)
  } catch {
    return null
  }
}
