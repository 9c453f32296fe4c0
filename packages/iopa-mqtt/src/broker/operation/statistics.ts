import type { Logger } from '@iopa/transport'

/** What a broker has counted since it started. */
export class Counters {
  /** PUBLISH packets that came, and that were sent. */
  received = 0
  sent = 0
  /** Bytes of their payloads. */
  payloadReceived = 0
  payloadSent = 0
  /** Packets of other types. */
  controlReceived = 0
  controlSent = 0
  bytesReceived = 0
  bytesSent = 0
  /** Messages that a client did not get although it had asked for them: its queue was full, it was slow, its session ended, it may not have them any more. */
  dropped = 0
  /** Messages of QoS 0 for sessions whose clients were away. */
  absent = 0
  /** Messages that expired while they waited (MQTT 5 section 3.3.2.3.3). */
  outdated = 0
  /** Connections that came, and CONNECT packets. */
  sockets = 0
  connects = 0
  /** Most sessions at a time, as far as was looked. */
  mostClients = 0
  /** Sessions that ended because their time was over. */
  expired = 0
  /** Idle sessions that ended to make room for other users. */
  evicted = 0
  /** Records and writes of the store that were damaged when it was read. */
  damaged = 0
}

/** Milliseconds between two lines about the same kind of loss. */
const INTERVAL = 10_000

/** Logs what clients have not got, at a bounded rate: one line for each kind in ten seconds, with the number since the last one. */
export class Losses {
  readonly #logger: Logger
  readonly #elapsed: () => number
  readonly #kinds = new Map<string, { since: number; count: number }>()

  constructor(logger: Logger, elapsed: () => number) {
    this.#logger = logger
    this.#elapsed = elapsed
  }

  /** Notes a loss; `what` names its kind, `of` the last one or whose it is. `info` is for what clients have chosen. */
  note(what: string, of: string | { readonly name: string }, level: 'warn' | 'info' = 'warn'): void {
    const now = this.#elapsed()
    const kind = this.#kinds.get(what)
    if (kind && now - kind.since < INTERVAL) {
      kind.count++
      return
    }
    const before = kind?.count ?? 0
    this.#kinds.set(what, { since: now, count: 0 })
    const detail = typeof of === 'string' ? of : of.name
    this.#logger[level](`iopa: MQTT: ${what}: ${detail}${before > 0 ? ` (and ${before} more since the last line)` : ''}`)
  }
}
