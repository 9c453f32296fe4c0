import type { Journal } from '../operation/journal.ts'
import type { Delivery } from './delivery-queue.ts'

/**
 * The messages of QoS 1 and 2 that were sent to one client and not acknowledged, by packet identifier, and what the store keeps of a queue.
 * A stored message gets its packet identifier before it is sent, so that after a restart it is sent again as the same message.
 */
export class InflightMessages {
  readonly #journal: Journal
  /** The name of the session in the store. */
  readonly #key: string
  /** In the order in which they were sent. */
  readonly #messages: Map<number, Delivery> = new Map()
  /** Packet identifiers of messages that are about to be sent. */
  #reserved: Set<number> | null = null
  readonly #identifiers = new PacketIdentifiers()
  readonly #inUse = { has: (packetId: number): boolean => this.#messages.has(packetId) || this.#reserved?.has(packetId) === true }
  #lastSequence = 0

  constructor(journal: Journal, key: string) {
    this.#journal = journal
    this.#key = key
  }

  get size(): number {
    return this.#messages.size
  }

  get(packetId: number): Delivery | undefined {
    return this.#messages.get(packetId)
  }

  values(): IterableIterator<Delivery> {
    return this.#messages.values()
  }

  /** Adds a message that is sent now, with its packet identifier. */
  add(delivery: Delivery): void {
    if (delivery.packetId === 0) delivery.packetId = this.#identifiers.next(this.#inUse)
    this.#messages.set(delivery.packetId, delivery)
    this.#reserved?.delete(delivery.packetId)
  }

  /** Removes a message that is done, here and in the store. */
  remove(delivery: Delivery): void {
    this.#messages.delete(delivery.packetId)
    this.forget(delivery)
  }

  /** Gives a message its packet identifier before it is sent. */
  reserve(delivery: Delivery): void {
    delivery.packetId = this.#identifiers.next(this.#inUse)
    this.#reserved ??= new Set()
    this.#reserved.add(delivery.packetId)
  }

  /** Takes the packet identifier of a message back: the store could not keep it. */
  release(delivery: Delivery): void {
    this.#reserved?.delete(delivery.packetId)
    delivery.packetId = 0
  }

  /** Gives a message its place among the stored messages of the session. */
  sequence(delivery: Delivery): void {
    delivery.sequence = ++this.#lastSequence
  }

  /** Writes a message to the store, if it is one of those that are stored. */
  store(delivery: Delivery): void {
    if (delivery.sequence === 0) return
    this.#journal.add({ kind: 'message', clientId: this.#key, sequence: delivery.sequence, value: delivery.toStored() })
  }

  /** Removes a message from the store. */
  forget(delivery: Delivery): void {
    this.#reserved?.delete(delivery.packetId)
    if (delivery.sequence === 0) return
    this.#journal.add({ kind: 'message', clientId: this.#key, sequence: delivery.sequence, value: null })
  }

  /** Adds a message that the store kept; false if it was not sent before. */
  restore(delivery: Delivery): boolean {
    this.#lastSequence = Math.max(this.#lastSequence, delivery.sequence)
    if (delivery.packetId === 0) return false
    this.#messages.set(delivery.packetId, delivery)
    return true
  }

  clear(): void {
    this.#messages.clear()
  }
}

/** Packet identifiers of the messages that a server sends, from 1; each is used again only when it is free (MQTT 5 section 2.2.1). */
export class PacketIdentifiers {
  #last = 0

  /** The next one that is not in use; the caller keeps fewer than 65,535 in use. */
  next(inUse: { has(packetId: number): boolean }): number {
    do this.#last = this.#last === 65_535 ? 1 : this.#last + 1
    while (inUse.has(this.#last))
    return this.#last
  }
}
