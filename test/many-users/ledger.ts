import type { Packet, Publish, Subscribe, Will } from './mqtt-packets.ts'
import type { Rights } from './rights.ts'
import { SessionModel, type SubscriptionModel, subscriptionModel, type Token } from './sessions.ts'

/** Milliseconds within which what was sent over the network has arrived and been handled. */
const ON_ITS_WAY = 300
/** Seconds of expiry from which on no session of a world expires. */
export const LASTING = 100_000

const TOKEN = /@(\w+)@/g

/** The tokens in a text. */
export const tokensIn = (text: string): string[] => Array.from(text.matchAll(TOKEN), match => match[1] as string)

/** The model of one world: what was published, who may have it and who must get it. Everything that breaks it is a fault. */
export class Ledger {
  readonly faults: string[] = []
  readonly rights: Rights
  readonly #now: () => number
  /** Messages that may wait for one session. */
  readonly #queue: number
  /** True when idle sessions may end to make room. */
  readonly #evicts: boolean
  readonly tokens: Map<string, Token> = new Map()
  readonly sessions: Set<SessionModel> = new Set()
  readonly #current: Map<string, SessionModel> = new Map()
  /** Sessions with more than one CONNECT without an answer at a time. */
  readonly #overlapping: Set<string> = new Set()
  /** Sessions that a CONNECT without an answer may have made. */
  readonly #maybe: Set<string> = new Set()
  /** CONNECT packets without an answer, by session. */
  readonly #connecting: Map<string, number> = new Map()
  readonly #lastConnect: Map<string, number> = new Map()
  /** Wills that were published, and where the first of them was seen. */
  readonly #willsSeen: Map<Token, number> = new Map()
  /** Sessions that ended since too much waited for them, and those that ended to make room. */
  overflowed = 0
  evicted = 0
  /** Deliveries that were checked, and messages that had to arrive and did. */
  deliveries = 0
  kept = 0
  /** Empty retained messages. */
  readonly cleared: { readonly topic: string; readonly sentAt: number; ackedAt: number }[] = []
  hasRestarted = false
  /** True when it has done so without a store. */
  hasForgotten = false
  #order = 0
  #last = 0

  constructor(rights: Rights, now: () => number, queue: number, evicts: boolean) {
    this.rights = rights
    this.#now = now
    this.#queue = queue
    this.#evicts = evicts
  }

  fault(text: string): void {
    this.faults.push(`${this.#now()} ms: ${text}`)
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
      sentTime: this.#now(),
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
    this.#lastConnect.set(key, this.#now())
    if (session && clean) this.#end(session, 'doubt')
    for (const token of this.tokens.values()) {
      if (token.kind !== 'will' || token.user !== user || token.session?.clientId !== clientId) continue
      if (token.fate === 'left' && this.#now() - token.ackedTime < ON_ITS_WAY) token.fate = 'may'
    }
    if (will === null) return null
    const { topic, qos, retain, delay } = will
    return this.mint('will', topic, user, { stream, qos, retain, expires: delay > 0, allowed: this.rights.mayWrite(user, topic) })
  }

  /** The session that a CONNACK is about. */
  connected(user: string, clientId: string, stream: number, present: boolean, expiry: number, clean: boolean): SessionModel {
    const key = `${user}\0${clientId}`
    this.#answered(key)
    const overlaps = this.#overlapping.has(key)
    let session = this.#current.get(key)
    // What ended it may have come after this CONNECT.
    if (session?.over && present && this.#now() - session.endedTime < ON_ITS_WAY) session.over = false
    if (session?.over) session = undefined
    if (overlaps) {
      // Which of several CONNECT packets came first cannot be told.
      session ??= this.#newSession(user, clientId)
      session.doubtful = session.mixed = true
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
    session.expiry = expiry
    if (this.#connecting.get(key) === 0) this.#overlapping.delete(key)
    return session
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
    if (session.mayWait(this.tokens.values(), this.rights, this.#now()) >= this.#queue) this.overflowed++
    else if (this.#evicts && session.connection === 0) this.evicted++
    else this.fault(`${session.name}: its session is lost, with ${session.expected.size} messages that it must get`)
  }

  /** A connection ended. */
  closed(session: SessionModel, stream: number, how: 'killed' | 'left' | 'by broker', will: Token | null, code: number): void {
    if (will !== null) this.#willOf(session, will, how)
    if (session.connection !== stream) return
    session.connection = 0
    if (how === 'by broker' && code === 0x97) {
      this.#lost(session)
      this.#end(session, 'over')
    } else if (session.expiry === 0 && !session.mixed) this.#end(session, 'over')
  }

  #willOf(session: SessionModel, will: Token, how: 'killed' | 'left' | 'by broker'): void {
    if (will.fate !== 'armed') return
    const recently = this.#now() - (this.#lastConnect.get(`${session.user}\0${session.clientId}`) ?? Number.NEGATIVE_INFINITY) < ON_ITS_WAY
    will.ackedTime = this.#now()
    const waiting = session.mayWait(this.tokens.values(), this.rights, this.#now())
    if (how === 'left') will.fate = recently || session.doubtful || waiting >= this.#queue ? 'may' : 'left'
    else will.fate = 'may'
    // A client that vanishes after its connection had nothing else to end it has its will published now.
    const certain = how === 'killed' && !recently && !session.doubtful && waiting < this.#queue && session.connection === will.stream
    if (certain && will.allowed && will.qos > 0 && !will.expires) {
      this.expect(will)
      will.ackedAt = this.tick()
    }
  }

  subscribing(session: SessionModel, form: Subscribe): SubscriptionModel {
    this.#change(session, form.filter)
    const subscription = subscriptionModel(form, this.tick())
    session.subscriptions.push(subscription)
    return subscription
  }

  subscribed(session: SessionModel, subscription: SubscriptionModel, code: number): void {
    if (code > 2) {
      subscription.endingAt = subscription.endedAt = this.tick()
      return
    }
    // What stood in its place has been replaced by now.
    for (const other of session.subscriptions)
      if (other !== subscription && other.filter === subscription.filter && other.askedAt < subscription.askedAt)
        other.endedAt = Math.min(other.endedAt, this.tick())
    subscription.grantedAt = this.tick()
    subscription.grantedQos = code
  }

  unsubscribing(session: SessionModel, filter: string): void {
    this.#change(session, filter)
  }

  unsubscribed(session: SessionModel, filter: string, sentAt: number): void {
    for (const one of session.subscriptions) if (one.filter === filter && one.askedAt < sentAt) one.endedAt = Math.min(one.endedAt, this.tick())
  }

  /** A subscription ends or changes: messages that were not acknowledged yet may come before or after that. */
  #change(session: SessionModel, filter: string): void {
    for (const one of session.subscriptions) if (one.filter === filter) one.endingAt = Math.min(one.endingAt, this.tick())
    for (const [id, token] of session.expected)
      if (token.ackedAt < 0 || (token.kind === 'will' && this.#now() - token.ackedTime < ON_ITS_WAY)) session.expected.delete(id)
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
      if (token.allowed) this.fault(`@${token.id}@ to ${token.topic} by ${token.user} is refused with ${code}`)
      return
    }
    if (!token.allowed && version === 5) this.fault(`@${token.id}@ to ${token.topic} is accepted from ${token.user}, who may not`)
    token.ackedAt = this.tick()
    token.ackedTime = this.#now()
  }

  /** A PUBLISH arrived; `fresh` is false for one that the client knows to be repeated. */
  received(session: SessionModel, packet: Packet, fresh: boolean): void {
    if (packet.topic.startsWith('$SYS/')) session.figures.set(packet.topic, packet.payload)
    for (const id of tokensIn(packet.payload)) {
      const token = this.tokens.get(id)
      const where = `@${id}@ on ${packet.topic} to ${session.name}`
      this.deliveries++
      if (token === undefined) {
        this.fault(`${where}: nothing like this was published`)
        continue
      }
      this.#mayHave(session, token, packet, where)
      session.expected.delete(id) && this.kept++
      if (token.kind === 'state' || token.kind === 'own') session.states.set(packet.topic, id)
      if (!session.got.has(id)) this.#inOrder(session, token, packet, where)
      session.got.add(id)
      if (fresh && !packet.dup && !packet.retain) this.#once(session, token, where)
    }
  }

  #mayHave(session: SessionModel, token: Token, packet: Packet, where: string): void {
    if (packet.topic !== token.topic) this.fault(`${where}: it was published to ${token.topic}`)
    if (!this.rights.mayRead(session.user, token.topic)) this.fault(`${where}: this user may not have it`)
    if (!token.allowed) this.fault(`${where}: ${token.user} may not publish it`)
    if (token.refused) this.fault(`${where}: it was refused`)
    if (token.kind === 'will' && !this.#willsSeen.has(token)) this.#willsSeen.set(token, this.#now())
    if (token.kind === 'own' && token.user !== session.user) this.fault(`${where}: it is for ${token.user}`)
    if (token.kind === 'reply' && (token.user === '' ? token.session !== session : token.user !== session.user))
      this.fault(`${where}: it is an answer to ${token.user}`)
    const subscriptions = session.possible(token.topic, token.sentAt)
    if (subscriptions.length === 0) this.fault(`${where}: the session has not subscribed to it`)
    else if (
      token.session === session &&
      token.kind === 'message' &&
      !packet.retain &&
      subscriptions.every(({ noLocal, group }) => noLocal && group === '')
    )
      this.fault(`${where}: it is its own message, and it wants none`)
  }

  #once(session: SessionModel, token: Token, where: string): void {
    // Where a CONNACK was lost, a sender cannot tell its session from a new one, and sends again what the old one had taken.
    if (session.mixed) return
    const copies = (session.copies.get(token.id) ?? 0) + 1
    session.copies.set(token.id, copies)
    if (
      token.kind === 'state' ||
      token.kind === 'own' ||
      token.kind === 'reply' ||
      (token.resends > 0 && (token.qos < 2 || token.session?.doubtful === true))
    )
      return
    const groups = new Set(session.possible(token.topic, token.sentAt).map(({ group }) => group))
    if (copies > groups.size) this.fault(`${where}: it comes ${copies} times`)
  }

  #inOrder(session: SessionModel, token: Token, packet: Packet, where: string): void {
    if (
      session.mixed ||
      token.kind !== 'message' ||
      token.resends > 0 ||
      packet.retain ||
      session.possible(token.topic, token.sentAt).some(({ group }) => group !== '')
    )
      return
    const key = `${token.stream} ${token.topic} ${token.qos} ${packet.qos}`
    const before = session.newest.get(key)
    if (before && before.sentAt > token.sentAt) this.fault(`${where}: it comes after @${before.id}@, which was published later`)
    else session.newest.set(key, token)
  }

  /** Something that another protocol brought to a user from a path. */
  observed(protocol: string, user: string, topic: string, id: string): void {
    const token = this.tokens.get(id)
    const where = `@${id}@ over ${protocol} to ${user || '(none)'} from ${topic}`
    this.deliveries++
    if (token === undefined) this.fault(`${where}: nothing like this was published`)
    else if (token.topic !== topic) this.fault(`${where}: it is of ${token.topic}`)
    else if (!this.rights.mayRead(user, topic)) this.fault(`${where}: this user may not have it`)
    else if (!token.allowed || token.refused) this.fault(`${where}: ${token.user} may not write it`)
    else if (token.kind === 'own' && token.user !== user) this.fault(`${where}: it is for ${token.user}`)
  }

  /** The broker is about to be closed: what becomes of wills is not known. */
  restarting(): void {
    // A DISCONNECT that ends a session may not have come.
    for (const session of this.sessions) if (this.#now() - session.endedTime < ON_ITS_WAY) session.endedTime = Number.POSITIVE_INFINITY
    for (const token of this.tokens.values()) {
      const leaving = token.fate === 'left' && this.#now() - token.ackedTime < ON_ITS_WAY
      if (token.kind === 'will' && (token.fate === 'armed' || leaving)) token.fate = 'may'
    }
  }

  /** All connections have ended; without a store, all sessions have, too. */
  restarted(keeps: boolean): void {
    this.hasRestarted = true
    if (!keeps) this.hasForgotten = true
    for (const session of this.sessions) if (!keeps && !session.over) this.#end(session, 'over')
  }

  /** The sessions of a user were ended by the app. */
  revoked(user: string): void {
    for (const session of this.sessions) if (session.user === user) this.#end(session, 'over')
  }

  #end(session: SessionModel, how: 'over' | 'doubt'): void {
    session.doubtful = true
    if (how === 'over') {
      session.over = true
      session.endedTime = this.#now()
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
    for (const token of this.tokens.values()) this.#settleGroups(token)
  }

  /** Checks wills, when nothing is to come any more. */
  settleWills(): void {
    for (const [will, at] of this.#willsSeen) {
      if (will.fate === 'left' || will.fate === 'never') this.fault(`@${will.id}@: the will was published at ${at} ms, though its client had left`)
    }
  }

  #settleGroups(token: Token): void {
    if (token.ackedAt < 0 || token.expires || token.kind !== 'message') return
    for (const [group, members] of token.groups) {
      const all = [...this.sessions].filter(({ subscriptions }) => subscriptions.some(one => one.group === group && one.endedAt > token.sentAt))
      const got = all.filter(session => session.got.has(token.id))
      const onlyShared = got.filter(session => session.possible(token.topic, token.sentAt).every(one => one.group === group))
      if (onlyShared.length > 1 && token.resends === 0)
        this.fault(`@${token.id}@ on ${token.topic}: ${onlyShared.map(({ name }) => name)} get it, who share ${group}`)
      const stable = members.every(
        session =>
          !session.over &&
          !session.doubtful &&
          session.connection > 0 &&
          session.granted(token.topic).some(one => one.group === group && one.grantedQos > 0)
      )
      const readers = all.filter(({ user }) => this.rights.mayRead(user, token.topic))
      if (stable && got.length === 0 && readers.every(one => members.includes(one)))
        this.fault(`@${token.id}@ on ${token.topic} (QoS ${token.qos}): no member of ${group} gets it, of ${members.map(({ name }) => name)}`)
    }
  }
}
