/** What happened to a client. */
export type ClientEventKind = 'connected' | 'disconnected' | 'subscribed' | 'unsubscribed' | 'session-ended'

/** The session that an event is about. */
export interface EventSubject {
  readonly key: string
  /** The user over all connections (see `userKeyOf`). */
  readonly user: string
  readonly clientId: string
}

/** What an event says beside its session. */
export interface EventDetails {
  readonly address?: string
  readonly protocolVersion?: number
  /** Why the connection ended (MQTT 5 section 3.14.2.1). */
  readonly reasonCode?: number
  readonly filter?: string
  readonly qos?: number
}

/** One event of one client. */
export interface ClientEvent extends EventDetails {
  /** Counts the events since the start, from 1. */
  readonly number: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly kind: ClientEventKind
  readonly subject: EventSubject
}

/** Events that are remembered. */
const REMEMBERED = 1000

/** The last events of clients. Nothing is recorded until something listens. */
export class ClientEvents {
  readonly #now: () => number
  readonly #ring: ClientEvent[] = []
  #changed: ((subject: EventSubject) => void) | null = null
  /** The number of the last event. */
  last = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Records events from now on, and calls `changed` after each. */
  record(changed: (subject: EventSubject) => void): void {
    this.#changed = changed
  }

  /** True while events are recorded. */
  get active(): boolean {
    return this.#changed !== null
  }

  note(kind: ClientEventKind, { key, user, clientId }: EventSubject, details: EventDetails): void {
    if (this.#changed === null) return
    const subject = { key, user, clientId }
    this.#ring[this.last % REMEMBERED] = { number: ++this.last, at: this.#now(), kind, subject, ...details }
    this.#changed(subject)
  }

  /** At most `count` of the events after the one with this number, the oldest first; without a number the last ones. */
  after(number: number | undefined, count: number): ClientEvent[] {
    const oldest = Math.max(0, this.last - REMEMBERED)
    const from = number === undefined ? Math.max(oldest, this.last - count) : Math.max(oldest, number)
    const events: ClientEvent[] = []
    for (let at = from; at < this.last && events.length < count; at++) events.push(this.#ring[at % REMEMBERED] as ClientEvent)
    return events
  }
}
