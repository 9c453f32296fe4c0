import type { Publish, Subscribe } from './mqtt-packets.ts'
import { matches, type Rights, shared } from './rights.ts'

/** Milliseconds within which what was sent over the network has arrived and been handled. */
export const ON_ITS_WAY = 300
/** Seconds of expiry from which on no session of a world expires. */
export const LASTING = 100_000

/** One subscription of a session, with the places in the order of events at which it began and ended. */
export interface SubscriptionModel extends Subscribe {
  /** `$share/<group>/<filter>`; empty for a plain one. */
  readonly group: string
  /** The filter without its group. */
  readonly plain: string
  readonly askedAt: number
  /** -1 until it is granted. */
  grantedAt: number
  grantedQos: number
  /** When UNSUBSCRIBE, or the same filter again, was sent. */
  endingAt: number
  /** When UNSUBACK came. */
  endedAt: number
}

/** What a token stands for: something that was published, or that a handler said. */
export interface Token {
  readonly id: string
  readonly kind: 'message' | 'will' | 'reply' | 'state' | 'own'
  readonly topic: string
  /** Who published it; of a reply and of what is said to each user, for whom it is. */
  readonly user: string
  readonly session: SessionModel | null
  /** Number of the connection that it was published on. */
  readonly stream: number
  readonly qos: number
  readonly retain: boolean
  readonly sentAt: number
  /** The same in virtual time. */
  readonly sentTime: number
  /** False when nobody may have it. */
  readonly allowed: boolean
  /** True when it may expire on its way. */
  readonly expires: boolean
  ackedAt: number
  /** Virtual time of the acknowledgement. */
  ackedTime: number
  refused: boolean
  /** How often its sender has sent it again: each may be a message of its own. */
  resends: number
  /** Of a will: whether it may be published. */
  fate: 'armed' | 'may' | 'left' | 'never'
  /** Groups of which one member must get it, with all their members then. */
  readonly groups: Map<string, readonly SessionModel[]>
}

/** A PUBLISH of QoS 1 or 2 that the broker has not acknowledged to the end. */
export interface Outgoing {
  readonly message: Publish
  readonly token: Token | null
  /** Of an empty retained message. */
  readonly clears: { ackedAt: number } | null
  released: boolean
}

/** What a client and the model know of one session, over its connections. */
export class SessionModel {
  readonly user: string
  readonly clientId: string
  /** Number of its present connection; 0 while it has none. */
  connection = 0
  /** Since when that is so, in the order of events. */
  connectedAt = 0
  /** When that connection was asked for. */
  askedAt = 0
  expiry = 0
  over = false
  /** True when the app has ended it with its user. */
  isRevoked = false
  /** When that was found, in virtual time. */
  endedTime = 0
  /** True when its end cannot be told from what the client has seen. */
  doubtful = false
  /** True when it may be two sessions, whose order cannot be told. */
  mixed = false
  readonly subscriptions: SubscriptionModel[] = []
  /** What it must get, by token. */
  readonly expected: Map<string, Token> = new Map()
  /** Receipts by token, without those that were marked as repeated or as retained. */
  readonly copies: Map<string, number> = new Map()
  /** Everything that it has got. */
  readonly got: Set<string> = new Set()
  /** Messages of QoS 1 and 2 that its client has acknowledged. */
  readonly settled: Set<string> = new Set()
  /** The newest first receipt of each sender, topic and QoS. */
  readonly newest: Map<string, Token> = new Map()
  /** The newest state by topic. */
  readonly states: Map<string, string> = new Map()
  readonly outgoing: Map<number, Outgoing> = new Map()
  /** QoS 2 messages that came and were not released. */
  readonly incoming: Set<number> = new Set()
  /** What it knows of the broker's figures. */
  readonly figures: Map<string, string> = new Map()
  packetId = 0

  constructor(user: string, clientId: string) {
    this.user = user
    this.clientId = clientId
  }

  /** True while nothing that it did or met can have ended it. */
  get isSure(): boolean {
    return !this.over && !this.doubtful && this.expiry >= LASTING
  }

  get name(): string {
    return `${this.user || '(none)'}/${this.clientId}`
  }

  /** Subscriptions that may match a topic for what was sent at a place in the order of events. */
  possible(topic: string, sentAt: number): SubscriptionModel[] {
    return this.subscriptions.filter(({ plain, endedAt }) => endedAt > sentAt && matches(plain, topic))
  }

  /** Granted subscriptions that match a topic now. */
  granted(topic: string): SubscriptionModel[] {
    return this.subscriptions.filter(
      ({ plain, grantedAt, endingAt }) => grantedAt >= 0 && endingAt === Number.POSITIVE_INFINITY && matches(plain, topic)
    )
  }

  /** Most messages that may wait for it in the broker: to be sent, or for a decision about them. */
  mayWait(tokens: Iterable<Token>, rights: Rights, now: number): number {
    let count = 0
    for (const { id, topic, qos, sentAt, sentTime, allowed, kind, resends } of tokens) {
      if (!allowed || this.settled.has(id) || !rights.couldRead(this.user, topic)) continue
      // One of QoS 0 waits for its decision alone.
      if (qos === 0 && kind !== 'state' && kind !== 'own' && (this.got.has(id) || now - sentTime > 1000)) continue
      const groups = new Set(this.possible(topic, sentAt).map(({ group }) => group))
      count += groups.size * (1 + resends)
    }
    return count
  }
}

export const subscriptionModel = (form: Subscribe, askedAt: number): SubscriptionModel => {
  const { group, filter } = shared(form.filter)
  return {
    ...form,
    group,
    plain: filter,
    askedAt,
    grantedAt: -1,
    grantedQos: 0,
    endingAt: Number.POSITIVE_INFINITY,
    endedAt: Number.POSITIVE_INFINITY
  }
}
