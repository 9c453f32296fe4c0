import type { Context } from '@iopa/transport'
import { REASON } from '../codec/reason-codes.ts'
import type { Broker } from './broker.ts'
import type { Connection } from './connection.ts'
import { accountOf, sessionKey, userKeyOf } from './identity.ts'
import { IdleSessions } from './idle-sessions.ts'
import { observeTopic } from './observed-topic.ts'
import { PARDON, Pardons } from './pardons.ts'
import { Quota } from './quota.ts'
import { FOREVER, Session } from './session.ts'
import { removeSubscriptions } from './subscribing.ts'
import { type PendingWill, publishWill, type WillFate } from './wills.ts'

/** Sessions that are looked at in one piece. */
const SWEPT = 16

const ONE = (): number => 1

/** The sessions of a broker: who resumes which, who takes over from whom, and when one is over (MQTT 5 section 4.1). */
export class Sessions {
  readonly #broker: Broker
  readonly #byKey = new Map<string, Session>()
  /** With `clientIds: 'exclusive'`, the session that is connected with each client identifier. */
  readonly #holders = new Map<string, Session>()
  /** Keys of sessions that have ended, and are in the store until their wills have been published. */
  readonly #departing = new Set<string>()
  /** How many sessions each account has. */
  readonly #quota: Quota
  readonly #pardons: Pardons
  readonly idle: IdleSessions
  #sweeping: Iterator<Session> | null = null
  /** Clients that are connected. */
  connected = 0

  constructor(broker: Broker) {
    this.#broker = broker
    this.#quota = new Quota(broker.options.maxSessions, undefined, account => broker.quotas.limit(account, 'sessions'))
    this.idle = new IdleSessions(broker)
    this.#pardons = new Pardons(broker.options.maxSessions, broker.elapsed, session => this.#bequeath(session))
  }

  /** Accounts that have sessions. */
  get accounts(): number {
    return this.#quota.accounts
  }

  get size(): number {
    return this.#byKey.size
  }

  /** The session for an accepted CONNECT, whose earlier connection ends; `full` when there are too many, `taken` when another user is connected with its client identifier. */
  open(
    connection: Connection,
    clientId: string,
    cleanStart: boolean,
    expiryInterval: number,
    will: PendingWill | null
  ): { session: Session; present: boolean } | 'full' | 'taken' {
    const broker = this.#broker
    const user = userKeyOf(connection.context?.['server.User'])
    const key = sessionKey(user, clientId)
    const exclusive = broker.options.clientIds === 'exclusive'
    const holder = exclusive ? this.#holders.get(clientId) : undefined
    if (holder && holder.key !== key) return 'taken'
    const before = this.#byKey.get(key)
    const owner = before?.connection ?? before?.claim
    if (owner && owner !== connection) owner.disconnect(REASON.SESSION_TAKEN_OVER, 'another client connected with the same client identifier')
    let session = this.#byKey.get(key)
    this.#pardons.grant(key)
    // A session without expiry that a store gave back is over: only its will is left. What has expired since the last sweep goes on:
    // its client may have sent in time, and was read late.
    if (session && (cleanStart || session.expiresAt <= broker.sweptAt)) {
      if (session.pardonedUntil > broker.elapsed()) session.will = null
      this.end(session)
      session = undefined
    }
    const present = session !== undefined
    if (!session) {
      const address = connection.channel.remoteAddress
      if (!this.idle.makeRoom(this.#quota, accountOf(user, address), 1, ONE)) return 'full'
      session = new Session(broker, user, clientId, connection.version, this.#contextFor(connection), address)
      session.source = connection.source
      if (this.#departing.delete(key)) this.#unrecord(key)
      this.#byKey.set(key, session)
      this.#broker.counters.mostClients = Math.max(this.#broker.counters.mostClients, this.size)
      this.#quota.add(session.account, 1)
    } else this.#adopt(session, connection)
    this.idle.delete(session)
    session.claim = connection
    if (exclusive) this.#holders.set(clientId, session)
    session.version = connection.version
    session.expiryInterval = expiryInterval
    session.expiresAt = Number.POSITIVE_INFINITY
    // A will that was only delayed is not published when its client is back (section 3.1.3.2.2).
    session.will = will
    session.willAt = Number.POSITIVE_INFINITY
    session.pardonedUntil = 0
    connection.session = session
    if (present && !session.persistent) this.#unrecord(key)
    if (session.persistent || will !== null) this.#record(session)
    return { session, present }
  }

  /** The CONNECT is acknowledged: from here on the session sends through this connection. */
  attach(session: Session, connection: Connection): void {
    session.connection = connection
    if (connection.endpoint) connection.endpoint.session = session
    this.connected++
  }

  /** A connection ended. */
  left(connection: Connection, fate: WillFate): void {
    const { session } = connection
    if (!session || session.ended || session.claim !== connection) return
    if (session.connection === connection) this.connected--
    session.connection = null
    session.claim = null
    this.#release(session)
    const kept = fate === 'keep' && this.#broker.journal.active && session.will !== null
    if (fate === 'drop' || (fate === 'keep' && !kept)) session.will = null
    if (fate === 'pardon') session.pardonedUntil = this.#broker.elapsed() + PARDON
    if (!session.persistent) {
      this.end(session, kept)
      return
    }
    this.idle.add(session)
    const now = this.#broker.elapsed()
    session.expiresAt = session.expiryInterval === FOREVER ? Number.POSITIVE_INFINITY : now + session.expiryInterval * 1000
    if (session.will && (fate === 'publish' || fate === 'pardon')) {
      if (fate === 'pardon') session.willAt = Math.max(now + session.will.delayInterval * 1000, session.pardonedUntil)
      else if (session.will.delayInterval === 0) publishWill(this.#broker, session, () => this.#record(session))
      else session.willAt = Math.min(now + session.will.delayInterval * 1000, session.expiresAt)
    }
    this.#record(session)
  }

  /** The client changed how long its session lasts, by DISCONNECT (section 3.14.2.2.2). */
  changeExpiry(session: Session, expiryInterval: number): void {
    session.expiryInterval = Math.min(expiryInterval, this.#broker.options.maxSessionExpiry)
  }

  /** The client authenticated again, as the same user: what it may see is asked again. */
  userChanged(connection: Connection): void {
    const { session } = connection
    if (session?.connection !== connection) return
    this.#adopt(session, connection)
    if (session.stored) this.#record(session)
  }

  /** Begins to look at every session: ends those and publishes wills whose time has come. */
  sweep(): void {
    this.#pardons.sweep()
    if (this.#sweeping !== null) return
    this.#sweeping = this.#byKey.values()
    this.#sweepOn()
  }

  readonly #sweepOn = (): void => {
    const { turns } = this.#broker
    // The first piece is free, so that a broker with few sessions needs no further turn.
    let free = true
    while (free || turns.take()) {
      free = false
      const now = this.#broker.elapsed()
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
    session.deliveries.detach()
    if (session.connection || session.claim) return
    if (session.expiresAt <= now) this.#expire(session)
    else if (session.willAt <= now) publishWill(this.#broker, session, () => this.#record(session))
  }

  /**
   * Forgets a session; its will, if it still has one, is published (section 3.1.2.5), unless `keepWill` leaves that to the broker's next
   * start. The store forgets a session after its will has been published.
   */
  end(session: Session, keepWill = false): void {
    if (session.ended) return
    const { key } = session
    session.ended = true
    this.#byKey.delete(key)
    this.#quota.add(session.account, -1)
    this.idle.delete(session)
    this.#release(session)
    removeSubscriptions(session)
    session.clear()
    if (keepWill) {
      void session.context.end('shutdown')
      return
    }
    this.#departing.add(key)
    this.#pardons.add(session)
  }

  /** Publishes the will of a session that has ended, and then forgets that session. */
  #bequeath(session: Session): void {
    const { key } = session
    publishWill(this.#broker, session, () => {
      if (this.#departing.delete(key)) this.#unrecord(key)
      void session.context.end('disconnect')
    })
  }

  /** Ends every session of a user, connected or not, with what waits for it. A revoked user's wills are not published. */
  revoke(id: string): void {
    const user = userKeyOf({ id })
    this.#pardons.revoke(user)
    for (const session of [...this.#byKey.values()]) if (session.user === user) this.cut(session)
  }

  /** Ends the session of a revoked user. */
  cut(session: Session): void {
    session.lose('messages are dropped, for the user that they wait for is revoked')
    session.will = null
    ;(session.connection ?? session.claim)?.disconnect(REASON.NOT_AUTHORIZED, 'this user is revoked')
    this.end(session)
  }

  #expire(session: Session): void {
    this.#broker.counters.expired++
    session.lose('messages are dropped, for the session that they wait for expires')
    this.end(session)
  }

  /** Ends a session that could not take what it was to get. */
  expel(session: Session): void {
    session.lose('messages are dropped, for the session that they wait for ends')
    ;(session.connection ?? session.claim)?.disconnect(REASON.QUOTA_EXCEEDED, 'too many messages wait for this client')
    this.end(session)
  }

  /** Takes back a session that a store kept. */
  restore(session: Session): void {
    this.#byKey.set(session.key, session)
    this.#quota.add(session.account, 1)
    this.idle.add(session)
  }

  get(key: string): Session | undefined {
    return this.#byKey.get(key)
  }

  /** Ends what is left when the broker closes. */
  async close(): Promise<void> {
    await this.#pardons.close()
    for (const session of this.#byKey.values()) await session.context.end('shutdown')
  }

  [Symbol.iterator](): Iterator<Session> {
    return this.#byKey.values()
  }

  /** Puts a session under the user of a connection: what it observes is observed anew, in that user's name. */
  #adopt(session: Session, connection: Connection): void {
    const before = session.context
    session.context = this.#contextFor(connection)
    session.source = connection.source
    session.verdicts.reset()
    session.replyVerdicts.reset()
    const observed = [...(session.observed?.values() ?? [])]
    session.observed = null
    void before.end('disconnect')
    for (const { topic } of observed) observeTopic(session, topic, () => undefined)
  }

  /** A scope for the session, with what middleware has put on the connection's. */
  #contextFor(connection: Connection): Context {
    const from = connection.context as Context
    const context = this.#broker.requests.control('CONNECT', '/', from.endpoint, connection.source)
    const known = new Set(Object.keys(context))
    const values = context as unknown as Record<string, unknown>
    for (const key of Object.keys(from)) if (!known.has(key)) values[key] = (from as unknown as Record<string, unknown>)[key]
    context['server.User'] = from['server.User']
    return context
  }

  #release(session: Session): void {
    if (this.#holders.get(session.clientId) === session) this.#holders.delete(session.clientId)
  }

  #record(session: Session): void {
    const { journal } = this.#broker
    if (journal.active && !session.ended) journal.add({ kind: 'session', clientId: session.key, value: session.toStored() })
  }

  #unrecord(key: string): void {
    this.#broker.journal.add({ kind: 'session', clientId: key, value: null })
  }
}
