import type { Context, RequestSource } from '@iopa/transport'
import type { StoredSession } from '../store.ts'
import type { Broker } from './broker.ts'
import type { Connection } from './connection.ts'
import { Deliveries } from './deliveries.ts'
import { accountOf, clientName, sessionKey, storedUser } from './identity.ts'
import type { ObservedTopic } from './observed-topic.ts'
import { Replays } from './replays.ts'
import type { Subscription } from './subscription.ts'
import type { Topic } from './topic-table.ts'
import { Verdicts } from './verdicts.ts'
import type { PendingWill } from './wills.ts'

/** Never expires (MQTT 5 section 3.1.2.11.2). */
export const FOREVER = 0xffff_ffff

/** What a QoS 2 message has in place of a reason code while its handler works. */
export const IN_WORK = -1
/** What it has while its release is being stored. */
export const RELEASING = -2

/** What the broker keeps of one client, over its connections (MQTT 5 section 4.1). */
export class Session {
  readonly clientId: string
  /** Whose it is, over all its connections (see `userKeyOf`). */
  readonly user: string
  /** Of user and client identifier: its name in the broker and in the store. */
  readonly key: string
  /** Whose share of the quotas it takes, for as long as it lasts. */
  readonly account: string
  /** Where the client that made it came from. */
  readonly address: string
  readonly broker: Broker
  version: number
  /** Null while the client is away. */
  connection: Connection | null = null
  /** The connection whose CONNECT was accepted last; it becomes `connection` when CONNACK is sent. */
  claim: Connection | null = null
  /** The scope of the session; in its name the broker reads what the client has subscribed to. */
  context: Context
  /** The headers of its CONNECT. */
  source: RequestSource | null = null
  /** What it observes by exact filters, by topic. */
  observed: Map<string, ObservedTopic> | null = null
  /** Seconds that it outlives its connection. */
  expiryInterval = 0
  /** Milliseconds since 1970, while the client is away; Infinity for never. */
  expiresAt: number = Number.POSITIVE_INFINITY
  will: PendingWill | null = null
  /** When a delayed will is published, in milliseconds since 1970; Infinity for none. */
  willAt: number = Number.POSITIVE_INFINITY
  /** Its user has expired: until then the client may return without its will being published; in milliseconds since 1970. */
  pardonedUntil = 0
  ended = false
  /** True once a message of QoS 1 or 2 found no room. */
  overflowed = false
  readonly subscriptions: Map<string, Subscription> = new Map()
  /** QoS 2 messages that came and were not released: packet identifier to reason code. */
  received: Map<number, number> | null = null
  /** The messages on their way to the client. */
  readonly deliveries: Deliveries
  /** Whether it may receive from a topic. */
  readonly verdicts: Verdicts
  /** Whether it may have answers published to a topic. */
  readonly replyVerdicts: Verdicts
  readonly replays: Replays
  /** Messages that were dropped since the client was slow or away. */
  dropped = 0

  constructor(broker: Broker, user: string, clientId: string, version: number, context: Context, address: string) {
    this.broker = broker
    this.user = user
    this.clientId = clientId
    this.key = sessionKey(user, clientId)
    this.account = accountOf(user, address)
    this.address = address
    this.version = version
    this.context = context
    this.deliveries = new Deliveries(this)
    this.verdicts = new Verdicts(this, readRequest)
    this.replyVerdicts = new Verdicts(this, replyRequest)
    this.replays = new Replays(this)
  }

  /** Its client, for the log. */
  get name(): string {
    return clientName(this.user, this.clientId)
  }

  /** True when the session outlives its connection. */
  get persistent(): boolean {
    return this.expiryInterval > 0
  }

  /** True when the store keeps it. */
  get stored(): boolean {
    return this.persistent && this.broker.journal.active
  }

  /** Counts a message that the client does not get, and logs it at a bounded rate. */
  drop(why = 'a message of QoS 0 is dropped, for its client takes too little'): void {
    this.dropped++
    this.broker.counters.dropped++
    this.broker.losses.note(why, this)
  }

  /** Counts a message of QoS 0 that its client does not get because it is away. */
  miss(): void {
    this.broker.counters.absent++
    this.broker.losses.note('a message of QoS 0 is dropped, for its client is away', this, 'info')
  }

  /** Counts everything that waits for the client as dropped: the session ends before its client returns. */
  lose(why: string): void {
    const { waiting } = this.deliveries
    if (waiting === 0 || this.ended) return
    this.dropped += waiting
    this.broker.counters.dropped += waiting
    this.broker.losses.note(why, `${this.name}, ${waiting} messages`)
  }

  /** Counts a message of QoS 1 or 2 that found no room in this client's queue, and ends the session, so that its client sees the gap. */
  overflow(): void {
    this.drop(OVERFLOW)
    if (this.overflowed || this.ended) return
    this.overflowed = true
    this.broker.losses.note('a client takes too little and its session ends', this.name)
    // Not within a delivery to others.
    this.broker.turns.wait(() => this.broker.sessions.expel(this))
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

  /** Frees what waits; the session is over. */
  clear(): void {
    this.deliveries.clear()
    this.replays.clear()
    this.received = null
  }
}

const OVERFLOW = 'a message is dropped, for the queue of its client is full'

const readRequest = (session: Session, topic: Topic): Context => session.broker.requests.read(session, topic)
const replyRequest = (session: Session, topic: Topic): Context => session.broker.requests.reply(session, topic)
