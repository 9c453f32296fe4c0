import { IopaError, type LinkAnswer, observationRefused, receivedAnswer } from '@iopa/transport'
import { type Connection, ConnectionLost } from '../remote/connection.ts'
import type { InboundMessage } from '../remote/message.ts'
import { topicMatches } from '../topics/topic.ts'
import { answerOf } from './pending-requests.ts'

/** Bounds of one observer's queue. */
export interface ObserverLimits {
  readonly queueMessages: number
  readonly queueBytes: number
}

/** One observer of a filter, with a queue of its own; over its bounds the oldest message goes, for the newest is the one that counts. */
export class Observer {
  readonly filter: string
  readonly #limits: ObserverLimits
  readonly #queue: InboundMessage[] = []
  #bytes = 0
  #error: unknown = null
  #ended = false
  #wake: (() => void) | null = null
  /** Whether the first message, which a new subscription brings, is still to come. */
  fresh = true

  constructor(filter: string, limits: ObserverLimits) {
    this.filter = filter
    this.#limits = limits
  }

  push(message: InboundMessage): void {
    this.#queue.push(message)
    this.#bytes += message.payload.length
    while (this.#queue.length > this.#limits.queueMessages || (this.#bytes > this.#limits.queueBytes && this.#queue.length > 1)) {
      this.#bytes -= this.#queue.shift()!.payload.length
    }
    this.#wake?.()
  }

  /** No further message comes; what waits is still given out, then `error` is thrown, if any. */
  end(error: unknown = null): void {
    if (this.#ended) return
    this.#ended = true
    this.#error = error
    this.#wake?.()
  }

  /** The messages as answers. One that says that the state is gone, or that it may not be had, throws. */
  async *answers(): AsyncGenerator<LinkAnswer> {
    for (;;) {
      const message = this.#queue.shift()
      if (message) {
        this.#bytes -= message.payload.length
        const answer = answerOf(message)
        if (!answer.ok) throw observationRefused(answer)
        yield answer
      } else if (this.#ended) {
        if (this.#error !== null) throw this.#error
        return
      } else {
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
        this.#wake = null
      }
    }
  }
}

/** What a refusal of SUBSCRIBE means (MQTT 5 section 3.9.3). */
const refusalOf = (filter: string, code: number): IopaError => {
  const status = code === 0x87 ? 403 : code === 0x97 ? 429 : code === 0x8f || code === 0xa2 ? 400 : 502
  const said = `The broker refuses a subscription to ${filter} (0x${code.toString(16)}).`
  return observationRefused(receivedAnswer(status, { type: 'text/plain', payload: said }))
}

/** All observers of a client. Those of one filter share its subscription, which is made again on each new connection. */
export class Observers {
  readonly #qos: 0 | 1
  #limits: ObserverLimits
  readonly #byFilter = new Map<string, { readonly identifier: number; readonly observers: Set<Observer> }>()
  #lastIdentifier = FIRST_IDENTIFIER
  readonly #max: number

  constructor(qos: 0 | 1, limits: ObserverLimits, max: number) {
    this.#qos = qos
    this.#limits = limits
    this.#max = max
  }

  /** Adds an observer; subscribe it with `subscribe`. @throws IopaError 503 when there are too many */
  add(filter: string): Observer {
    let entry = this.#byFilter.get(filter)
    if (!entry) {
      if (this.#byFilter.size >= this.#max) throw new IopaError(503, 'too-many-observers', `A client observes ${this.#max} topics at most.`)
      entry = { identifier: ++this.#lastIdentifier, observers: new Set() }
      this.#byFilter.set(filter, entry)
    }
    const observer = new Observer(filter, this.#limits)
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

  /** Subscribes to everything on a new connection; a filter that the broker refuses now ends its observers. */
  async resume(connection: Connection): Promise<void> {
    for (const [filter, { observers }] of this.#byFilter) {
      for (const observer of observers) observer.fresh = true
      await this.subscribe(filter, connection).catch((error: unknown) => {
        if (error instanceof ConnectionLost || !(error instanceof IopaError)) throw error
        for (const observer of observers) observer.end(error)
      })
    }
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
