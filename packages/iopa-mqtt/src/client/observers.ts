import { type IopaError, observationRefused, receivedAnswer, type Sink } from '@iopa/transport'
import type { Connection } from '../remote/connection.ts'
import type { InboundMessage } from '../remote/message.ts'
import { topicMatches } from '../topics/topic.ts'
import { answerOf } from './pending-requests.ts'

/** One observer of a filter. */
export class Observer {
  readonly filter: string
  /** Resolves when it has ended; rejects where it was lost. */
  readonly ended: Promise<void>
  readonly #sink: Sink
  #settle: { resolve(): void; reject(error: unknown): void } = { resolve: () => {}, reject: () => {} }
  /** Whether the first message, which a new subscription brings, is still to come. */
  fresh = true

  constructor(filter: string, sink: Sink) {
    this.filter = filter
    this.#sink = sink
    this.ended = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    // It may be lost before anything waits for its end.
    this.ended.catch(() => {})
  }

  push(message: InboundMessage): void {
    void this.#sink.next(answerOf(message))
  }

  end(error: unknown = null): void {
    if (error === null) this.#settle.resolve()
    else this.#settle.reject(error)
  }
}

/** What a refusal of SUBSCRIBE means (MQTT 5 section 3.9.3). */
const refusalOf = (filter: string, code: number): IopaError => {
  const status = code === 0x87 ? 403 : code === 0x97 ? 429 : code === 0x8f || code === 0xa2 ? 400 : 502
  const said = `The broker refuses a subscription to ${filter} (0x${code.toString(16)}).`
  return observationRefused(receivedAnswer(status, { type: 'text/plain', payload: said }))
}

/** All observers of a link. Those of one filter share its subscription. */
export class Observers {
  readonly #qos: 0 | 1
  readonly #byFilter = new Map<string, { readonly identifier: number; readonly observers: Set<Observer> }>()
  #lastIdentifier = FIRST_IDENTIFIER

  constructor(qos: 0 | 1) {
    this.#qos = qos
  }

  /** Adds an observer; subscribe it with `subscribe`. */
  add(filter: string, sink: Sink): Observer {
    let entry = this.#byFilter.get(filter)
    if (!entry) {
      entry = { identifier: ++this.#lastIdentifier, observers: new Set() }
      this.#byFilter.set(filter, entry)
    }
    const observer = new Observer(filter, sink)
    entry.observers.add(observer)
    return observer
  }

  /** Removes an observer; true when it was the last one of its filter, whose subscription is of no use any more. */
  remove(observer: Observer): boolean {
    const entry = this.#byFilter.get(observer.filter)
    if (!entry?.observers.delete(observer) || entry.observers.size > 0) return false
    this.#byFilter.delete(observer.filter)
    return true
  }

  /** Subscribes to a filter, on a connection that is there. @throws IopaError when the broker refuses */
  async subscribe(filter: string, connection: Connection): Promise<void> {
    const entry = this.#byFilter.get(filter)
    if (!entry) return
    const [code = 0x80] = await connection.subscribe([{ filter, qos: this.#qos }], entry.identifier)
    if (code >= 0x80) throw refusalOf(filter, code)
  }

  /** Gives a message to the observers of the subscription that it came by; to those of every filter that matches where the broker does not say. */
  receive(message: InboundMessage): void {
    const { subscriptionIdentifiers: identifiers, topic } = message
    if (identifiers.length === 0) {
      const exact = this.#byFilter.get(topic)
      if (exact) deliver(exact.observers, message)
      for (const [filter, { observers }] of this.#byFilter) {
        if (filter !== topic && topicMatches(filter, topic)) deliver(observers, message)
      }
    } else for (const { identifier, observers } of this.#byFilter.values()) if (identifiers.includes(identifier)) deliver(observers, message)
  }

  end(error: unknown = null): void {
    for (const { observers } of this.#byFilter.values()) for (const observer of observers) observer.end(error)
    this.#byFilter.clear()
  }
}

/** Identifiers below are for the client's own subscriptions. */
const FIRST_IDENTIFIER = 1

/** A retained message is the first one of a new subscription: of those who share it, only who has just come gets it. */
const deliver = (observers: ReadonlySet<Observer>, message: InboundMessage): void => {
  for (const observer of observers) {
    if (message.retain && !observer.fresh) continue
    // A filter with wildcards has a first message for each topic.
    if (!/[+#]/.test(observer.filter)) observer.fresh = false
    observer.push(message)
  }
}
