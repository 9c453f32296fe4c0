import { idOfUserKey } from '@iopa/transport'
import { REASON } from '../../codec/reason-codes.ts'
import { FOREVER } from '../../options.ts'
import { Quota } from '../operation/quota.ts'
import type { DropReason } from '../operation/statistics.ts'
import type { ClientConnection, WillHandling } from '../ports.ts'
import { EndedSessions, GRACE } from './ended-sessions.ts'
import { accountOf, sessionKey, userKeyOf } from './identity.ts'
import { IdleSessions } from './idle-sessions.ts'
import { Session, type SessionPorts } from './session.ts'
import type { SessionRequest, SessionsPorts } from './session-request.ts'

/** Sessions that one piece of a sweep looks at. */
const SWEPT = 16

/** The sessions of a broker: resuming, taking over and expiry (MQTT 5 section 4.1). */
export class Sessions {
  readonly #ports: SessionsPorts
  readonly #operation: SessionPorts['operation']
  readonly #byKey = new Map<string, Session>()
  /** With `clientIds: 'exclusive'`, the connected session of each client identifier. */
  readonly #holders = new Map<string, Session>()
  /** Number of sessions by account. */
  readonly #quota: Quota
  readonly #ended: EndedSessions
  readonly idle: IdleSessions
  #sweeping: Iterator<Session> | null = null
  /** When the last sweep began, or the store was read: sessions that had expired by then have ended. */
  sweptAt: number
  #serials = 0
  /** Connected sessions. */
  connected = 0

  /** `limitOf` is the number of sessions that one account may have. */
  constructor(ports: SessionsPorts, limitOf: (account: string) => number) {
    this.#ports = ports
    const { operation } = ports.session
    this.#operation = operation
    const { maxSessions } = operation.settings
    this.#quota = new Quota(maxSessions, undefined, limitOf)
    this.idle = new IdleSessions(session => this.#evict(session))
    this.#ended = new EndedSessions(maxSessions, operation.clock, ports.publishWill, key => this.#unrecord(key))
    this.sweptAt = operation.clock.elapsed()
  }

  /** Accounts that have sessions. */
  get accounts(): number {
    return this.#quota.accounts
  }

  /** The session of a key (see `sessionKey`). */
  get(key: string): Session | undefined {
    return this.#byKey.get(key)
  }

  get size(): number {
    return this.#byKey.size
  }

  /**
   * The session for an accepted CONNECT, whose earlier connection ends. `full` if there are too many sessions, `taken` if another user is
   * connected with the client identifier.
   */
  open(connection: ClientConnection, request: SessionRequest): { session: Session; present: boolean } | 'full' | 'taken' {
    const { clientId, cleanStart, will } = request
    const { settings, statistics, clock } = this.#operation
    const user = userKeyOf(connection.context?.['server.User'])
    const key = sessionKey(user, clientId)
    const exclusive = settings.clientIds === 'exclusive'
    const holder = exclusive ? this.#holders.get(clientId) : undefined
    if (holder && holder.key !== key) return 'taken'
    const before = this.#byKey.get(key)
    const owner = before?.connection ?? before?.claim
    if (owner && owner !== connection) owner.disconnect(REASON.SESSION_TAKEN_OVER, 'another client connected with the same client identifier')
    let session = this.#byKey.get(key)
    this.#ended.deleteWill(key)
    // A session without expiry that the store kept has ended: only its will is left. A session that has expired since the last sweep is
    // resumed: its client may have sent in time, and was read late.
    if (session && (cleanStart || session.expiresAt <= this.sweptAt)) {
      if (session.willHeldUntil > clock.elapsed()) session.will = null
      this.end(session)
      session = undefined
    }
    const present = session !== undefined
    if (!session) {
      const address = connection.remoteAddress
      if (!this.idle.makeRoom(this.#quota, accountOf(user, address), 1, () => 1)) return 'full'
      const { version, source } = connection
      session = new Session({ user, clientId, version, address, context: this.#ports.scope(connection), source }, this.#ports.session)
      this.#ended.replace(key)
      this.#add(session)
      statistics.mostClients = Math.max(statistics.mostClients, this.size)
      this.#quota.add(session.account, 1)
    } else this.#adopt(session, connection)
    this.idle.delete(session)
    session.claim = connection
    if (exclusive) this.#holders.set(clientId, session)
    session.version = connection.version
    session.expiryInterval = request.expiryInterval
    session.expiresAt = Number.POSITIVE_INFINITY
    // A delayed will is not published if the client returns before (section 3.1.3.2.2).
    session.will = will
    session.willAt = Number.POSITIVE_INFINITY
    session.willHeldUntil = 0
    if (present && !session.persistent) this.#unrecord(key)
    if (session.persistent || will !== null) this.#record(session)
    return { session, present }
  }

  /** CONNACK is sent: from now on the session sends through this connection. */
  attach(session: Session, connection: ClientConnection): void {
    session.connection = connection
    this.connected++
    const { clock, statistics, events } = this.#operation
    statistics.accepted++
    session.since = clock.now()
    events.note('connected', session, { address: connection.remoteAddress, protocolVersion: connection.version })
  }

  /** The connection of a session ended, with the reason code of the client or the broker. */
  disconnected(session: Session, connection: ClientConnection, will: WillHandling, reasonCode: number): void {
    if (session.ended || session.claim !== connection) return
    const { clock, journal, events } = this.#operation
    if (session.connection === connection) {
      this.connected--
      session.since = clock.now()
      events.note('disconnected', session, { reasonCode })
    }
    session.connection = null
    session.claim = null
    this.#release(session)
    const kept = will === 'keep' && journal.active && session.will !== null
    if (will === 'delete' || (will === 'keep' && !kept)) session.will = null
    if (will === 'hold') session.willHeldUntil = clock.elapsed() + GRACE
    if (!session.persistent) {
      this.end(session, kept)
      return
    }
    this.idle.add(session)
    const now = clock.elapsed()
    session.expiresAt = session.expiryInterval === FOREVER ? Number.POSITIVE_INFINITY : now + session.expiryInterval * 1000
    if (session.will && (will === 'publish' || will === 'hold')) {
      if (will === 'hold') session.willAt = Math.max(now + session.will.delayInterval * 1000, session.willHeldUntil)
      else if (session.will.delayInterval === 0) this.#ended.publishWill(session, () => this.#record(session))
      else session.willAt = Math.min(now + session.will.delayInterval * 1000, session.expiresAt)
    }
    this.#record(session)
  }

  /** The client authenticated again, as the same user: its authorizations are checked again. */
  userChanged(session: Session, connection: ClientConnection): void {
    if (session.connection !== connection) return
    this.#adopt(session, connection)
    if (session.stored) this.#record(session)
  }

  /** Begins to look at every session: ends those that have expired, and publishes delayed wills. */
  sweep(now: number): void {
    this.sweptAt = now
    this.#ended.sweep()
    if (this.#sweeping !== null) return
    this.#sweeping = this.#byKey.values()
    this.#sweepOn()
  }

  readonly #sweepOn = (): void => {
    const { turns, clock } = this.#operation
    // The first piece is free, so that a broker with few sessions needs no further turn.
    let free = true
    while (free || turns.take()) {
      free = false
      const now = clock.elapsed()
      for (let looks = 0; looks < SWEPT; looks++) {
        const next = this.#sweeping?.next()
        if (!next || next.done) {
          this.#sweeping = null
          return
        }
        this.#sweepOne(next.value, now)
      }
    }
    turns.wait(this.#sweepOn)
  }

  #sweepOne(session: Session, now: number): void {
    session.outgoing.detach()
    if (session.connection || session.claim) return
    if (session.expiresAt <= now) this.#expire(session)
    else if (session.willAt <= now) this.#ended.publishWill(session, () => this.#record(session))
  }

  /**
   * Ends a session. Its will, if it still has one, is published (section 3.1.2.5), unless `keepWill` leaves that to the next start of the
   * broker. The store forgets the session after its will has been published.
   */
  end(session: Session, keepWill = false): void {
    if (session.ended) return
    const { key } = session
    session.ended = true
    if (session.persistent) this.#operation.events.note('session-ended', session, {})
    this.#byKey.delete(key)
    this.#quota.add(session.account, -1)
    this.idle.delete(session)
    this.#release(session)
    this.#ports.subscriptions.removeAll(session)
    session.clear()
    if (keepWill) {
      void session.context.end('shutdown')
      return
    }
    this.#ended.add(session)
  }

  /** Ends every session of a user, in any realm, connected or not, with what waits for it. The wills of a revoked user are not published. */
  revoke(id: string): void {
    this.#ended.revoke(id)
    for (const session of [...this.#byKey.values()]) if (idOfUserKey(session.user) === id) this.endRevoked(session)
  }

  /** Ends the session of a revoked user. */
  endRevoked(session: Session): void {
    session.will = null
    this.endNow(session, 'user-revoked', REASON.NOT_AUTHORIZED, 'this user is revoked')
  }

  /** Ends a session whose queue has overflowed. */
  endOverflowed(session: Session): void {
    this.endNow(session, 'session-ended', REASON.QUOTA_EXCEEDED, 'too many messages wait for this client')
  }

  /** Ends a session with what waits for it; its client gets the reason code. */
  endNow(session: Session, why: DropReason, reasonCode: number, reason: string): void {
    session.dropAll(why)
    ;(session.connection ?? session.claim)?.disconnect(reasonCode, reason)
    this.end(session)
  }

  #expire(session: Session): void {
    this.#operation.statistics.expired++
    session.dropAll('session-expired')
    this.end(session)
  }

  /** Ends an idle session to make room for other users. */
  #evict(session: Session): void {
    const { statistics } = this.#operation
    statistics.evicted++
    statistics.losses.note('an idle session ends to make room for other users', session.name)
    session.dropAll('session-ended')
    this.end(session)
  }

  /** Adds a session that the store kept. */
  restore(session: Session): void {
    this.#add(session)
    this.#quota.add(session.account, 1)
    this.idle.add(session)
  }

  /** Ends the scopes of all sessions when the broker closes. */
  async close(): Promise<void> {
    await this.#ended.close()
    for (const session of this.#byKey.values()) await session.context.end('shutdown')
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#byKey.values()
  }

  #add(session: Session): void {
    session.serial = ++this.#serials
    this.#byKey.set(session.key, session)
  }

  /** Gives a session the user of a new connection: its authorizations are forgotten, and its topics observed again in the name of that user. */
  #adopt(session: Session, connection: ClientConnection): void {
    const before = session.context
    session.context = this.#ports.scope(connection)
    session.source = connection.source
    session.resetAuthorizations()
    const observed = [...(session.observed?.values() ?? [])]
    session.observed = null
    void before.end('disconnect')
    for (const { topic } of observed) this.#ports.observe(session, topic)
  }

  #release(session: Session): void {
    if (this.#holders.get(session.clientId) === session) this.#holders.delete(session.clientId)
  }

  #record(session: Session): void {
    const { journal } = this.#operation
    if (journal.active && !session.ended) journal.add({ kind: 'session', clientId: session.key, value: session.toStored() })
  }

  #unrecord(key: string): void {
    this.#operation.journal.add({ kind: 'session', clientId: key, value: null })
  }
}
