import type { StoredDelivery } from '../store.ts'
import { Message } from './message.ts'

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
