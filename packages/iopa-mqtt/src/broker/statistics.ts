import type { Broker } from './broker.ts'
import { Message } from './message.ts'

/** What a broker counts. */
export interface Counters {
  /** PUBLISH packets that came. */
  received: number
  /** PUBLISH packets that were sent. */
  sent: number
  /** Messages that a slow or absent client did not get. */
  dropped: number
  bytesReceived: number
  /** Records and writes of the store that were damaged when it was read. */
  damaged: number
  /** Idle sessions that ended to make room for other users. */
  evicted: number
}

/** Publishes figures of the broker under `$SYS/broker/`, as many brokers do, to those who have subscribed to them. */
export class Statistics {
  readonly #broker: Broker
  readonly #startedAt: number
  readonly #last = new Map<string, string>()

  constructor(broker: Broker) {
    this.#broker = broker
    this.#startedAt = broker.elapsed()
  }

  /** Publishes what has changed since the last time; retained, so that a new subscriber has every figure at once. */
  publish(): void {
    const { counters, sessions, trie, retained, queued } = this.#broker
    const values: Record<string, number | string> = {
      version: 'iopa 5.0',
      uptime: Math.round((this.#broker.elapsed() - this.#startedAt) / 1000),
      'clients/connected': sessions.connected,
      'clients/total': sessions.size,
      'clients/evicted': counters.evicted,
      'messages/received': counters.received,
      'messages/sent': counters.sent,
      'messages/dropped': counters.dropped,
      'bytes/received': counters.bytesReceived,
      'subscriptions/count': trie.size,
      'retained/count': retained.size,
      'retained/bytes': retained.bytes,
      'queues/bytes': queued.used,
      'store/damaged': counters.damaged
    }
    for (const [name, value] of Object.entries(values)) this.#send(`$SYS/broker/${name}`, String(value))
  }

  #send(name: string, value: string): void {
    const topic = this.#broker.topics.get(name)
    if (!topic || this.#last.get(name) === value) return
    this.#last.set(name, value)
    const message = Message.of(topic.name, topic.bytes, Buffer.from(value), 0, true, Buffer.alloc(0), 0, null)
    this.#broker.retained.set(message)
    this.#broker.distribution.deliver(message, topic)
  }
}
