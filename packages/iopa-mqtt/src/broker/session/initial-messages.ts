import { topicMatches } from '../../topics/topic.ts'
import type { Broker } from '../broker.ts'
import type { Message } from '../topics/message.ts'
import { Recipient, type Subscription } from '../topics/subscription.ts'
import type { Topic } from '../topics/topic-table.ts'
import type { Session } from './session.ts'

/** Messages that one subscription gets at its beginning, found as they are sent. */
interface Replay {
  readonly subscription: Subscription
  /** Null stands for a piece of the search that found nothing. */
  readonly retained: Iterator<Message | null>
  readonly states: Iterator<string | null>
}

/** What new subscriptions with wildcards, and those of plain topics, get first: retained messages, then states. It goes on as fast as the client reads. */
export class InitialMessages {
  readonly #session: Session
  #waiting: Replay[] | null = null
  #busy = false

  constructor(session: Session) {
    this.#session = session
  }

  /** `wildcard` adds the states that the filter matches. */
  add(subscription: Subscription, wildcard: boolean): void {
    const { broker } = this.#session
    this.#waiting ??= []
    this.#waiting.push({
      subscription,
      retained: wildcard ? broker.retained.match(subscription.filter, broker.elapsed) : new One(broker, subscription.filter),
      states: wildcard ? statesOf(this.#session, subscription.filter) : NOTHING
    })
    this.pump()
  }

  clear(): void {
    this.#waiting = null
  }

  pump(): void {
    const { turns } = this.#session.broker
    while (this.#waiting !== null && !this.#busy) {
      if (this.#session.outgoing.congested) return
      if (!turns.take()) {
        this.#busy = true
        turns.wait(this.#continue)
        return
      }
      this.#step(this.#waiting[0] as Replay)
    }
  }

  readonly #continue = (): void => {
    this.#busy = false
    this.pump()
  }

  #step(replay: Replay): void {
    const { broker, subscriptions } = this.#session
    const { subscription } = replay
    const live = subscriptions.get(subscription.filter) === subscription
    const retained = live ? replay.retained.next() : DONE
    if (!retained.done) {
      const topic = retained.value && broker.topics.get(retained.value.topic)
      if (retained.value && topic && !topic.isState) this.#sendRetained(topic, retained.value, subscription)
      return
    }
    const state = live ? replay.states.next() : DONE
    if (!state.done) {
      const topic = state.value === null ? null : broker.topics.get(state.value)
      if (topic) this.#sendState(topic, subscription)
      return
    }
    this.#waiting?.shift()
    if (this.#waiting?.length === 0) this.#waiting = null
  }

  #sendRetained(topic: Topic, message: Message, subscription: Subscription): void {
    this.#asynchronously(resume => {
      this.#session.authorization.ask(topic, allowed => {
        if (allowed) this.#session.outgoing.give(message, Math.min(message.qos, subscription.qos), true, identifiersOf(subscription), false)
        resume()
      }) || resume()
    })
  }

  #sendState(topic: Topic, subscription: Subscription): void {
    const session = this.#session
    this.#asynchronously(resume => {
      const asked = session.authorization.ask(topic, allowed => {
        if (!allowed) return resume()
        void session.broker.states.read(session, topic).then(answer => {
          const message = answer?.ok && !session.ended ? session.broker.states.messageOf(topic, answer) : null
          if (message) session.outgoing.give(message, subscription.qos, true, identifiersOf(subscription), true)
          else if (answer?.status === 404 || answer?.status === 410) session.broker.notified.delete(topic.name)
          resume()
        })
      })
      if (!asked) resume()
    })
  }

  /** Goes on when `work` calls back; a call from inside it does not nest. */
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

/** Routes whose paths are known first, then what has changed since the start. */
function* statesOf(session: Session, filter: string): Generator<string | null, void, undefined> {
  const { routes, notified } = session.broker
  const fixed = new Set<string>()
  let looked = 0
  for (const path of routes.statePaths()) {
    const topic = path.slice(1)
    if (topic === '' || fixed.has(topic) || !topicMatches(filter, topic)) {
      if (++looked % LOOKS === 0) yield null
      continue
    }
    fixed.add(topic)
    yield topic
  }
  for (const topic of notified.match(filter)) yield topic === null || fixed.has(topic) ? null : topic
}

/** Paths that are looked at in one piece. */
const LOOKS = 64

const identifiersOf = (subscription: Subscription): readonly number[] => new Recipient([subscription]).identifiers

/** The retained message of one topic, looked up when it is asked for. */
class One implements Iterator<Message> {
  readonly #broker: Broker
  #topic: string | null

  constructor(broker: Broker, topic: string) {
    this.#broker = broker
    this.#topic = topic
  }

  next(): IteratorResult<Message> {
    const topic = this.#topic
    this.#topic = null
    const message = topic === null ? undefined : this.#broker.retained.get(topic, this.#broker.elapsed())
    return message === undefined ? DONE : { done: false, value: message }
  }
}

const NOTHING: Iterator<string | null> = [][Symbol.iterator]()
const DONE = { done: true, value: undefined } as const
