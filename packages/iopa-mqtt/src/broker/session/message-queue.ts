import type { StoredDelivery } from '../../store.ts'
import { APP, type Quota } from '../operation/quota.ts'
import { Message } from '../topics/message.ts'

/** Bounds of a queue. */
export interface QueueLimits {
  readonly queueMessages: number
  readonly queueBytes: number
}

/** What waits to be sent to one session, first in, first out, bounded in number and bytes; of a state only the newest representation waits. */
export class DeliveryQueue {
  readonly #limits: QueueLimits
  readonly #total: Quota
  readonly #account: string
  #items: (Delivery | null)[] = []
  #head = 0
  #count = 0
  #bytes = 0
  #states: Map<string, number> | null = null

  /** `account` is whose share of the total it takes. */
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

  /** True when nothing more fits. */
  get full(): boolean {
    return this.bound || this.#total.room <= 0
  }

  /** True when nothing more fits by its own bounds, or by its account's share of all. */
  get bound(): boolean {
    return this.#count >= this.#limits.queueMessages || this.#bytes >= this.#limits.queueBytes || this.#total.exceeds(this.#account)
  }

  /** Appends a delivery; false when there is no room. What a state replaces is given to `replaced`. */
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

  /** Appends a delivery whatever the bounds are: one that was acknowledged before the broker started. */
  restore(delivery: Delivery): void {
    this.#items.push(delivery)
    this.#count++
    this.#weigh(delivery.message.size)
  }

  peek(): Delivery | undefined {
    return this.#items[this.#head] ?? undefined
  }

  /** What came last and is not out yet. */
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

  /** Takes everything out. */
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
export class Delivery {
  readonly message: Message
  /** Effective QoS, 0 to 2. */
  readonly qos: number
  readonly retain: boolean
  readonly identifiers: readonly number[]
  /** 0 until it is about to be sent. */
  packetId = 0
  /** True after PUBREC: only PUBREL is sent from then on. */
  released = false
  /** True when the store has kept that it was released. */
  releaseKept = false
  /** True when it was sent on the present connection and not acknowledged. */
  underWay = false
  /** Place among the stored messages of its session; 0 when it is not stored. */
  sequence = 0
  /** False while the store has not kept it yet: it is not sent before. */
  kept = true
  /** True when the store could not keep it: its sender was told so, and it is not sent. */
  cancelled = false
  /** True when its client has come back since it was queued: whether it may still have it is asked before it is sent. */
  unproven = false
  /** True while that is asked. */
  asking = false
  /** True for the representation of a state, which the next one replaces. */
  readonly state: boolean

  constructor(message: Message, qos: number, retain: boolean, identifiers: readonly number[], state: boolean) {
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
    const delivery = new Delivery(Message.fromStored(stored.message, stored.retain), stored.qos, stored.retain, stored.subscriptionIdentifiers, false)
    delivery.packetId = stored.packetId
    delivery.released = delivery.releaseKept = stored.released
    delivery.sequence = sequence
    return delivery
  }
}

/** Packet identifiers of what a server sends, from 1, each given out again only when it is free (MQTT 5 section 2.2.1). */
export class PacketIdentifiers {
  #last = 0

  /** The next one that is not in use; the caller keeps fewer than 65,535 in use. */
  next(inUse: { has(packetId: number): boolean }): number {
    do this.#last = this.#last === 65_535 ? 1 : this.#last + 1
    while (inUse.has(this.#last))
    return this.#last
  }
}
