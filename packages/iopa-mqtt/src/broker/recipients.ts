import type { Session } from './session.ts'
import { SharedGroup, type Subscriber, type Subscription } from './subscription.ts'

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
