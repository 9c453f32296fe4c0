import type { Context, SealedAnswer } from '@iopa/transport'
import type { Recipient } from './recipients.ts'
import type { Session } from './session.ts'
import type { Topic } from './topic-table.ts'

/** A topic that a session has subscribed to by its name, observed as any other protocol observes a path. */
export class ObservedTopic {
  readonly topic: Topic
  readonly context: Context
  #recipient: Recipient | null = null
  #version = -1

  constructor(topic: Topic, context: Context) {
    this.topic = topic
    this.context = context
  }

  /** How the session gets the topic, as its subscriptions are now; null when it does not. */
  recipient(session: Session): Recipient | null {
    const { topics, trie } = session.broker
    if (this.#version !== trie.version) {
      this.#version = trie.version
      this.#recipient = topics.recipients(this.topic).list.find(recipient => recipient.session === session) ?? null
    }
    return this.#recipient
  }
}

/**
 * Observes a topic in the name of a session; `first` gets the first answer. An answer that is not 2xx ends the observation,
 * the subscription stays, and the next change of the path observes it anew.
 */
export function observeTopic(session: Session, topic: Topic, first: (answer: SealedAnswer) => void): void {
  const { broker } = session
  session.observed ??= new Map()
  void session.observed.get(topic.name)?.context.end('unsubscribe')
  const context = broker.requests.read(session, topic)
  const observed = new ObservedTopic(topic, context)
  session.observed.set(topic.name, observed)
  let told = false
  const deliver = (answer: SealedAnswer): void => {
    if (told) {
      // What a store keeps has to be there before its cause is acknowledged, so such a session is told by a feed.
      if (!session.stored) broker.states.tell(session, topic, answer, observed.recipient(session))
      if (!answer.ok) unobserve(session, topic.name, observed)
      return
    }
    told = true
    session.verdicts.conclude(topic, answer.status)
    first(answer)
  }
  // The connection ends with its user; the session outlives it.
  broker.host.observe(context, deliver, { lasting: true }).then(
    observation => {
      if (!observation.active) unobserve(session, topic.name, observed)
    },
    (error: unknown) => {
      broker.host.logger.error(`iopa: ${topic.path} could not be observed for an MQTT client`, error)
      unobserve(session, topic.name, observed)
    }
  )
}

/** Stops observing a topic; only this observation of it, when one is given. */
export function unobserve(session: Session, topic: string, only?: ObservedTopic): void {
  const observed = session.observed?.get(topic)
  if (only && only !== observed) {
    void only.context.end('unsubscribe')
    return
  }
  session.observed?.delete(topic)
  void observed?.context.end('unsubscribe')
}
