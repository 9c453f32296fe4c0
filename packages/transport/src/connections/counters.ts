import type { Logger } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { ByteChannel } from '../channels/byte-channel.ts'
import type { Clock, TimerHandle } from '../contract/clock.ts'
import type { Host } from '../contract/host.ts'
import { type ActivityFeed, activityOf } from './activity.ts'

/** What a transport of an app has now, and what it has refused since it began to listen. */
export interface Counts {
  /** Requests in work. */
  readonly inFlight: number
  /** Open connections; 0 for a transport of datagrams. */
  readonly connections: number
  readonly observers: number
  /** Sessions of MQTT, of clients that are away too. */
  readonly sessions: number
  /** Requests that were answered 503 `overloaded`, beyond `limits.inFlight`. */
  readonly shed: number
  /** Connections that were refused over a limit, and those that the system could not accept. */
  readonly refused: number
  /** Messages that a peer did not get although it had asked for them. */
  readonly dropped: number
}

/** The name of what `countersOf` keeps. */
export const COUNTERS = 'iopa.counters'

/** Milliseconds between two lines about what was refused. */
const INTERVAL = 1000

/** The other side of a connection or datagram. */
type Peer = Pick<ByteChannel, 'remoteAddress' | 'remotePort'>

/** The counters of one listener. Its transport adds to the plain numbers. */
export class Counters {
  connections = 0
  observers = 0
  shed = 0
  refused = 0
  dropped = 0
  readonly name: string
  /** Counts that the transport provides. */
  readonly own: (() => Partial<Counts>) | undefined
  readonly inFlight: () => number
  readonly #activity: ActivityFeed
  readonly #clock: Clock
  readonly #note: (line: string) => void

  constructor(name: string, host: Host, own: (() => Partial<Counts>) | undefined, note: (line: string) => void) {
    this.name = name
    this.own = own
    this.#note = note
    this.#activity = activityOf(host)
    this.#clock = host.clock
    this.inFlight = host.load(() => {
      this.shed++
      note(`${name} shed requests`)
    })
  }

  /** A connection was refused over a limit. */
  readonly refuse = (channel?: ByteChannel): void => {
    this.refused++
    this.#note(`${this.name} refused connections`)
    this.refusal(503, 'too-many-connections', channel)
  }

  /** A peer was refused before there was a context: for the log alone, it is not counted. */
  refusal(status: number, code: string, peer?: Peer): void {
    if (!this.#activity.active) return
    this.#activity.report({ kind: 'refused', transport: this.name, address: peer?.remoteAddress, port: peer?.remotePort, status, code })
  }

  /** The TLS handshake of a peer has failed. */
  readonly unsecured = (peer: Peer): void => this.refusal(400, 'tls-handshake-failed', peer)

  /** Counts a connection in. Gives when, for `closed`: a closure for each would take memory while it lasts. */
  opened({ remoteAddress: address, remotePort: port }: Peer): number {
    this.connections++
    if (this.#activity.active) this.#activity.report({ kind: 'connection-opened', transport: this.name, address, port })
    return this.#clock.elapsed()
  }

  /** Counts a connection out that was counted in at `began`; to be called once, with the address that it was opened from. */
  closed({ remoteAddress: address, remotePort: port }: Peer, began: number): void {
    this.connections--
    if (this.#activity.active)
      this.#activity.report({ kind: 'connection-closed', transport: this.name, address, port, duration: this.#clock.elapsed() - began })
  }

  /** The system could not accept a connection, as where it has no descriptor left. */
  readonly failed = (): void => {
    this.refused++
    this.#note(`${this.name} failed to accept connections`)
  }

  /** Counts an observer for as long as its context lasts. */
  observed(context: Context): void {
    this.observers++
    context.defer(() => void this.observers--)
  }
}

/** The counters of all listeners of an app, and the log of what they refuse: one line a second at most. */
export class AppCounters {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #all: Counters[] = []
  readonly #noted = new Map<string, number>()
  #timer: TimerHandle | null = null

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  begin(name: string, host: Host, own: (() => Partial<Counts>) | undefined): Counters {
    const counters = new Counters(name, host, own, line => this.#note(line))
    this.#all.push(counters)
    host.scope.defer(() => this.#flush())
    return counters
  }

  /** By the name of the transport; those of one name are added up. */
  read(): Record<string, Counts> {
    const counts: Record<string, Record<keyof Counts, number>> = {}
    for (const counters of this.#all) {
      const { connections, observers, shed, refused, dropped } = counters
      const now: Counts = { inFlight: counters.inFlight(), connections, observers, sessions: 0, shed, refused, dropped, ...counters.own?.() }
      const sum = (counts[counters.name] ??= { inFlight: 0, connections: 0, observers: 0, sessions: 0, shed: 0, refused: 0, dropped: 0 })
      for (const key of Object.keys(sum) as (keyof Counts)[]) sum[key] += now[key]
    }
    return counts
  }

  #note(what: string): void {
    this.#noted.set(what, (this.#noted.get(what) ?? 0) + 1)
    this.#timer ??= this.#clock.setTimeout(() => this.#flush(), INTERVAL)
  }

  #flush(): void {
    if (this.#timer === null) return
    this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    const counts = Array.from(this.#noted, ([what, times]) => `${what}: ${times}`)
    this.#noted.clear()
    this.#logger.warn(`iopa: within a second ${counts.join('; ')}`)
  }
}

/** The counters of a listener, which `app.counters()` shows from then on; `own` reads the counts of the transport. */
export const countersOf = (host: Host, name: string, own?: () => Partial<Counts>): Counters =>
  host.shared(COUNTERS, () => new AppCounters(host.clock, host.logger)).begin(name, host, own)
