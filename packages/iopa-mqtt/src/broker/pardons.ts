import type { Session } from './session.ts'

/** Milliseconds within which a client whose user has expired may return before its will is published. */
export const PARDON = 30_000

/** Sessions that have ended with their user's time, whose wills wait for the client to return. */
export class Pardons {
  readonly #most: number
  readonly #now: () => number
  readonly #release: (session: Session) => void
  readonly #held = new Map<string, Session>()

  /** `most` are held at a time; `release` publishes the will of one, if it still has one, and forgets it. */
  constructor(most: number, now: () => number, release: (session: Session) => void) {
    this.#most = most
    this.#now = now
    this.#release = release
  }

  /** Takes a session that has ended; it is released at once where there is nothing to wait for, or no room. */
  add(session: Session): void {
    const waits = session.will !== null && session.pardonedUntil > this.#now()
    if (waits && this.#held.size < this.#most) this.#held.set(session.key, session)
    else this.#release(session)
  }

  /** The client of a session is back in time: its will is not published. */
  grant(key: string): void {
    const session = this.#held.get(key)
    if (session === undefined) return
    this.#held.delete(key)
    session.will = null
    this.#release(session)
  }

  /** Forgets the wills of a revoked user. */
  revoke(user: string): void {
    for (const [key, session] of this.#held) if (session.user === user) this.grant(key)
  }

  /** Releases those whose time is over. */
  sweep(): void {
    for (const [key, session] of this.#held) {
      // In the order in which they ended: the first has the least time left.
      if (session.pardonedUntil > this.#now()) return
      this.#held.delete(key)
      this.#release(session)
    }
  }

  /** Ends what is left when the broker closes. */
  async close(): Promise<void> {
    for (const { context } of this.#held.values()) await context.end('shutdown')
  }
}
