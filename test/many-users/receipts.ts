import type { Ledger } from './ledger.ts'
import type { Packet } from './mqtt-packets.ts'
import { ON_ITS_WAY, type SessionModel, type Token } from './sessions.ts'
import { tokensIn } from './tokens.ts'

/** Checks everything that comes to a client: whether it may have it, how often it comes, and in which order. */
export class Receipts {
  readonly #ledger: Ledger
  /** Deliveries that were checked, and messages that had to arrive and did. */
  deliveries = 0
  kept = 0

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** A PUBLISH arrived; `fresh` is false for one that the client knows to be repeated. */
  received(session: SessionModel, packet: Packet, fresh: boolean): void {
    if (packet.topic.startsWith('$SYS/')) session.figures.set(packet.topic, packet.payload)
    for (const id of tokensIn(packet.payload)) {
      const token = this.#ledger.tokens.get(id)
      const where = `@${id}@ on ${packet.topic} to ${session.name}`
      this.deliveries++
      if (token === undefined) {
        this.#ledger.fault(`${where}: nothing like this was published`)
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
    if (packet.topic !== token.topic) this.#ledger.fault(`${where}: it was published to ${token.topic}`)
    if (!this.#ledger.rights.mayRead(session.user, token.topic, session.askedAt)) this.#ledger.fault(`${where}: this user may not have it`)
    // Nothing that is sent after its user was revoked comes to a session from before, not even when the account is back.
    if (session.isRevoked) this.#revoked(session.user, token, where, 0)
    if (!token.allowed) this.#ledger.fault(`${where}: ${token.user} may not publish it`)
    if (token.refused) this.#ledger.fault(`${where}: it was refused`)
    if (token.kind === 'will') this.#ledger.wills.seen(token)
    if (token.kind === 'own' && token.user !== session.user) this.#ledger.fault(`${where}: it is for ${token.user}`)
    if (token.kind === 'reply' && (token.user === '' ? token.session !== session : token.user !== session.user))
      this.#ledger.fault(`${where}: it is an answer to ${token.user}`)
    const subscriptions = session.possible(token.topic, token.sentAt)
    if (subscriptions.length === 0) this.#ledger.fault(`${where}: the session has not subscribed to it`)
    else if (
      token.session === session &&
      token.kind === 'message' &&
      !packet.retain &&
      subscriptions.every(({ noLocal, group }) => noLocal && group === '')
    )
      this.#ledger.fault(`${where}: it is its own message, and it wants none`)
  }

  #revoked(user: string, token: Token, where: string, since: number): void {
    const at = this.#ledger.revocations.get(user) ?? Number.POSITIVE_INFINITY
    if (since <= at && token.sentTime > at + ON_ITS_WAY) this.#ledger.fault(`${where}: it was sent after the user was revoked`)
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
    if (copies > groups.size) this.#ledger.fault(`${where}: it comes ${copies} times`)
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
    if (before && before.sentAt > token.sentAt) this.#ledger.fault(`${where}: it comes after @${before.id}@, which was published later`)
    else session.newest.set(key, token)
  }

  /** Something that another protocol brought to a user from a path, which it has observed since a time. */
  observed(protocol: string, user: string, topic: string, id: string, since: number): void {
    const token = this.#ledger.tokens.get(id)
    const where = `@${id}@ over ${protocol} to ${user || '(none)'} from ${topic}`
    this.deliveries++
    if (token === undefined) this.#ledger.fault(`${where}: nothing like this was published`)
    else if (token.topic !== topic) this.#ledger.fault(`${where}: it is of ${token.topic}`)
    else if (!this.#ledger.rights.mayRead(user, topic)) this.#ledger.fault(`${where}: this user may not have it`)
    else if (!token.allowed || token.refused) this.#ledger.fault(`${where}: ${token.user} may not write it`)
    else if (token.kind === 'own' && token.user !== user) this.#ledger.fault(`${where}: it is for ${token.user}`)
    else this.#revoked(user, token, where, since)
  }
}
