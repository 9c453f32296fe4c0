import type { Session } from '../session/session.ts'

/** One filter of one session. */
export class Subscription {
  readonly session: Session
  /** As subscribed, `$share/<group>/` included. */
  readonly filter: string
  qos = 0
  noLocal = false
  retainAsPublished = false
  retainHandling = 0
  /** 0 for none. */
  identifier = 0
  readonly group: SharedGroup | null

  constructor(session: Session, filter: string, group: SharedGroup | null) {
    this.session = session
    this.filter = filter
    this.group = group
  }
}

/** Sessions that share a filter: each message goes to one of them (MQTT 5 section 4.8.2). */
export class SharedGroup {
  readonly filter: string
  readonly members: Subscription[] = []
  #next = 0

  /** `filter` is the part behind `$share/<group>/`. */
  constructor(filter: string) {
    this.filter = filter
  }

  /** The next member that may have the topic, as far as is known, and is not among `except`: one that is connected and can take more, else that is connected, else that keeps messages until it returns. */
  pick(topic: string, except: ReadonlySet<Subscription> | null = null): Subscription | null {
    const count = this.members.length
    let best: Subscription | null = null
    let bestRank = 0
    let bestIndex = 0
    for (let step = 0; step < count; step++) {
      const index = (this.#next + step) % count
      const member = this.members[index] as Subscription
      const { session } = member
      const rank = session.connection === null ? (session.persistent ? 1 : 0) : session.outgoing.congested ? 2 : 3
      if (rank <= bestRank || session.overflowed || session.authorization.isDenied(topic) || except?.has(member)) continue
      best = member
      bestRank = rank
      bestIndex = index
      if (rank === 3) break
    }
    this.#next = bestIndex + 1
    return best
  }
}

/** What is in the trie at a filter. */
export type Subscriber = Subscription | SharedGroup

export const UNKNOWN = 0
export const ALLOWED = 1
export const DENIED = 2

/** How one session gets the messages of one topic: all its subscriptions that match, taken together (MQTT 5 section 3.3.4). */
export class Recipient {
  readonly session: Session
  readonly qos: number
  readonly retainAsPublished: boolean
  readonly identifiers: readonly number[]
  /** For messages that the session itself published: what is left without its no-local subscriptions. */
  readonly own: Recipient | null
  /** What the authorisation of this session for this topic said while its epoch was this. */
  verdict: typeof UNKNOWN | typeof ALLOWED | typeof DENIED = UNKNOWN
  epoch = -1

  constructor(subscriptions: readonly Subscription[]) {
    this.session = (subscriptions[0] as Subscription).session
    let qos = 0
    let retainAsPublished = false
    let identifiers: number[] = NONE
    let noLocal = 0
    for (const subscription of subscriptions) {
      if (subscription.qos > qos) qos = subscription.qos
      if (subscription.retainAsPublished) retainAsPublished = true
      if (subscription.identifier > 0) identifiers = [...identifiers, subscription.identifier]
      if (subscription.noLocal) noLocal++
    }
    this.qos = qos
    this.retainAsPublished = retainAsPublished
    this.identifiers = identifiers
    if (noLocal === 0) this.own = this
    else this.own = noLocal === subscriptions.length ? null : new Recipient(subscriptions.filter(subscription => !subscription.noLocal))
  }
}

const NONE: number[] = []

/** Who gets the messages of one topic. */
export class Recipients {
  readonly list: readonly Recipient[]
  readonly groups: readonly SharedGroup[]

  constructor(match: (visit: (subscriber: Subscriber) => void) => void) {
    const bySession = new Map<Session, Subscription[]>()
    const groups: SharedGroup[] = []
    match(subscriber => {
      if (subscriber instanceof SharedGroup) {
        groups.push(subscriber)
        return
      }
      const same = bySession.get(subscriber.session)
      if (same) same.push(subscriber)
      else bySession.set(subscriber.session, [subscriber])
    })
    this.list = Array.from(bySession.values(), subscriptions => new Recipient(subscriptions))
    this.groups = groups
  }

  get empty(): boolean {
    return this.list.length === 0 && this.groups.length === 0
  }
}
