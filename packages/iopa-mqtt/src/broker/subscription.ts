import type { Session } from './session.ts'

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
      const rank = session.connection === null ? (session.persistent ? 1 : 0) : session.deliveries.congested ? 2 : 3
      if (rank <= bestRank || session.overflowed || session.verdicts.isDenied(topic) || except?.has(member)) continue
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
