import type { Connection } from '../remote/connection.ts'
import type { InboundMessage } from '../remote/message.ts'

/** `strict` acknowledges in the order of arrival ([MQTT-4.6.0-2]); `any` as soon as the work is done. */
export type AckOrder = 'strict' | 'any'

/** A message that waits for its acknowledgement. */
export interface AckSlot {
  readonly packetId: number
  done: boolean
}

/**
 * Acknowledgements of one connection. Work finishes in any order, acknowledgements leave in the order of arrival: a finished one waits for
 * those before it. A queue belongs to one connection: its packet identifiers mean nothing on another one (MQTT 5 section 2.2.1).
 */
export class AckQueue {
  readonly #order: AckOrder
  readonly #release: (packetId: number) => void
  readonly #slots: AckSlot[] = []
  #head = 0

  /** `release` is called once for each slot, with its packet identifier, and must not throw. */
  constructor(order: AckOrder, release: (packetId: number) => void) {
    this.#order = order
    this.#release = release
  }

  add(packetId: number): AckSlot {
    const slot: AckSlot = { packetId, done: false }
    if (this.#order === 'strict') this.#slots.push(slot)
    return slot
  }

  /** Marks a slot as done, and releases whatever may leave now. Doing it twice changes nothing. */
  complete(slot: AckSlot): void {
    if (slot.done) return
    slot.done = true
    if (this.#order === 'any') {
      this.#release(slot.packetId)
      return
    }
    while (this.#slots[this.#head]?.done) {
      const { packetId } = this.#slots[this.#head++]!
      this.#release(packetId)
    }
    if (this.#head > 1024 || this.#head === this.#slots.length) {
      this.#slots.splice(0, this.#head)
      this.#head = 0
    }
  }
}

/** A message that the worker has taken, and where its acknowledgement goes. */
export interface Delivery {
  readonly message: InboundMessage
  connection: Connection
  /** Null for QoS 0. */
  slot: AckSlot | null
  /** Handled; its acknowledgement may have to wait for others, or may have missed its connection. */
  done: boolean
}

/**
 * Acknowledges QoS 1 messages when they have been handled, and recognises those that the broker sends again after a reconnect: a message is not
 * handled twice while its handler runs or has finished, it is only acknowledged on the new connection.
 */
export class Acknowledgements {
  readonly #order: AckOrder
  readonly #queues = new WeakMap<Connection, AckQueue>()
  /** QoS 1 messages not acknowledged yet, by packet identifier, which a resumed session keeps (MQTT 5 section 4.4). */
  readonly #unacknowledged = new Map<number, Delivery>()

  constructor(order: AckOrder) {
    this.#order = order
  }

  /** A message that has come; null for one that was taken before. */
  take(message: InboundMessage, connection: Connection): Delivery | null {
    const slot = message.qos === 1 ? this.#queueOf(connection).add(message.packetId) : null
    if (slot === null) return { message, connection, slot, done: false }
    const known = this.#unacknowledged.get(message.packetId)
    if (!known || !message.dup || known.connection === connection || !isSame(known.message, message))
      return { message, connection, slot, done: false }
    known.connection = connection
    known.slot = slot
    if (known.done) this.#queueOf(connection).complete(slot)
    return null
  }

  /** Remembers a message that will be handled, until it is acknowledged. */
  remember(delivery: Delivery): void {
    if (delivery.slot) this.#unacknowledged.set(delivery.message.packetId, delivery)
  }

  /** Acknowledges a message, as soon as those before it are. */
  complete(delivery: Delivery): void {
    delivery.done = true
    if (delivery.slot) this.#queueOf(delivery.connection).complete(delivery.slot)
  }

  /** Acknowledges a message that is not for this app. */
  skip(message: InboundMessage, connection: Connection): void {
    if (message.qos !== 1) return
    const queue = this.#queueOf(connection)
    queue.complete(queue.add(message.packetId))
  }

  /** The broker has lost our session: nothing comes again under its old identifier. */
  forget(): void {
    for (const [packetId, { done }] of this.#unacknowledged) if (done) this.#unacknowledged.delete(packetId)
  }

  #queueOf(connection: Connection): AckQueue {
    let queue = this.#queues.get(connection)
    if (!queue) {
      queue = new AckQueue(this.#order, packetId => {
        // What cannot be acknowledged any more is remembered: the broker sends it again, and it is not handled again.
        if (!connection.connected) return
        connection.acknowledge(packetId)
        if (this.#unacknowledged.get(packetId)?.connection === connection) this.#unacknowledged.delete(packetId)
      })
      this.#queues.set(connection, queue)
    }
    return queue
  }
}

const isSame = (one: InboundMessage, other: InboundMessage): boolean => one.topic === other.topic && Buffer.compare(one.payload, other.payload) === 0
