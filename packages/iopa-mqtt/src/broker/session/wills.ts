import type { Will } from '../../codec/packets.ts'
import type { StoredWill } from '../../store.ts'
import { Publication, type PublicationOwner } from '../app/publication.ts'
import type { Broker } from '../broker.ts'
import { Message } from '../topics/message.ts'
import type { Session } from './session.ts'

/** What the end of a connection means for its will: published, forgotten, kept until the broker is back, or forgotten when the client returns soon. */
export type WillHandling = 'publish' | 'drop' | 'keep' | 'pardon'

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

/** Milliseconds within which a client whose user has expired may return before its will is published. */
export const PARDON = 30_000

/** Sessions that have ended with their user's time, whose wills wait for the client to return. */
export class GraceWills {
  readonly #most: number
  readonly #now: () => number
  readonly #release: (session: Session) => void
  readonly #held = new Map<string, Session>()

  /** `most` are held at a time; `release` publishes the will of one, if it still has one, and forgets it. */
  constructor(most: number, now: () => number, release: (session: Session) => void) {
    this.#most = most
    this.#now = now
    this.#release = release
  }

  /** Takes a session that has ended; it is released at once where there is nothing to wait for, or no room. */
  add(session: Session): void {
    const waits = session.will !== null && session.pardonedUntil > this.#now()
    if (waits && this.#held.size < this.#most) this.#held.set(session.key, session)
    else this.#release(session)
  }

  /** The client of a session is back in time: its will is not published. */
  grant(key: string): void {
    const session = this.#held.get(key)
    if (session === undefined) return
    this.#held.delete(key)
    session.will = null
    this.#release(session)
  }

  /** Forgets the wills of a revoked user. */
  revoke(user: string): void {
    for (const [key, session] of this.#held) if (session.user === user) this.grant(key)
  }

  /** Releases those whose time is over. */
  sweep(): void {
    for (const [key, session] of this.#held) {
      // In the order in which they ended: the first has the least time left.
      if (session.pardonedUntil > this.#now()) return
      this.#held.delete(key)
      this.#release(session)
    }
  }

  /** Ends what is left when the broker closes. */
  async close(): Promise<void> {
    for (const { context } of this.#held.values()) await context.end('shutdown')
  }
}
