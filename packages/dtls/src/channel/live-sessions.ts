import {
  type DatagramEndpoint,
  type SecuredEnd,
  type SecuredIdentity,
  type SecuredReceiver,
  type SecurityEnvironment,
  sameIdentity,
  type TimerHandle
} from '@iopa/transport'
import type { Established } from '../handshake/handshake.ts'
import { Session, type SessionOwner } from './session.ts'
import { endpointKey, SessionTable } from './session-table.ts'

/** What the sessions of a channel need of it. */
export interface LiveSessionsInit {
  readonly environment: SecurityEnvironment
  /** Milliseconds without a record after which a session ends. */
  readonly idle: number
  transmit(datagram: Uint8Array, to: DatagramEndpoint): void
}

/** How often within the idle time all sessions are looked at. */
const SWEEPS = 4

/** The sessions of a channel, from the end of their handshakes on: makes room for them, ends idle ones, and hands what they say to the receiver. */
export class LiveSessions implements SessionOwner {
  readonly table: SessionTable
  readonly #init: LiveSessionsInit
  readonly #period: number
  #receiver: SecuredReceiver | undefined
  #timer: TimerHandle
  sweeps = 0

  constructor(init: LiveSessionsInit) {
    const { limits } = init.environment
    this.#init = init
    this.table = new SessionTable(limits)
    this.#period = Math.max(1, Math.min(limits.idleTimeout, init.idle) / SWEEPS)
  }

  open(receiver: SecuredReceiver): void {
    this.#receiver = receiver
  }

  /** The session that a client has begun; undefined where there is no room for it. */
  accept(result: Established, peer: DatagramEndpoint): Session | undefined {
    const session = this.admit(result, peer)
    if (session !== undefined) this.#receiver?.opened(session)
    return session
  }

  /** The session of a finished handshake; undefined where there is no room for it. */
  admit(result: Established, peer: DatagramEndpoint): Session | undefined {
    const session = new Session(this, result, peer)
    // Behind another address of a NAT the same port may be another device by now; a session with an id is then found by it.
    const before = this.table.at(endpointKey(peer.address, peer.port))
    if (before !== undefined && (before.cid === undefined || sameIdentity(before, session))) before.end('lost')
    if (!this.table.hasRoom(peer.address))
      this.table.idlest(peer.address, this.sweeps, this.#count(this.#init.environment.limits.idleTimeout))?.end('idle')
    if (!this.table.hasRoom(peer.address)) {
      session.close()
      this.#init.environment.refused?.(peer, 'too-many-connections')
      return undefined
    }
    this.table.add(session)
    this.#timer ??= this.#init.environment.clock.setTimeout(() => this.#sweep(), this.#period)
    return session
  }

  #count(time: number): number {
    return Math.ceil(time / this.#period) + 1
  }

  #sweep(): void {
    this.sweeps++
    const oldest = this.sweeps - this.#count(this.#init.idle)
    for (const session of this.table) if (session.lastActive <= oldest) session.end('idle')
    this.#timer = this.table.size === 0 ? undefined : this.#init.environment.clock.setTimeout(() => this.#sweep(), this.#period)
  }

  /** Ends those for which this is true. */
  end(reason: SecuredEnd, matches: (identity: SecuredIdentity) => boolean): void {
    for (const session of this.table) if (matches(session)) session.end(reason)
  }

  /** Ends all of them. */
  close(): void {
    this.end('closed', () => true)
    this.#init.environment.clock.clearTimeout(this.#timer)
  }

  transmit(datagram: Uint8Array, to: DatagramEndpoint): void {
    this.#init.transmit(datagram, to)
  }

  deliver(bytes: Uint8Array, session: Session, unproven: boolean): void {
    this.#receiver?.message(bytes, session, unproven)
  }

  moved(session: Session, before: DatagramEndpoint): void {
    // A session without an id is found by its address alone, which is another peer's now.
    const other = this.table.at(endpointKey(session.proven.address, session.proven.port))
    if (other !== undefined && other !== session && other.cid === undefined) other.end('lost')
    this.table.move(session, before)
  }

  ended(session: Session, reason: SecuredEnd): void {
    if (this.table.delete(session)) this.#receiver?.closed(session, reason)
  }
}
