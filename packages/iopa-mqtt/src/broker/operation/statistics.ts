import type { Clock, Logger } from '@iopa/transport'

/** Why a subscriber did not get a message, and how the log says it. */
export const DROPS = {
  'client-slow': 'a message of QoS 0 is dropped, for its client takes too little',
  'queue-full': 'a message is dropped, for the queue of its client is full',
  'too-large': 'a message is dropped, for its client takes none of that size',
  'not-allowed': 'a message is dropped, for the client that it waited for may not have it any more',
  'not-authorised': 'a message is not delivered, for it could not be authorised',
  'no-recipient': 'an answer has no subscriber that may have it',
  'session-ended': 'messages are dropped, for the session that they wait for ends',
  'session-expired': 'messages are dropped, for the session that they wait for expires',
  'user-revoked': 'messages are dropped, for the user that they wait for is revoked'
} as const

export type DropReason = keyof typeof DROPS

/** What a broker counts from its start on, and logs as lost. */
export class Statistics {
  /** PUBLISH packets received and sent; of these those of QoS 1 and 2. */
  received = 0
  receivedQos1 = 0
  receivedQos2 = 0
  sent = 0
  sentQos1 = 0
  sentQos2 = 0
  /** Bytes of their payloads. */
  payloadReceived = 0
  payloadSent = 0
  /** Packets of other types. */
  controlReceived = 0
  controlSent = 0
  bytesReceived = 0
  bytesSent = 0
  /** Messages that a subscriber did not get, in all and by reason. */
  dropped = 0
  readonly drops: Record<DropReason, number> = Object.fromEntries(Object.keys(DROPS).map(reason => [reason, 0])) as Record<DropReason, number>
  /** Messages of QoS 0 for sessions whose clients were away. */
  absent = 0
  /** Messages that expired while they waited (MQTT 5 section 3.3.2.3.3). */
  outdated = 0
  /** Connections accepted, and CONNECT packets. */
  sockets = 0
  connects = 0
  /** CONNECT packets accepted, and those that the app refused with 401 or 403. */
  accepted = 0
  unauthorized = 0
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

  /** Counts a PUBLISH that was received. */
  receive(qos: number, payload: number): void {
    this.received++
    this.payloadReceived += payload
    if (qos > 0) {
      if (qos === 1) this.receivedQos1++
      else this.receivedQos2++
    }
  }

  /** Counts a PUBLISH that is sent. */
  send(qos: number, payload: number): void {
    this.sent++
    this.payloadSent += payload
    if (qos > 0) {
      if (qos === 1) this.sentQos1++
      else this.sentQos2++
    }
  }

  /** Counts messages that a subscriber did not get. */
  drop(reason: DropReason, count = 1): void {
    this.dropped += count
    this.drops[reason] += count
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
