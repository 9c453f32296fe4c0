import type { Context, Host, SealedAnswer } from '@iopa/transport'
import type { Observed, Session } from '../session/session.ts'
import type { Recipient } from '../topics/subscription.ts'
import type { Topic, TopicTable } from '../topics/topic-table.ts'
import { sendState } from './representation.ts'
import type { Requests } from './requests.ts'

/** Observes the topics of subscriptions without wildcards, as other protocols observe a path. */
export class TopicObservations {
  readonly #host: Pick<Host, 'observe' | 'logger'>
  readonly #requests: Requests
  readonly #topics: TopicTable

  constructor(host: Pick<Host, 'observe' | 'logger'>, requests: Requests, topics: TopicTable) {
    this.#host = host
    this.#requests = requests
    this.#topics = topics
  }

  /**
   * Observes a topic in the name of a session; `first` gets the first answer. An answer that is not 2xx ends the observation. The subscription
   * stays, and the next change of the path starts a new observation.
   */
  observe(session: Session, topic: Topic, first: (answer: SealedAnswer) => void): void {
    session.observed ??= new Map()
    void session.observed.get(topic.name)?.context.end('unsubscribe')
    const context = this.#requests.read(session, topic)
    const observed = new ObservedTopic(topic, context)
    session.observed.set(topic.name, observed)
    let answered = false
    const deliver = (answer: SealedAnswer): void => {
      if (answered) {
        // A stored session gets states by StateUpdates: the store must have them before their cause is acknowledged.
        if (!session.stored) sendState(session, topic, answer, observed.recipient(session, this.#topics), true)
        if (!answer.ok) session.unobserve(topic.name, observed)
        return
      }
      answered = true
      session.authorization.conclude(topic, answer.status)
      first(answer)
    }
    // The connection ends with its user; the session outlives it.
    this.#host.observe(context, deliver, { lasting: true }).then(
      observation => {
        if (!observation.active) session.unobserve(topic.name, observed)
      },
      (error: unknown) => {
        this.#host.logger.error(`iopa: ${topic.path} could not be observed for an MQTT client`, error)
        session.unobserve(topic.name, observed)
      }
    )
  }
}

class ObservedTopic implements Observed {
  readonly topic: Topic
  readonly context: Context
  #recipient: Recipient | null = null
  #version = -1

  constructor(topic: Topic, context: Context) {
    this.topic = topic
    this.context = context
  }

  /** How the session gets the topic by its present subscriptions; null if it does not. */
  recipient(session: Session, topics: TopicTable): Recipient | null {
    if (this.#version !== topics.version) {
      this.#version = topics.version
      this.#recipient = topics.recipients(this.topic).list.find(recipient => recipient.session === session) ?? null
    }
    return this.#recipient
  }
}
