import type { Ledger } from './ledger.ts'
import type { Subscribe } from './mqtt-packets.ts'
import { ON_ITS_WAY, type SessionModel, type SubscriptionModel, subscriptionModel } from './sessions.ts'

/** What clients have subscribed to: as asked for, granted, replaced and ended. */
export class SubscriptionChanges {
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  subscribing(session: SessionModel, form: Subscribe): SubscriptionModel {
    this.#change(session, form.filter)
    const subscription = subscriptionModel(form, this.#ledger.tick())
    session.subscriptions.push(subscription)
    return subscription
  }

  subscribed(session: SessionModel, subscription: SubscriptionModel, code: number): void {
    if (code > 2) {
      subscription.endingAt = subscription.endedAt = this.#ledger.tick()
      return
    }
    // What stood in its place has been replaced by now.
    for (const other of session.subscriptions)
      if (other !== subscription && other.filter === subscription.filter && other.askedAt < subscription.askedAt)
        other.endedAt = Math.min(other.endedAt, this.#ledger.tick())
    subscription.grantedAt = this.#ledger.tick()
    subscription.grantedQos = code
  }

  unsubscribing(session: SessionModel, filter: string): void {
    this.#change(session, filter)
  }

  unsubscribed(session: SessionModel, filter: string, sentAt: number): void {
    for (const one of session.subscriptions)
      if (one.filter === filter && one.askedAt < sentAt) one.endedAt = Math.min(one.endedAt, this.#ledger.tick())
  }

  /** A subscription ends or changes: messages that were not acknowledged yet may come before or after that. */
  #change(session: SessionModel, filter: string): void {
    for (const one of session.subscriptions) if (one.filter === filter) one.endingAt = Math.min(one.endingAt, this.#ledger.tick())
    for (const [id, token] of session.expected)
      if (token.ackedAt < 0 || (token.kind === 'will' && this.#ledger.now() - token.ackedTime < ON_ITS_WAY)) session.expected.delete(id)
  }
}
