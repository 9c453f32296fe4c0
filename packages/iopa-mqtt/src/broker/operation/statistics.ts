import type { Clock, Logger } from '@iopa/transport'

/** What a broker counts from its start on, and logs as lost. */
export class Statistics {
  /** PUBLISH packets received and sent. */
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
  /** Messages that a subscriber did not get: its queue was full, it was slow, its session ended, or it lost the permission. */
  dropped = 0
  /** Messages of QoS 0 for sessions whose clients were away. */
  absent = 0
  /** Messages that expired while they waited (MQTT 5 section 3.3.2.3.3). */
  outdated = 0
  /** Connections accepted, and CONNECT packets. */
  sockets = 0
  connects = 0
  /** Largest number of sessions seen at a time. */
  mostClients = 0
  /** Sessions that expired. */
  expired = 0
  /** Idle sessions that ended to make room for other users. */
  evicted = 0
  /** Damaged records and writes found in the store. */
  damaged = 0
  readonly losses: Losses

  constructor(losses: Losses) {
    this.losses = losses
  }
}

/** Milliseconds between two lines about the same kind of loss. */
const INTERVAL = 10_000

/** Logs lost messages at a bounded rate: one line for each kind in ten seconds, with the number since the last line. */
export class Losses {
  readonly #logger: Logger
  readonly #elapsed: () => number
  readonly #kinds = new Map<string, { since: number; count: number }>()

  constructor(logger: Logger, elapsed: Clock['elapsed']) {
    this.#logger = logger
    this.#elapsed = elapsed
  }

  /** Logs a loss; `what` is its kind, `of` the last topic or session. `info` is for losses that clients have chosen. */
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
