import { type Clock, idOfUserKey } from '@iopa/transport'
import type { Session } from './session.ts'
import type { PendingWill } from './wills.ts'

/** Publishes a will in the name of its session, and calls back when its handler has finished. */
export type WillPublisher = (session: Session, will: PendingWill, done: () => void) => void

/** Milliseconds within which a client whose user has expired may return before its will is published. */
export const GRACE = 30_000

/** The wills of ended sessions: when they are published, and when the store may forget the session. */
export class EndedSessions {
  readonly #most: number
  readonly #clock: Clock
  readonly #publisher: WillPublisher
  readonly #forget: (key: string) => void
  /** Keys of sessions that stay in the store until their wills have been published. */
  readonly #stored = new Set<string>()
  /** Sessions whose user has expired: their wills are held until the client may have returned. */
  readonly #held = new Map<string, Session>()

  /** `most` wills are held at a time; `forget` removes a session from the store. */
  constructor(most: number, clock: Clock, publisher: WillPublisher, forget: (key: string) => void) {
    this.#most = most
    this.#clock = clock
    this.#publisher = publisher
    this.#forget = forget
  }

  /** Publishes the will of a session, if it has one, and calls back when its handler has finished. */
  publishWill(session: Session, done: () => void): void {
    const { will } = session
    session.will = null
    session.willAt = Number.POSITIVE_INFINITY
    if (will) this.#publisher(session, will, done)
    else done()
  }

  /** Adds a session that has ended; its will is published at once, unless it is to be held and there is room. */
  add(session: Session): void {
    this.#stored.add(session.key)
    const waits = session.will !== null && session.willHeldUntil > this.#clock.elapsed()
    if (waits && this.#held.size < this.#most) this.#held.set(session.key, session)
    else this.#release(session)
  }

  /** The store may forget an ended session: a new one has its key. */
  replace(key: string): void {
    if (this.#stored.delete(key)) this.#forget(key)
  }

  /** Deletes a held will: its client has returned in time. */
  deleteWill(key: string): void {
    const session = this.#held.get(key)
    if (session === undefined) return
    this.#held.delete(key)
    session.will = null
    this.#release(session)
  }

  /** Deletes the held wills of a revoked user. */
  revoke(id: string): void {
    for (const [key, session] of this.#held) if (idOfUserKey(session.user) === id) this.deleteWill(key)
  }

  /** Publishes held wills whose time has passed. */
  sweep(): void {
    for (const [key, session] of this.#held) {
      // In the order in which they ended: the first has the least time left.
      if (session.willHeldUntil > this.#clock.elapsed()) return
      this.#held.delete(key)
      this.#release(session)
    }
  }

  /** Ends the scopes of the sessions when the broker closes. */
  async close(): Promise<void> {
    for (const { context } of this.#held.values()) await context.end('shutdown')
  }

  #release(session: Session): void {
    this.publishWill(session, () => {
      this.replace(session.key)
      void session.context.end('disconnect')
    })
  }
}
