import type { StoredDelivery } from '../../store.ts'
import { APP, type Quota } from '../operation/quota.ts'
import type { StagedMessage } from '../ports.ts'
import { Message } from '../topics/message.ts'

/** Bounds of a queue. */
export interface QueueLimits {
  readonly queueMessages: number
  readonly queueBytes: number
}

/** Messages that wait to be sent to one session, first in, first out, bounded in number and bytes. Of a state only the newest representation waits. */
export class DeliveryQueue {
  readonly #limits: QueueLimits
  readonly #total: Quota
  readonly #account: string
  #items: (Delivery | null)[] = []
  #head = 0
  #count = 0
  #bytes = 0
  #states: Map<string, number> | null = null

  /** `account` is the account whose share of the total it counts against. */
  constructor(limits: QueueLimits, total: Quota, account: string = APP) {
    this.#account = account
    this.#limits = limits
    this.#total = total
  }

  get size(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  /** True if nothing more fits. */
  get full(): boolean {
    return this.bound || this.#total.room <= 0
  }

  /** True if nothing more fits in this queue, or in the share of its account. */
  get bound(): boolean {
    return this.#count >= this.#limits.queueMessages || this.#bytes >= this.#limits.queueBytes || this.#total.exceeds(this.#account)
  }

  /** Appends a delivery; false if there is no room. `replaced` gets the delivery that a newer state replaces. */
  push(delivery: Delivery, replaced: (old: Delivery) => void): boolean {
    if (delivery.state) {
      const index = this.#states?.get(delivery.message.topic)
      const old = index === undefined ? null : (this.#items[index] ?? null)
      if (index !== undefined && old !== null && old.qos === delivery.qos) {
        this.#items[index] = delivery
        this.#weigh(delivery.message.size - old.message.size)
        replaced(old)
        return true
      }
    }
    const size = delivery.message.size
    if (this.#count >= this.#limits.queueMessages || !this.#total.allows(this.#account, size)) return false
    // One message that is alone larger than the bound may still wait.
    if (this.#count > 0 && this.#bytes + size > this.#limits.queueBytes) return false
    if (delivery.state) (this.#states ??= new Map()).set(delivery.message.topic, this.#items.length)
    this.restore(delivery)
    return true
  }

  /** Appends a delivery beyond the bounds: one that the store kept. */
  restore(delivery: Delivery): void {
    this.#items.push(delivery)
    this.#count++
    this.#weigh(delivery.message.size)
  }

  peek(): Delivery | undefined {
    return this.#items[this.#head] ?? undefined
  }

  /** The newest one. */
  get last(): Delivery | undefined {
    return this.#items[this.#items.length - 1] ?? undefined
  }

  /** The first few that wait. */
  first(count: number): Delivery[] {
    return this.#items.slice(this.#head, this.#head + count) as Delivery[]
  }

  shift(): Delivery | undefined {
    const delivery = this.#items[this.#head]
    if (!delivery) return undefined
    if (delivery.state) this.#states?.delete(delivery.message.topic)
    this.#items[this.#head++] = null
    this.#count--
    this.#weigh(-delivery.message.size)
    if (this.#count === 0) {
      this.#items = []
      this.#head = 0
      this.#states = null
    } else if (this.#head >= 1024 && this.#head * 2 > this.#items.length) {
      this.#items.splice(0, this.#head)
      if (this.#states) for (const [topic, index] of this.#states) this.#states.set(topic, index - this.#head)
      this.#head = 0
    }
    return delivery
  }

  /** Removes and returns everything. */
  clear(): Delivery[] {
    const outgoing = this.#items.slice(this.#head).filter((item): item is Delivery => item !== null)
    this.#items = []
    this.#head = 0
    this.#count = 0
    this.#states = null
    this.#weigh(-this.#bytes)
    return outgoing
  }

  #weigh(bytes: number): void {
    this.#bytes += bytes
    this.#total.add(this.#account, bytes)
  }
}

/** One message on its way to one session. */
export class Delivery implements StagedMessage {
  readonly message: Message
  /** Effective QoS, 0 to 2. */
  readonly qos: number
  readonly retain: boolean
  readonly identifiers: readonly number[]
  /** 0 until it is about to be sent. */
  packetId = 0
  /** True after PUBREC: only PUBREL is sent from then on. */
  released = false
  /** True once the store has kept that it was released. */
  releaseKept = false
  /** True if it was sent on the present connection and not acknowledged. */
  underWay = false
  /** Place among the stored messages of its session; 0 when it is not stored. */
  sequence = 0
  /** False until the store has kept it; it is sent only after that. */
  kept = true
  /** True if it must not be sent: the store could not keep it and its publisher was refused, or the session lost the authorization. */
  cancelled = false
  /** True if the client has reconnected since it was queued: the authorization is checked again before it is sent. */
  unchecked = false
  /** True while that check runs. */
  checking = false
  /** True for the representation of a state, which a newer one replaces in the queue. */
  readonly state: boolean

  constructor(message: Message, qos: number, retain: boolean, identifiers: readonly number[], state = false) {
    this.message = message
    this.qos = qos
    this.retain = retain
    this.identifiers = identifiers
    this.state = state
  }

  toStored(): StoredDelivery {
    return {
      message: this.message.toStored(),
      qos: this.qos,
      retain: this.retain,
      subscriptionIdentifiers: this.identifiers,
      packetId: this.packetId,
      released: this.released
    }
  }

  static fromStored(stored: StoredDelivery, sequence: number): Delivery {
    const delivery = new Delivery(Message.fromStored(stored.message, stored.retain), stored.qos, stored.retain, stored.subscriptionIdentifiers)
    delivery.packetId = stored.packetId
    delivery.released = delivery.releaseKept = stored.released
    delivery.sequence = sequence
    return delivery
  }
}
