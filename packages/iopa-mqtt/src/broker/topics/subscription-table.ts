import { parseSharedFilter } from '../../topics/topic.ts'
import type { Journal } from '../operation/journal.ts'
import type { Quota } from '../operation/quota.ts'
import type { Subscriber } from '../ports.ts'
import { SharedGroup, type Subscribed, Subscription, type SubscriptionOptions } from './subscription.ts'
import { SubscriptionTrie } from './subscription-trie.ts'

/** A session with its subscriptions by filter. */
export interface SubscriptionHolder extends Subscriber {
  /** Its name in the store. */
  readonly key: string
  readonly subscriptions: Map<string, Subscription>
  /** Stops observing the topic of this name. */
  unobserve(topic: string): void
}

/** The subscriptions of all sessions: by session, by filter in the trie, counted, and kept in the store. */
export class SubscriptionTable {
  readonly trie: SubscriptionTrie<object, Subscribed> = new SubscriptionTrie()
  readonly #groups: Map<string, SharedGroup> = new Map()
  readonly #quota: Quota
  readonly #journal: Journal

  constructor(quota: Quota, journal: Journal) {
    this.#quota = quota
    this.#journal = journal
  }

  /** Number of shared subscriptions. */
  get groups(): number {
    return this.#groups.size
  }

  /** Adds a subscription without authorization or quota check: one that was granted, or that the store kept. */
  add(session: SubscriptionHolder, filter: string, options: SubscriptionOptions): Subscription {
    const shared = parseSharedFilter(filter)
    const group = shared ? (this.#groups.get(filter) ?? new SharedGroup(shared.filter)) : null
    const subscription = new Subscription(session, filter, group, options)
    // Before the subscription that it replaces is removed: a group without members would end, and messages that wait for a member be lost.
    group?.members.push(subscription)
    // Always a new object: messages on their way to the subscription before are not for this one.
    this.remove(session, filter)
    session.subscriptions.set(filter, subscription)
    this.#quota.add(session.account, 1)
    if (group) {
      this.#groups.set(filter, group)
      this.trie.set(group.filter, group, group)
    } else this.trie.set(filter, session, subscription)
    return subscription
  }

  /** Writes a subscription to the store, if its session is stored. */
  keep({ key, stored }: SubscriptionHolder, { filter, qos, noLocal, retainAsPublished, retainHandling, identifier }: Subscription): void {
    if (!stored) return
    this.#journal.add({ kind: 'subscription', clientId: key, filter, value: { qos, noLocal, retainAsPublished, retainHandling, identifier } })
  }

  /** Removes a subscription; false if there is none of that filter. */
  remove(session: SubscriptionHolder, filter: string): boolean {
    const subscription = session.subscriptions.get(filter)
    if (!subscription) return false
    session.subscriptions.delete(filter)
    this.#quota.add(session.account, -1)
    const { group } = subscription
    if (group) {
      group.members.splice(group.members.indexOf(subscription), 1)
      if (group.members.length === 0) {
        this.#groups.delete(filter)
        this.trie.delete(group.filter, group)
      }
    } else {
      this.trie.delete(filter, session)
      session.unobserve(filter)
    }
    if (session.stored && !session.ended) this.#journal.add({ kind: 'subscription', clientId: session.key, filter, value: null })
    return true
  }

  /** Removes all subscriptions of a session. */
  removeAll(session: SubscriptionHolder): void {
    for (const filter of [...session.subscriptions.keys()]) this.remove(session, filter)
  }
}
