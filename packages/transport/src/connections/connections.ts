import { addressGroup, isLoopback } from '@iopa/context/host'
import type { ByteChannel } from '../channels/byte-channel.ts'
import type { Clock, TimerHandle } from '../contract/clock.ts'
import type { Limits } from '../contract/limits.ts'
import type { Counters } from './counters.ts'

/** One counted connection. */
export interface Connection {
  readonly channel: ByteChannel
  /** Says that a byte went either way. */
  touch(): void
  /** Exempts the connection from the idle limit, such as one that observes. */
  keepAlive(keep: boolean): void
  /** Says how many requests of it are in work: a drain waits for them. */
  busy(requests: number): void
  /** Takes the connection out; call it from the channel's `close`. */
  remove(): void
}

type Limited = Pick<Limits, 'connections' | 'connectionsPerAddress' | 'idleTimeout'>

// How often within the idle timeout all connections are looked at.
const SWEEPS = 4
/** The address of all connections that are not counted by theirs. */
const SHARED = ''

class CountedConnection implements Connection {
  readonly channel: ByteChannel
  /** What it is counted by. */
  readonly address: string
  /** When it was counted in. */
  readonly began: number
  readonly #owner: Connections
  /** The sweep before the last byte. */
  lastActive: number
  kept = false
  requests = 0

  constructor(channel: ByteChannel, owner: Connections, address: string, began: number) {
    this.channel = channel
    this.address = address
    this.began = began
    this.#owner = owner
    this.lastActive = owner.sweeps
  }

  touch(): void {
    this.lastActive = this.#owner.sweeps
  }
  keepAlive(keep: boolean): void {
    this.kept = keep
  }
  busy(requests: number): void {
    this.requests = requests
    this.touch()
    if (requests === 0) this.#owner.settled(this)
  }
  remove(): void {
    this.#owner.delete(this)
  }
}

/** The connections of a listener: counted in all and per address, closed when idle, drained at the end. */
export class Connections {
  readonly #clock: Clock
  readonly #limits: Limited
  readonly #onIdle: (connection: Connection) => void
  readonly #counters: Pick<Counters, 'opened' | 'closed' | 'refuse'> | undefined
  readonly #open = new Set<CountedConnection>()
  readonly #byAddress = new Map<string, number>()
  #sweeps = 0
  #timer: TimerHandle | null = null
  #closing: ((connection: Connection) => void) | null = null
  readonly #empty: (() => void)[] = []

  /** `onIdle` is called for a connection without traffic for `idleTimeout`; it should say goodbye and destroy the channel. */
  constructor(clock: Clock, limits: Limited, onIdle: (connection: Connection) => void, counters?: Pick<Counters, 'opened' | 'closed' | 'refuse'>) {
    this.#clock = clock
    this.#limits = limits
    this.#onIdle = onIdle
    this.#counters = counters
  }

  get size(): number {
    return this.#open.size
  }

  /** How many sweeps there have been: exact enough for idleness, free, and a blocked event loop leaves them out. */
  get sweeps(): number {
    return this.#sweeps
  }

  /**
   * Counts a channel in; null over a limit or while closing, and then the caller refuses it and destroys it. One that
   * many peers share, such as a proxy's, is not counted `perAddress`.
   */
  admit(channel: ByteChannel, perAddress = true): Connection | null {
    const address = perAddress ? addressGroup(channel.remoteAddress) : SHARED
    const fromAddress = this.#byAddress.get(address) ?? 0
    if (this.#closing !== null) return null
    const isFull = perAddress && !isLoopback(channel.remoteAddress) && fromAddress >= this.#limits.connectionsPerAddress
    if (isFull || this.#open.size >= this.#limits.connections) {
      this.#counters?.refuse(channel)
      return null
    }
    const connection = new CountedConnection(channel, this, address, this.#counters?.opened(channel) ?? 0)
    this.#open.add(connection)
    this.#byAddress.set(address, fromAddress + 1)
    if (this.#timer === null) this.#arm()
    return connection
  }

  delete(connection: CountedConnection): void {
    if (!this.#open.delete(connection)) return
    this.#counters?.closed(connection.channel, connection.began)
    const { address } = connection
    const left = (this.#byAddress.get(address) ?? 1) - 1
    if (left === 0) this.#byAddress.delete(address)
    else this.#byAddress.set(address, left)
    if (this.#open.size > 0) return
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    for (const resolve of this.#empty.splice(0)) resolve()
  }

  settled(connection: CountedConnection): void {
    this.#closing?.(connection)
  }

  /**
   * Ends every connection: `goodbye` at once for those with nothing in work, for the others when they have; what is
   * left after `timeout` ms is destroyed. Resolves when all are gone.
   */
  async drain(timeout: number, goodbye: (connection: Connection) => void): Promise<void> {
    this.#closing = goodbye
    for (const connection of [...this.#open]) if (connection.requests === 0) goodbye(connection)
    if (this.#open.size === 0) return
    const gone = new Promise<void>(resolve => this.#empty.push(resolve))
    const timer = this.#clock.setTimeout(
      () => {
        for (const connection of [...this.#open]) connection.channel.destroy()
      },
      timeout,
      { keep: true }
    )
    await gone
    this.#clock.clearTimeout(timer)
  }

  get #interval(): number {
    return Math.max(1, this.#limits.idleTimeout / SWEEPS)
  }

  #arm(): void {
    if (!Number.isFinite(this.#limits.idleTimeout)) return
    this.#timer = this.#clock.setTimeout(() => this.#sweep(), this.#interval)
  }

  #sweep(): void {
    this.#timer = null
    // Late by a sweep at most, but never early.
    const oldest = ++this.#sweeps - SWEEPS - 1
    for (const connection of [...this.#open]) {
      if (connection.lastActive <= oldest && !connection.kept && connection.requests === 0) this.#onIdle(connection)
    }
    if (this.#open.size > 0) this.#arm()
  }
}
