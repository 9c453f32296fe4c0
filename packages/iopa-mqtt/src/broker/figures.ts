import type { Quota } from './operation/quota.ts'
import type { Sessions } from './session/sessions.ts'
import type { SubscriptionTable } from './topics/subscription-table.ts'
import type { Figures } from './topics/system-topics.ts'

/** Counts what the sessions of a broker hold now; `queued` is the quota of their queues. */
export function figuresOf(sessions: Sessions, queued: Quota, subscriptions: SubscriptionTable): Figures {
  let waiting = 0
  let inflight = 0
  for (const { outgoing } of sessions) {
    waiting += outgoing.waiting
    inflight += outgoing.inflight.size
  }
  return {
    sessions: sessions.size,
    connected: sessions.connected,
    waiting,
    inflight,
    queuedBytes: queued.used,
    subscriptions: subscriptions.trie.size,
    sharedSubscriptions: subscriptions.groups
  }
}
