import type { Will } from '../codec/packets.ts'
import type { StoredWill } from '../store.ts'
import type { Broker } from './broker.ts'
import { Message } from './message.ts'
import { Publication, type PublicationOwner } from './publication.ts'
import type { Session } from './session.ts'

/** What the end of a connection means for its will: published, forgotten, kept until the broker is back, or forgotten when the client returns soon. */
export type WillFate = 'publish' | 'drop' | 'keep' | 'pardon'

/** A will that waits for its client to vanish (MQTT 5 section 3.1.2.5). */
export class PendingWill {
  readonly message: Message
  /** Seconds between the broken connection and the will. */
  readonly delayInterval: number
  /** Seconds, -1 for none; they begin when the will is published. */
  readonly messageExpiryInterval: number

  constructor(message: Message, delayInterval: number, messageExpiryInterval: number) {
    this.message = message
    this.delayInterval = delayInterval
    this.messageExpiryInterval = messageExpiryInterval
  }

  static from({ topic, payload, qos, retain, properties, delayInterval, messageExpiryInterval }: Will): PendingWill {
    return new PendingWill(Message.of(topic, Buffer.from(topic), payload, qos, retain, properties, 0, null), delayInterval, messageExpiryInterval)
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

/** Publishes a session's will as that session's user, and calls back when it has been handled. */
export function publishWill(broker: Broker, session: Session, done: () => void): void {
  const { will } = session
  session.will = null
  session.willAt = Number.POSITIVE_INFINITY
  const topic = will ? broker.topics.get(will.message.topic) : null
  if (!will || !topic) {
    done()
    return
  }
  const { payload, qos, retain, properties } = will.message
  const expiresAt = will.messageExpiryInterval < 0 ? 0 : broker.elapsed() + will.messageExpiryInterval * 1000
  const message = Message.of(topic.name, topic.bytes, payload, qos, retain, properties, expiresAt, session)
  const owner: PublicationOwner = {
    handled: () => undefined,
    done: ({ status, reason }) => {
      if (status >= 400) broker.losses.note('a will is refused', `that of ${session.name}, ${status} ${reason}`)
      done()
    }
  }
  broker.publishing.start(new Publication(session, session.context, topic, message, 0, false, true, owner))
}
