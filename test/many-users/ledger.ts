import { settleGroups } from './groups.ts'
import type { Publish, Will } from './mqtt-packets.ts'
import { Receipts } from './receipts.ts'
import type { Rights } from './rights.ts'
import { LASTING, ON_ITS_WAY, SessionModel, type Token } from './sessions.ts'
import { SubscriptionChanges } from './subscription-changes.ts'
import { WillModel } from './wills.ts'

/** The model of one world: what was published, who may have it and who must get it. Everything that breaks it is a fault. */
export class Ledger {
  readonly faults: string[] = []
  readonly rights: Rights
  /** Virtual time. */
  readonly now: () => number
  /** Messages that may wait for one session. */
  readonly queue: number
  /** True when idle sessions may end to make room. */
  readonly #evicts: boolean
  readonly tokens: Map<string, Token> = new Map()
  readonly sessions: Set<SessionModel> = new Set()
  readonly #current: Map<string, SessionModel> = new Map()
  /** Sessions with more than one CONNECT without an answer at a time. */
  readonly #overlapping: Set<string> = new Set()
  /** Sessions that a CONNECT without an answer may have made. */
  readonly #maybe: Set<string> = new Set()
  /** When the CONNECT of each connection was sent, in the order of events. */
  readonly #askedAt: Map<number, number> = new Map()
  /** CONNECT packets without an answer, by session. */
  readonly #connecting: Map<string, number> = new Map()
  readonly #lastConnect: Map<string, number> = new Map()
  /** Sessions that ended since too much waited for them, and those that ended to make room. */
  overflowed = 0
  evicted = 0
  readonly receipts: Receipts = new Receipts(this)
  readonly subscriptions: SubscriptionChanges = new SubscriptionChanges(this)
  readonly wills: WillModel = new WillModel(this)
  /** When users were revoked last. */
  readonly revocations: Map<string, number> = new Map()
  /** Empty retained messages. */
  readonly cleared: { readonly topic: string; readonly sentAt: number; ackedAt: number }[] = []
  hasRestarted = false
  /** True when it has done so without a store. */
  hasForgotten = false
  #order = 0
  #last = 0

  constructor(rights: Rights, now: () => number, queue: number, evicts: boolean) {
    this.rights = rights
    this.now = now
    this.queue = queue
    this.#evicts = evicts
  }

  fault(text: string): void {
    this.faults.push(`${this.now()} ms: ${text}`)
  }

  /** The next place in the order of events. */
  tick(): number {
    return ++this.#order
  }

  mint(kind: Token['kind'], topic: string, user: string, of: Partial<Token> = {}): Token {
    const id = (++this.#last).toString(36)
    const token: Token = {
      id,
      kind,
      topic,
      user,
      session: null,
      stream: 0,
      qos: 0,
      retain: false,
      sentAt: this.tick(),
      sentTime: this.now(),
      allowed: true,
      expires: false,
      ackedAt: -1,
      ackedTime: 0,
      refused: false,
      resends: 0,
      fate: 'armed',
      groups: new Map(),
      ...of
    }
    this.tokens.set(id, token)
    return token
  }

  /** A CONNECT is sent: what is known of the session may be changed from here on. */
  connecting(user: string, clientId: string, clean: boolean, stream: number, will: Omit<Will, 'payload'> | null): Token | null {
    const key = `${user}\0${clientId}`
    const session = this.#current.get(key)
    const before = this.#connecting.get(key) ?? 0
    this.#connecting.set(key, before + 1)
    if (before > 0) this.#overlapping.add(key)
    this.#lastConnect.set(key, this.now())
    this.#askedAt.set(stream, this.tick())
    if (session && clean) this.#end(session, 'doubt')
    this.wills.connecting(user, clientId)
    if (will === null) return null
    const { topic, qos, retain, delay } = will
    return this.mint('will', topic, user, { stream, qos, retain, expires: delay > 0, allowed: this.rights.mayWrite(user, topic) })
  }

  /** The session that a CONNACK is about. */
  connected(user: string, clientId: string, stream: number, present: boolean | null, expiry: number, clean: boolean): SessionModel {
    const key = `${user}\0${clientId}`
    this.#answered(key)
    // A CONNACK that was on its way when the user was revoked is about a session that has ended.
    const isRevoked = this.now() - (this.revocations.get(user) ?? Number.NEGATIVE_INFINITY) < ON_ITS_WAY
    const overlaps = isRevoked || present === null || this.#overlapping.has(key)
    let session = isRevoked ? undefined : this.#current.get(key)
    // What ended it may have come after this CONNECT.
    if (session?.over && !session.isRevoked && present && this.now() - session.endedTime < ON_ITS_WAY) session.over = false
    if (session?.over) session = undefined
    if (overlaps) {
      // Which of several CONNECT packets came first cannot be told.
      session ??= this.#newSession(user, clientId)
      session.doubtful = session.mixed = true
      session.isRevoked = isRevoked
    } else {
      if (present && clean) this.fault(`${user}/${clientId}: a session is present in spite of a clean start`)
      if (present && session === undefined && !this.#maybe.has(key))
        this.fault(`${user}/${clientId}: the client is given a session that it does not have`)
      if (!present && session) {
        if (!session.doubtful && !clean && session.expiry >= LASTING) this.#lost(session)
        this.#end(session, 'over')
        session = undefined
      }
      session ??= this.#newSession(user, clientId)
      this.#maybe.delete(key)
    }
    session.connection = stream
    session.connectedAt = this.tick()
    session.askedAt = this.#askedAt.get(stream) as number
    session.expiry = expiry
    if (this.#connecting.get(key) === 0) this.#overlapping.delete(key)
    return session
  }

  /** Whether a client finds its session; null where that cannot be told. */
  keeps(user: string, clientId: string, clean: boolean): boolean | null {
    const session = this.#current.get(`${user}\0${clientId}`)
    if (clean || !session?.isSure || this.#evicts) return clean ? false : null
    return session.mayWait(this.tokens.values(), this.rights, this.now()) < this.queue ? true : null
  }

  #answered(key: string): void {
    this.#connecting.set(key, (this.#connecting.get(key) ?? 1) - 1)
  }

  #newSession(user: string, clientId: string): SessionModel {
    const session = new SessionModel(user, clientId)
    this.sessions.add(session)
    this.#current.set(`${user}\0${clientId}`, session)
    return session
  }

  /** A CONNECT was refused, or its connection ended before the answer: what it did is not known. */
  notConnected(user: string, clientId: string, known: boolean): void {
    const key = `${user}\0${clientId}`
    this.#answered(key)
    const session = this.#current.get(key)
    if (!known) this.#maybe.add(key)
    if (session && !known) {
      this.#cancel(session)
      session.doubtful = true
    }
  }

  /** A session whose end nothing that the client did explains. */
  #lost(session: SessionModel): void {
    if (session.mayWait(this.tokens.values(), this.rights, this.now()) >= this.queue) this.overflowed++
    else if (this.#evicts && session.connection === 0) this.evicted++
    else this.fault(`${session.name}: its session is lost, with ${session.expected.size} messages that it must get`)
  }

  /** A connection ended. */
  closed(session: SessionModel, stream: number, how: 'killed' | 'left' | 'by broker', will: Token | null, code: number): void {
    if (will !== null) this.wills.closed(session, will, how)
    if (session.connection !== stream) return
    session.connection = 0
    if (how === 'by broker' && code === 0x97) {
      this.#lost(session)
      this.#end(session, 'over')
    } else if (session.isRevoked || (session.expiry === 0 && !session.mixed)) this.#end(session, 'over')
  }

  /** A message is sent; from now on it may arrive. */
  publishing(session: SessionModel, stream: number, message: Omit<Publish, 'payload' | 'packetId' | 'dup'>): Token {
    const { topic, qos, retain, expiry } = message
    const kind = topic.startsWith('s/') ? 'state' : 'message'
    // The method named runs first, and reading needs a right of its own.
    const allowed = this.rights.mayWrite(session.user, topic) && (message.method !== 'GET' || this.rights.mayRead(session.user, topic))
    const token = this.mint(kind, topic, session.user, { session, stream, qos, retain, allowed, expires: expiry > 0 })
    if (kind === 'message' && allowed && qos > 0 && expiry === 0) this.expect(token)
    return token
  }

  /** Who must get a message, should it be acknowledged. */
  expect(token: Token): void {
    const groups = new Map<string, SessionModel[]>()
    const lossy = new Set<string>()
    for (const session of this.sessions) {
      if (session.over || session.doubtful || !this.rights.mayRead(session.user, token.topic)) continue
      const granted = session.granted(token.topic).filter(({ noLocal }) => !noLocal || session !== token.session)
      const plain = granted.filter(({ group }) => group === '')
      if (Math.max(0, ...plain.map(({ grantedQos }) => grantedQos)) > 0) session.expected.set(token.id, token)
      for (const { group, grantedQos } of granted) {
        if (group === '') continue
        groups.set(group, [...(groups.get(group) ?? []), session])
        // A member that is away takes no message of QoS 0.
        if (grantedQos === 0) lossy.add(group)
      }
    }
    for (const [group, members] of groups) if (!lossy.has(group)) token.groups.set(group, members)
  }

  /** PUBACK or PUBREC. */
  published(token: Token, code: number, version: number): void {
    if (token.ackedAt >= 0 || token.refused) return
    if (code >= 0x80) {
      token.refused = true
      for (const session of this.sessions) session.expected.delete(token.id)
      if (token.allowed && !this.rights.isForbidden(token.user, token.topic))
        this.fault(`@${token.id}@ to ${token.topic} by ${token.user} is refused with ${code}`)
      return
    }
    if (!token.allowed && version === 5) this.fault(`@${token.id}@ to ${token.topic} is accepted from ${token.user}, who may not`)
    token.ackedAt = this.tick()
    token.ackedTime = this.now()
  }

  /** The broker is about to be closed. */
  restarting(): void {
    // A DISCONNECT that ends a session may not have come.
    for (const session of this.sessions) if (this.now() - session.endedTime < ON_ITS_WAY) session.endedTime = Number.POSITIVE_INFINITY
    this.wills.restarting()
  }

  /** All connections have ended; without a store, all sessions have, too. */
  restarted(keeps: boolean): void {
    this.hasRestarted = true
    if (!keeps) this.hasForgotten = true
    for (const session of this.sessions) if (!keeps && !session.over) this.#end(session, 'over')
  }

  /** The app ends the sessions of a user, whose account is gone. */
  revoked(user: string): void {
    this.revocations.set(user, this.now())
    this.wills.revoked(user)
    for (const session of this.sessions) {
      if (session.user !== user) continue
      this.#end(session, 'over')
      session.isRevoked = true
    }
    for (const key of this.#maybe) if (key.startsWith(`${user}\0`)) this.#maybe.delete(key)
  }

  /** From its next connection on a user may not read a topic any more. */
  forbidden(user: string, topic: string): void {
    this.rights.forbid(user, topic, this.tick())
    for (const session of this.sessions) {
      if (session.user !== user) continue
      for (const [id, token] of session.expected) if (token.topic === topic) session.expected.delete(id)
    }
  }

  /** When a CONNECT of a session was sent last. */
  lastConnect({ user, clientId }: SessionModel): number {
    return this.#lastConnect.get(`${user}\0${clientId}`) ?? Number.NEGATIVE_INFINITY
  }

  #end(session: SessionModel, how: 'over' | 'doubt'): void {
    session.doubtful = true
    if (how === 'over') {
      session.over = true
      session.endedTime = this.now()
    }
    this.#cancel(session)
  }

  #cancel(session: SessionModel): void {
    session.expected.clear()
  }

  /** Checks what must have arrived by now, after everything has come to rest. */
  settle(): void {
    for (const session of this.sessions) {
      if (session.over || session.doubtful || session.connection === 0) continue
      for (const [id, token] of session.expected) {
        if (token.ackedAt < 0) continue
        session.expected.delete(id)
        this.fault(`@${id}@ on ${token.topic} (QoS ${token.qos}, ${token.kind}): acknowledged to ${token.user}, and ${session.name} does not get it`)
      }
    }
    for (const token of this.tokens.values()) settleGroups(this, token)
  }
}
