import type { Authorization, Grant, Subscriber, TopicView } from '../ports.ts'
import { UNKNOWN } from '../ports.ts'

/** The options of one filter in a SUBSCRIBE (MQTT 5 section 3.8.3.1), and its subscription identifier. */
export interface SubscriptionOptions {
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: number
  /** 0 for none. */
  readonly identifier: number
}

/** One filter of one session. */
export class Subscription implements SubscriptionOptions {
  readonly session: Subscriber
  /** As subscribed, `$share/<group>/` included. */
  readonly filter: string
  readonly group: SharedGroup | null
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: number
  readonly identifier: number

  constructor(session: Subscriber, filter: string, group: SharedGroup | null, options: SubscriptionOptions) {
    this.session = session
    this.filter = filter
    this.group = group
    this.qos = options.qos
    this.noLocal = options.noLocal
    this.retainAsPublished = options.retainAsPublished
    this.retainHandling = options.retainHandling
    this.identifier = options.identifier
  }

  /** Its subscription identifier as a list, empty for none. */
  get identifiers(): readonly number[] {
    return this.identifier > 0 ? [this.identifier] : NONE
  }
}

/** A shared subscription: each message goes to one of its sessions (MQTT 5 section 4.8.2). */
export class SharedGroup {
  /** The part behind `$share/<group>/`. */
  readonly filter: string
  readonly members: Subscription[] = []
  #next = 0

  constructor(filter: string) {
    this.filter = filter
  }

  /**
   * The next member not known to be unauthorized and not among `except`: first one that is connected and not congested, then one that is
   * connected, then one whose session keeps messages until its client returns.
   */
  pick(topic: string, except: ReadonlySet<Subscription> | null = null): Subscription | null {
    const count = this.members.length
    let best: Subscription | null = null
    let bestRank = 0
    let bestIndex = 0
    for (let step = 0; step < count; step++) {
      const index = (this.#next + step) % count
      const member = this.members[index] as Subscription
      const { session } = member
      const rank = !session.connected ? (session.persistent ? 1 : 0) : session.outgoing.congested ? 2 : 3
      if (rank <= bestRank || session.overflowed || session.authorization.isDenied(topic) || except?.has(member)) continue
      best = member
      bestRank = rank
      bestIndex = index
      if (rank === 3) break
    }
    this.#next = bestIndex + 1
    return best
  }

  /** Finds the next member that may have a topic; one that may not is passed over. Calls back once, with null when there is none. */
  choose(topic: TopicView, chosen: (member: Subscription | null) => void, except: Set<Subscription> | null = null): void {
    let passed = except
    const pass = (member: Subscription): void => {
      passed ??= new Set()
      passed.add(member)
      next()
    }
    const next = (): void => {
      const member = this.pick(topic.name, passed)
      if (member === null) {
        chosen(null)
        return
      }
      const asked = member.session.authorization.ask(topic, allowed => {
        // The member may have unsubscribed meanwhile.
        if (allowed && this.members.includes(member)) chosen(member)
        else pass(member)
      })
      if (!asked) pass(member)
    }
    next()
  }
}

/** What the trie holds at a filter. */
export type Subscribed = Subscription | SharedGroup

/** How one session gets the messages of one topic: all its matching subscriptions, taken together (MQTT 5 section 3.3.4). */
export class Recipient implements Grant {
  readonly session: Subscriber
  readonly qos: number
  readonly retainAsPublished: boolean
  readonly identifiers: readonly number[]
  /** For messages that the session itself published: the same without its no-local subscriptions. */
  readonly own: Recipient | null
  authorization: Authorization = UNKNOWN
  epoch = -1

  constructor(subscriptions: readonly Subscription[]) {
    this.session = (subscriptions[0] as Subscription).session
    let qos = 0
    let retainAsPublished = false
    let identifiers: readonly number[] = NONE
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

const NONE: readonly number[] = []

/** The sessions and shared subscriptions that match one topic. */
export class Recipients {
  readonly list: readonly Recipient[]
  readonly groups: readonly SharedGroup[]
  readonly empty: boolean

  constructor(match: (visit: (subscribed: Subscribed) => void) => void) {
    const bySession = new Map<Subscriber, Subscription[]>()
    const groups: SharedGroup[] = []
    match(subscribed => {
      if (subscribed instanceof SharedGroup) {
        groups.push(subscribed)
        return
      }
      const same = bySession.get(subscribed.session)
      if (same) same.push(subscribed)
      else bySession.set(subscribed.session, [subscribed])
    })
    this.list = Array.from(bySession.values(), subscriptions => new Recipient(subscriptions))
    this.groups = groups
    this.empty = this.list.length === 0 && groups.length === 0
  }
}
