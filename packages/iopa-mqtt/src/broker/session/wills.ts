import type { Will } from '../../codec/packets.ts'
import type { StoredWill } from '../../store.ts'
import { Message } from '../topics/message.ts'

/** The will of a session (MQTT 5 section 3.1.2.5). */
export class PendingWill {
  readonly message: Message
  /** Seconds between the end of the connection and the publication. */
  readonly delayInterval: number
  /** Seconds from the publication on; -1 for none. */
  readonly messageExpiryInterval: number

  constructor(message: Message, delayInterval: number, messageExpiryInterval: number) {
    this.message = message
    this.delayInterval = delayInterval
    this.messageExpiryInterval = messageExpiryInterval
  }

  static from({ topic, payload, qos, retain, properties, delayInterval, messageExpiryInterval }: Will): PendingWill {
    const message = Message.of({ name: topic, bytes: Buffer.from(topic) }, { payload, qos, retain, properties })
    return new PendingWill(message, delayInterval, messageExpiryInterval)
  }

  static fromStored({ message, retain, delayInterval, messageExpiryInterval }: StoredWill): PendingWill {
    return new PendingWill(Message.fromStored(message, retain), delayInterval, messageExpiryInterval)
  }

  toStored(): StoredWill {
    return {
      message: this.message.toStored(),
      retain: this.message.retain,
      delayInterval: this.delayInterval,
      messageExpiryInterval: this.messageExpiryInterval
    }
  }
}
