import type { Clock } from '@iopa/transport'
import type { Turns } from '../operation/turns.ts'
import type { AuthorizesTopics } from '../ports.ts'
import type { Message } from '../topics/message.ts'
import type { RetainedMessages } from '../topics/retained-messages.ts'
import type { Subscription } from '../topics/subscription.ts'
import type { Topic, TopicTable } from '../topics/topic-table.ts'
import type { OutgoingMessages } from './outgoing-messages.ts'

/** The session that has subscribed. */
export interface SubscribedSession {
  readonly authorization: AuthorizesTopics
  readonly outgoing: OutgoingMessages
  readonly subscriptions: ReadonlyMap<string, Subscription>
}

/** The states of the app, as messages. */
export interface StateSource<Of> {
  /** The names of known topics that a filter matches and that a GET route covers; null stands for a piece of the search without a match. */
  topics(filter: string): Iterator<string | null>
  /** Calls back with the present state of a topic as a message for the session; null if there is none. */
  read(session: Of, topic: Topic, done: (message: Message | null) => void): void
}

/** Where initial messages come from. */
export interface InitialMessagePorts<Of> {
  readonly topics: TopicTable
  readonly retained: RetainedMessages
  readonly states: StateSource<Of>
  readonly operation: { readonly turns: Turns; readonly clock: Clock }
}

/** The initial messages of one subscription, found as they are sent. */
interface Search {
  readonly subscription: Subscription
  /** Null stands for a piece of the search without a match. */
  readonly retained: Iterator<Message | null>
  readonly states: Iterator<string | null>
}

/** What a new subscription gets first: the retained messages that it matches, then with wildcards the states. They are sent as fast as the client reads. */
export class InitialMessages<Of extends SubscribedSession> {
  readonly #session: Of
  readonly #ports: InitialMessagePorts<Of>
  #searches: Search[] | null = null
  #busy = false

  constructor(session: Of, ports: InitialMessagePorts<Of>) {
    this.#session = session
    this.#ports = ports
  }

  /** `wildcard` adds the states that the filter matches. */
  add(subscription: Subscription, wildcard: boolean): void {
    const { retained, states, operation } = this.#ports
    const { filter } = subscription
    const { clock } = operation
    this.#searches ??= []
    this.#searches.push({
      subscription,
      retained: wildcard ? retained.match(filter, () => clock.elapsed()) : one(() => retained.get(filter, clock.elapsed())),
      states: wildcard ? states.topics(filter) : NOTHING
    })
    this.pump()
  }

  clear(): void {
    this.#searches = null
  }

  pump(): void {
    while (this.#searches !== null && !this.#busy) {
      if (this.#session.outgoing.congested) return
      const { turns } = this.#ports.operation
      if (!turns.take()) {
        this.#busy = true
        turns.wait(this.#continue)
        return
      }
      this.#step(this.#searches[0] as Search)
    }
  }

  readonly #continue = (): void => {
    this.#busy = false
    this.pump()
  }

  #step(search: Search): void {
    const { topics } = this.#ports
    const { subscription } = search
    const live = this.#session.subscriptions.get(subscription.filter) === subscription
    const retained = live ? search.retained.next() : DONE
    if (!retained.done) {
      const topic = retained.value && topics.get(retained.value.topic)
      if (retained.value && topic && !topic.isState) this.#sendRetained(topic, retained.value, subscription)
      return
    }
    const state = live ? search.states.next() : DONE
    if (!state.done) {
      const topic = state.value === null ? null : topics.get(state.value)
      if (topic) this.#sendState(topic, subscription)
      return
    }
    this.#searches?.shift()
    if (this.#searches?.length === 0) this.#searches = null
  }

  #sendRetained(topic: Topic, message: Message, { qos, identifiers }: Subscription): void {
    const { authorization, outgoing } = this.#session
    this.#asynchronously(resume => {
      authorization.ask(topic, allowed => {
        if (allowed) outgoing.give(message, Math.min(message.qos, qos), true, identifiers)
        resume()
      }) || resume()
    })
  }

  #sendState(topic: Topic, { qos, identifiers }: Subscription): void {
    const session = this.#session
    this.#asynchronously(resume => {
      const asked = session.authorization.ask(topic, allowed => {
        if (!allowed) return resume()
        this.#ports.states.read(session, topic, message => {
          if (message) session.outgoing.give(message, qos, true, identifiers, true)
          resume()
        })
      })
      if (!asked) resume()
    })
  }

  /** Continues when `work` calls back; a call from inside `work` does not nest. */
  #asynchronously(work: (resume: () => void) => void): void {
    let inside = true
    this.#busy = true
    work(() => {
      this.#busy = false
      if (!inside) this.pump()
    })
    inside = false
  }
}

/** Yields what `find` returns when it is asked for. */
function* one(find: () => Message | undefined): Generator<Message, void, undefined> {
  const message = find()
  if (message !== undefined) yield message
}

const NOTHING: Iterator<string | null> = [][Symbol.iterator]()
const DONE = { done: true, value: undefined } as const
