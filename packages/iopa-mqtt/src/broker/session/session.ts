import type { Context, RequestSource } from '@iopa/transport'
import type { StoredSession } from '../../store.ts'
import type { Operation } from '../operation/operation.ts'
import type { Quota } from '../operation/quota.ts'
import { DROPS, type DropReason } from '../operation/statistics.ts'
import type { AccessCheck, ClientConnection, SessionScope, Subscriber } from '../ports.ts'
import type { Subscription } from '../topics/subscription.ts'
import type { SubscriptionHolder } from '../topics/subscription-table.ts'
import type { Topic } from '../topics/topic-table.ts'
import type { Delivery } from './delivery-queue.ts'
import { accountOf, clientName, sessionKey, storedUser } from './identity.ts'
import { type InitialMessagePorts, InitialMessages } from './initial-messages.ts'
import { OutgoingMessages, type OutgoingOwner } from './outgoing-messages.ts'
import { Receipts } from './receipts.ts'
import { TopicAuthorization } from './topic-authorization.ts'
import type { PendingWill } from './wills.ts'

/** Who a session belongs to, and its scope. */
export interface SessionInit extends SessionScope {
  /** The user over all connections (see `userKeyOf`). */
  readonly user: string
  readonly clientId: string
  /** 3, 4 or 5. */
  readonly version: number
  /** The address that the client first connected from. */
  readonly address: string
}

/** What sessions use of the broker. */
export interface SessionPorts {
  readonly operation: Pick<Operation, 'settings' | 'clock' | 'turns' | 'journal' | 'statistics' | 'events'>
  /** Bytes that wait in all queues. */
  readonly queued: Quota
  /** Checks whether a session may receive from a topic, and whether it may publish answers to one. */
  readonly checks: { readonly receive: AccessCheck; readonly reply: AccessCheck }
  readonly initial: InitialMessagePorts<Session>
  /** Ends a session whose queue has overflowed. */
  readonly overflowed: (session: Session) => void
}

/** A topic that a session observes because of a subscription without wildcards. */
export interface Observed {
  readonly topic: Topic
  readonly context: Context
}

/** The session state of one client, over its connections (MQTT 5 section 4.1). */
export class Session implements SubscriptionHolder, OutgoingOwner {
  readonly clientId: string
  readonly user: string
  /** Name in the broker and in the store, of user and client identifier. */
  readonly key: string
  /** The account whose quotas it counts against. */
  readonly account: string
  readonly address: string
  /** Its place in the order in which the sessions began. */
  serial = 0
  readonly #ports: SessionPorts
  version: number
  /** When its client connected, or else when that left or the session was restored: milliseconds since 1970. */
  since: number
  /** Null while the client is away. */
  connection: ClientConnection | null = null
  /** The connection whose CONNECT was accepted last; it becomes `connection` when CONNACK is sent. */
  claim: ClientConnection | null = null
  /** The scope of the session; states are read in its name. */
  context: Context
  /** The headers of its CONNECT. */
  source: RequestSource | null
  /** What it observes, by topic name. */
  observed: Map<string, Observed> | null = null
  /** Session Expiry Interval in seconds. */
  expiryInterval = 0
  /** When it expires, in the time of `clock.elapsed`, while the client is away; Infinity for never. */
  expiresAt: number = Number.POSITIVE_INFINITY
  will: PendingWill | null = null
  /** When a delayed will is published, in the time of `clock.elapsed`; Infinity for none. */
  willAt: number = Number.POSITIVE_INFINITY
  /** The user has expired: until then the client may return without its will being published. */
  willHeldUntil = 0
  ended = false
  overflowed = false
  readonly subscriptions: Map<string, Subscription> = new Map()
  /** QoS 2 messages received and not released. */
  readonly receipts: Receipts
  readonly outgoing: OutgoingMessages
  /** Whether it may receive from a topic. */
  readonly authorization: TopicAuthorization
  /** Whether it may have answers published to a topic. */
  readonly replyAuthorization: TopicAuthorization
  readonly initial: InitialMessages<Session>
  /** Messages that were dropped since the client was slow or away. */
  dropped = 0

  constructor({ user, clientId, version, context, source, address }: SessionInit, ports: SessionPorts) {
    this.#ports = ports
    this.user = user
    this.clientId = clientId
    this.key = sessionKey(user, clientId)
    this.account = accountOf(user, address)
    this.address = address
    this.since = ports.operation.clock.now()
    this.version = version
    this.context = context
    this.source = source
    const { operation, checks } = ports
    this.receipts = new Receipts(this, operation.journal)
    this.outgoing = new OutgoingMessages(this, operation, ports.queued)
    this.authorization = new TopicAuthorization(this, checks.receive, operation)
    this.replyAuthorization = new TopicAuthorization(this, checks.reply, operation)
    this.initial = new InitialMessages<Session>(this, ports.initial)
  }

  /** Name of the client in the log. */
  get name(): string {
    return clientName(this.user, this.clientId)
  }

  get connected(): boolean {
    return this.connection !== null
  }

  /** True if the session outlives its connection. */
  get persistent(): boolean {
    return this.expiryInterval > 0
  }

  get stored(): boolean {
    return this.persistent && this.#ports.operation.journal.active
  }

  /** Counts a message that the client does not get, and logs it at a bounded rate. */
  drop(reason: DropReason = 'client-slow'): void {
    const { statistics } = this.#ports.operation
    this.dropped++
    statistics.drop(reason)
    statistics.losses.note(DROPS[reason], this)
  }

  miss(): void {
    const { statistics } = this.#ports.operation
    statistics.absent++
    statistics.losses.note('a message of QoS 0 is dropped, for its client is away', this, 'info')
  }

  /** Counts all messages that wait for the client as dropped: the session ends before the client returns. */
  dropAll(reason: DropReason): void {
    const { waiting } = this.outgoing
    if (waiting === 0 || this.ended) return
    const { statistics } = this.#ports.operation
    this.dropped += waiting
    statistics.drop(reason, waiting)
    statistics.losses.note(DROPS[reason], `${this.name}, ${waiting} messages`)
  }

  /** Counts a message of QoS 1 or 2 that found no room in the queue, and ends the session, so that the client notices the gap. */
  overflow(): void {
    this.drop('queue-full')
    if (this.overflowed || this.ended) return
    this.overflowed = true
    const { statistics, turns } = this.#ports.operation
    statistics.losses.note('a client takes too little and its session ends', this.name)
    // Not within a delivery to other sessions.
    turns.wait(() => this.#ports.overflowed(this))
  }

  check(delivery: Delivery, again: () => void): boolean {
    const topic = this.#ports.initial.topics.get(delivery.message.topic)
    if (topic === null || delivery.checking) return topic === null
    let inside = true
    delivery.checking = true
    const asked = this.authorization.ask(topic, allowed => {
      delivery.checking = delivery.unchecked = false
      if (!allowed && !delivery.cancelled) {
        delivery.cancelled = true
        this.drop('not-allowed')
      }
      if (!inside) again()
    })
    inside = false
    if (!asked) {
      delivery.checking = false
      this.#ports.operation.turns.later(again, CHECK_AGAIN)
    }
    return !delivery.unchecked
  }

  drained(): void {
    this.initial.pump()
  }

  /** Stops observing a topic; with `only`, if it is still that observation. */
  unobserve(topic: string, only?: Observed): void {
    const observed = this.observed?.get(topic)
    if (only && only !== observed) {
      void only.context.end('unsubscribe')
      return
    }
    this.observed?.delete(topic)
    void observed?.context.end('unsubscribe')
  }

  /** Changes the Session Expiry Interval, at most to the limit of the server. */
  changeExpiry(seconds: number): void {
    this.expiryInterval = Math.min(seconds, this.#ports.operation.settings.maxSessionExpiry)
  }

  /** Forgets all authorizations: the user has changed, or was checked again. */
  resetAuthorizations(): void {
    this.authorization.reset()
    this.replyAuthorization.reset()
  }

  toStored(): StoredSession {
    return {
      clientId: this.clientId,
      address: this.address,
      protocolVersion: this.version,
      expiryInterval: this.expiryInterval,
      expiresAt: this.connection === null && this.expiresAt !== Number.POSITIVE_INFINITY ? this.expiresAt : null,
      will: this.will?.toStored() ?? null,
      user: storedUser(this.context['server.User'])
    }
  }

  /** Frees what the session holds: it has ended. */
  clear(): void {
    this.outgoing.clear()
    this.initial.clear()
    this.receipts.clear()
  }
}

/** The session behind a subscription: all subscribers of a broker are its sessions. */
export const sessionOf = (subscriber: Subscriber): Session => subscriber as Session

/** Milliseconds until a check is asked for again for which there was no room. */
const CHECK_AGAIN = 100
