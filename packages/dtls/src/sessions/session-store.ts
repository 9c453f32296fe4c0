import type { Clock, SecuredIdentity } from '@iopa/transport'
import type { ResumableSession } from '../handshake/resumption.ts'
import type { ProvenIdentity } from '../key-exchange/key-exchange.ts'
import { copyOf, wipe } from '../suites/key-schedule.ts'

/** How many sessions are kept, and for how long. */
export interface SessionBounds {
  readonly sessions: number
  /** Of one owner: a user, or a certificate. */
  readonly perOwner: number
  /** Of all peers that have proven nothing. */
  readonly withoutOwner: number
  /** Milliseconds; RFC 5246 F.1.4 advises 24 hours at most. */
  readonly lifetime: number
}

export const SESSION_BOUNDS: SessionBounds = { sessions: 10_000, perOwner: 8, withoutOwner: 1000, lifetime: 3_600_000 }

interface KeptSession {
  readonly session: ResumableSession
  readonly owner: string
  /** `elapsed()` of the clock. */
  readonly until: number
}

const NOBODY = ''

/** Whose share a session counts for. */
const ownerOf = ({ user, fingerprint = NOBODY }: ProvenIdentity): string => (user === undefined ? fingerprint : `${user['by']} ${user.id}`)

/** Sessions that may be resumed, the oldest first. Each owner has a share, so that nobody displaces the sessions of many others. */
export class SessionStore {
  readonly #clock: Pick<Clock, 'now' | 'elapsed'>
  readonly #bounds: SessionBounds
  readonly #sessions = new Map<string, KeptSession>()
  /** Names by owner, the oldest first; most owners have one session. */
  readonly #owners = new Map<string, string[]>()

  constructor(clock: Pick<Clock, 'now' | 'elapsed'>, bounds: SessionBounds = SESSION_BOUNDS) {
    this.#clock = clock
    this.#bounds = bounds
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Keeps a session under a name; its secret belongs to the store from then on. */
  add(name: string, session: ResumableSession): void {
    this.delete(name)
    const owner = ownerOf(session.identity)
    const names = this.#owners.get(owner)
    if (names === undefined) this.#owners.set(owner, [name])
    else names.push(name)
    this.#sessions.set(name, { session, owner, until: Math.floor(this.#clock.elapsed()) + this.#bounds.lifetime })
    if (names !== undefined && names.length > (owner === NOBODY ? this.#bounds.withoutOwner : this.#bounds.perOwner)) this.delete(names[0]!)
    if (this.#sessions.size > this.#bounds.sessions) this.delete(this.#sessions.keys().next().value as string)
  }

  /** The session of this name with a copy of its secret, unless it or its certificate has expired. */
  get(name: string): ResumableSession | undefined {
    const session = this.#valid(name)
    // The one that is kept is overwritten at the next revocation: an association must not come to live with a secret of zeros.
    return session && { ...session, masterSecret: copyOf(session.masterSecret) }
  }

  /** Whether there is a valid session of this name. */
  has(name: string): boolean {
    return this.#valid(name) !== undefined
  }

  #valid(name: string): ResumableSession | undefined {
    const kept = this.#sessions.get(name)
    if (kept === undefined) return undefined
    // What would be refused in a full handshake must not live on.
    const { until = Number.POSITIVE_INFINITY } = kept.session.identity
    if (this.#clock.elapsed() < kept.until && this.#clock.now() <= until) return kept.session
    this.delete(name)
    return undefined
  }

  /** Forgets a session, and overwrites its secret. */
  delete(name: string): void {
    const kept = this.#sessions.get(name)
    if (kept === undefined) return
    this.#sessions.delete(name)
    wipe(kept.session.masterSecret)
    const names = this.#owners.get(kept.owner)
    names?.splice(names.indexOf(name), 1)
    if (names?.length === 0) this.#owners.delete(kept.owner)
  }

  /** Forgets the sessions of all identities for which this is true. */
  revoke(matches: (identity: SecuredIdentity) => boolean): void {
    for (const [name, { session }] of this.#sessions) if (matches(session.identity)) this.delete(name)
  }

  clear(): void {
    for (const name of [...this.#sessions.keys()]) this.delete(name)
  }
}
