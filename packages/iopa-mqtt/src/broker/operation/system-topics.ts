import type { Broker } from '../broker.ts'
import { Message } from '../topics/message.ts'
import type { Counters } from './statistics.ts'

/** What is averaged over minutes, under `$SYS/broker/load/`. */
const LOADS: Readonly<Record<string, (counters: Counters) => number>> = {
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

/** Publishes figures of the broker under `$SYS/broker/`, with the names that mosquitto gives them, to those who have subscribed to them. */
export class Statistics {
  readonly #broker: Broker
  readonly #startedAt: number
  readonly #last = new Map<string, string>()
  readonly #loads = Object.entries(LOADS).map(([name, count]) => ({ name, count, averages: new LoadAverages() }))
  #publishedAt: number
  #mostHeap = 0

  constructor(broker: Broker) {
    this.#broker = broker
    this.#startedAt = this.#publishedAt = broker.elapsed()
  }

  /** Publishes what has changed since the last time; retained, so that a new subscriber has every figure at once. */
  publish(): void {
    const now = this.#broker.elapsed()
    // Rounded times would not differ from the interval by more than the clock's error.
    const seconds = Math.max(0.001, (now - this.#publishedAt) / 1000)
    this.#publishedAt = now
    const figures = this.#figures(Math.round((now - this.#startedAt) / 1000))
    for (const [name, value] of Object.entries(figures)) this.#send(`$SYS/broker/${name}`, String(value))
    for (const { name, count, averages } of this.#loads) {
      for (const [minutes, average] of averages.update(count(this.#broker.counters), seconds))
        this.#send(`$SYS/broker/load/${name}/${minutes}`, average.toFixed(2))
    }
  }

  #figures(uptime: number): Record<string, number | string> {
    const { counters, sessions, trie, groups, retained, queued } = this.#broker
    const heap = process.memoryUsage().heapUsed
    this.#mostHeap = Math.max(this.#mostHeap, heap)
    counters.mostClients = Math.max(counters.mostClients, sessions.size)
    let waiting = 0
    for (const { outgoing } of sessions) waiting += outgoing.waiting
    const away = sessions.size - sessions.connected
    return {
      version: 'iopa 5.0',
      uptime: `${uptime} seconds`,
      'clients/total': sessions.size,
      'clients/connected': sessions.connected,
      'clients/disconnected': away,
      // Names of before, which monitors still ask for.
      'clients/active': sessions.connected,
      'clients/inactive': away,
      'clients/maximum': counters.mostClients,
      'clients/expired': counters.expired,
      'clients/evicted': counters.evicted,
      'messages/received': counters.received + counters.controlReceived,
      'messages/sent': counters.sent + counters.controlSent,
      'messages/stored': retained.size + waiting,
      'store/messages/count': retained.size + waiting,
      'store/messages/bytes': retained.bytes + queued.used,
      'publish/messages/received': counters.received,
      'publish/messages/sent': counters.sent,
      'publish/messages/dropped': counters.dropped,
      'publish/messages/dropped/absent': counters.absent,
      'publish/messages/expired': counters.outdated,
      'publish/bytes/received': counters.payloadReceived,
      'publish/bytes/sent': counters.payloadSent,
      'bytes/received': counters.bytesReceived,
      'bytes/sent': counters.bytesSent,
      'subscriptions/count': trie.size,
      'shared_subscriptions/count': groups.size,
      'retained messages/count': retained.size,
      'heap/current': heap,
      'heap/maximum': this.#mostHeap,
      'queues/bytes': queued.used,
      'store/damaged': counters.damaged
    }
  }

  #send(name: string, value: string): void {
    const topic = this.#broker.topics.get(name)
    if (!topic || this.#last.get(name) === value) return
    this.#last.set(name, value)
    const message = Message.of(topic.name, topic.bytes, Buffer.from(value), 0, true, Buffer.alloc(0), 0, null)
    this.#broker.retained.set(message)
    this.#broker.forwarder.relay(message, topic, () => undefined)
  }
}

/** Minutes over which averages are made. */
const MINUTES = [1, 5, 15] as const

/** How much of something there is a minute, as exponentially weighted averages over 1, 5 and 15 minutes. */
export class LoadAverages {
  readonly #averages = MINUTES.map(() => 0)
  #last = 0

  /** Takes the count as it is now, `seconds` after the one before, and gives the averages by name, such as `5min`. */
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
