import type { Delivery } from './delivery.ts'
import type { Session } from './session.ts'

/** Milliseconds before a question is put again for which there was no room. */
const ASK_AGAIN = 100

/**
 * Asks whether a client that has come back may still have a message that waited for it. False while that is not known; `again` is called
 * when it is. A message that it may not have is cancelled.
 */
export function prove(session: Session, delivery: Delivery, again: () => void): boolean {
  const { broker, verdicts } = session
  const topic = broker.topics.get(delivery.message.topic)
  if (topic === null || delivery.asking) return topic === null
  let inside = true
  delivery.asking = true
  const asked = verdicts.ask(topic, allowed => {
    delivery.asking = delivery.unproven = false
    if (!allowed && !delivery.cancelled) {
      delivery.cancelled = true
      session.drop('a message is dropped, for the client that it waited for may not have it any more')
    }
    if (!inside) again()
  })
  inside = false
  if (!asked) {
    delivery.asking = false
    broker.clock.setTimeout(() => broker.flusher.batch(again), ASK_AGAIN)
  }
  return !delivery.unproven
}
