import type { Clock } from '@iopa/transport'
import type { Statistics } from '../operation/statistics.ts'
import type { Forwarder } from './forwarder.ts'
import { Message } from './message.ts'
import type { RetainedMessages } from './retained-messages.ts'
import type { TopicTable } from './topic-table.ts'

/** Figures averaged over minutes, under `$SYS/broker/load/`. */
const LOADS: Readonly<Record<string, (counted: Statistics) => number>> = {
  'messages/received': ({ received, controlReceived }) => received + controlReceived,
  'messages/sent': ({ sent, controlSent }) => sent + controlSent,
  'publish/received': ({ received }) => received,
  'publish/sent': ({ sent }) => sent,
  'publish/dropped': ({ dropped }) => dropped,
  'bytes/received': ({ bytesReceived }) => bytesReceived,
  'bytes/sent': ({ bytesSent }) => bytesSent,
  connections: ({ connects }) => connects,
  sockets: ({ sockets }) => sockets
}

/** What is counted when figures are published. */
export interface Figures {
  readonly sessions: number
  readonly connected: number
  /** Messages in the queues of sessions, those in flight included. */
  readonly waiting: number
  /** Messages of QoS 1 and 2 that were sent and not acknowledged. */
  readonly inflight: number
  readonly queuedBytes: number
  readonly subscriptions: number
  readonly sharedSubscriptions: number
}

/** Where the figures come from and go to. */
export interface SystemTopicsPorts {
  readonly statistics: Statistics
  readonly topics: TopicTable
  readonly retained: RetainedMessages
  readonly forwarder: Forwarder
}

/** Publishes figures of the broker under `$SYS/broker/`, with the names that mosquitto uses. */
export class SystemTopics {
  readonly #ports: SystemTopicsPorts
  readonly #clock: Clock
  readonly #count: () => Figures
  readonly #startedAt: number
  readonly #last = new Map<string, string>()
  readonly #loads = Object.entries(LOADS).map(([name, count]) => ({ name, count, averages: new LoadAverages() }))
  #publishedAt: number
  #mostHeap = 0

  constructor(ports: SystemTopicsPorts, clock: Clock, count: () => Figures) {
    this.#ports = ports
    this.#clock = clock
    this.#count = count
    this.#startedAt = this.#publishedAt = clock.elapsed()
  }

  /** Publishes the figures that have changed since the last time; retained, so that a new subscriber gets all of them at once. */
  publish(): void {
    const now = this.#clock.elapsed()
    // Rounded times would not differ from the interval by more than the clock's error.
    const seconds = Math.max(0.001, (now - this.#publishedAt) / 1000)
    this.#publishedAt = now
    const figures = this.#figures(Math.round((now - this.#startedAt) / 1000))
    for (const [name, value] of Object.entries(figures)) this.#send(`$SYS/broker/${name}`, String(value))
    for (const { name, count, averages } of this.#loads) {
      for (const [minutes, average] of averages.update(count(this.#ports.statistics), seconds))
        this.#send(`$SYS/broker/load/${name}/${minutes}`, average.toFixed(2))
    }
  }

  #figures(uptime: number): Record<string, number | string> {
    const { statistics: counters, retained } = this.#ports
    const { sessions, connected, waiting, inflight, queuedBytes, subscriptions, sharedSubscriptions } = this.#count()
    const heap = process.memoryUsage().heapUsed
    this.#mostHeap = Math.max(this.#mostHeap, heap)
    counters.mostClients = Math.max(counters.mostClients, sessions)
    const away = sessions - connected
    return {
      version: 'iopa 5.0',
      uptime: `${uptime} seconds`,
      'clients/total': sessions,
      'clients/connected': connected,
      'clients/disconnected': away,
      // Older names, which monitors still use.
      'clients/active': connected,
      'clients/inactive': away,
      'clients/maximum': counters.mostClients,
      'clients/expired': counters.expired,
      'clients/evicted': counters.evicted,
      'messages/received': counters.received + counters.controlReceived,
      'messages/sent': counters.sent + counters.controlSent,
      'messages/inflight': inflight,
      'messages/stored': retained.size + waiting,
      'store/messages/count': retained.size + waiting,
      'store/messages/bytes': retained.bytes + queuedBytes,
      'publish/messages/received': counters.received,
      'publish/messages/sent': counters.sent,
      'publish/messages/dropped': counters.dropped,
      'publish/messages/dropped/absent': counters.absent,
      'publish/messages/expired': counters.outdated,
      'publish/bytes/received': counters.payloadReceived,
      'publish/bytes/sent': counters.payloadSent,
      'bytes/received': counters.bytesReceived,
      'bytes/sent': counters.bytesSent,
      'subscriptions/count': subscriptions,
      'shared_subscriptions/count': sharedSubscriptions,
      'retained messages/count': retained.size,
      'heap/current': heap,
      'heap/maximum': this.#mostHeap,
      'queues/bytes': queuedBytes,
      'store/damaged': counters.damaged
    }
  }

  #send(name: string, value: string): void {
    const { topics, retained, forwarder } = this.#ports
    const topic = topics.get(name)
    if (!topic || this.#last.get(name) === value) return
    this.#last.set(name, value)
    const message = Message.of(topic, { payload: Buffer.from(value), qos: 0, retain: true })
    retained.set(message)
    forwarder.relay(message, topic, () => undefined)
  }
}

/** Minutes of the averages. */
const MINUTES = [1, 5, 15] as const

/** Events per minute, as exponentially weighted averages over 1, 5 and 15 minutes. */
export class LoadAverages {
  readonly #averages = MINUTES.map(() => 0)
  #last = 0

  /** Takes the present count, `seconds` after the last one; returns the averages by name, such as `5min`. */
  update(count: number, seconds: number): (readonly [string, number])[] {
    const rate = ((count - this.#last) * 60) / seconds
    this.#last = count
    return MINUTES.map((minutes, index) => {
      const before = this.#averages[index] as number
      const average = rate + Math.exp(-seconds / (60 * minutes)) * (before - rate)
      this.#averages[index] = average
      return [`${minutes}min`, average] as const
    })
  }
}
