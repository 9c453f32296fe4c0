import type { User } from '@iopa/constants'
import type { Clock } from '@iopa/transport'
import type { KeptSession, Session } from './session.ts'

/** How many sessions are kept, and for how long. */
export interface SessionBounds {
  readonly sessions: number
  /** Of one owner. */
  readonly perOwner: number
  /** Milliseconds; RFC 5246 F.1.4 advises 24 hours at most. */
  readonly lifetime: number
}

export const SESSION_BOUNDS: SessionBounds = { sessions: 10_000, perOwner: 8, lifetime: 3_600_000 }

/** Sessions that peers may resume, the oldest first. Each owner has a share, so that nobody displaces the sessions of many others. */
export class SessionStore {
  readonly #clock: Pick<Clock, 'now' | 'elapsed'>
  readonly #bounds: SessionBounds
  readonly #sessions = new Map<string, KeptSession>()
  readonly #owners = new Map<string, Set<string>>()

  constructor(clock: Pick<Clock, 'now' | 'elapsed'>, bounds: SessionBounds = SESSION_BOUNDS) {
    this.#clock = clock
    this.#bounds = bounds
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Keeps a session under a name, with its own copy of the secret. `owner` is its user, or its address where it has none. */
  add(name: string, session: Session, owner: string): void {
    this.delete(name)
    let names = this.#owners.get(owner)
    if (names === undefined) this.#owners.set(owner, (names = new Set()))
    const until = this.#clock.elapsed() + this.#bounds.lifetime
    this.#sessions.set(name, { ...session, masterSecret: Buffer.from(session.masterSecret), owner, until })
    names.add(name)
    if (names.size > this.#bounds.perOwner) this.delete(names.values().next().value as string)
    if (this.#sessions.size > this.#bounds.sessions) this.delete(this.#sessions.keys().next().value as string)
  }

  /** The session of this name with a copy of its secret, unless it or its certificate has expired. */
  get(name: string): KeptSession | undefined {
    const session = this.#valid(name)
    // The one that is kept is overwritten at the next revocation: an association must not come to live with a secret of zeros.
    return session && { ...session, masterSecret: Buffer.from(session.masterSecret) }
  }

  /** Whether there is a valid session of this name: asked once more before a handshake that resumes it counts as complete. */
  has(name: string): boolean {
    return this.#valid(name) !== undefined
  }

  #valid(name: string): KeptSession | undefined {
    const session = this.#sessions.get(name)
    if (session === undefined) return undefined
    // A certificate that would be refused today must not live on.
    const expires = session.certificate === undefined ? Number.POSITIVE_INFINITY : Date.parse(session.certificate.validTo)
    if (this.#clock.elapsed() < session.until && this.#clock.now() <= expires) return session
    this.delete(name)
    return undefined
  }

  /** Forgets a session, and overwrites its secret. */
  delete(name: string): void {
    const session = this.#sessions.get(name)
    if (session === undefined) return
    this.#sessions.delete(name)
    session.masterSecret.fill(0)
    const names = this.#owners.get(session.owner)
    names?.delete(name)
    if (names?.size === 0) this.#owners.delete(session.owner)
  }

  /** Forgets the sessions of all users for whom this is true. */
  revoke(matches: (user: User) => boolean): void {
    for (const [name, { user }] of this.#sessions) if (user !== undefined && matches(user)) this.delete(name)
  }

  clear(): void {
    for (const name of [...this.#sessions.keys()]) this.delete(name)
  }
}
