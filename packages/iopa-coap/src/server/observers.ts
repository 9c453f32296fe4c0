import type { Context, Counters, EndReason, Host, SealedAnswer } from '@iopa/transport'
import { isSafe } from '../codec/codes.ts'
import { tokenKey } from '../codec/message.ts'
import { OptionWriter } from '../codec/option-writer.ts'
import { OPTION } from '../codec/options.ts'
import { WELL_KNOWN_CORE } from './discovery.ts'
import type { Exchange, Notification, NotificationSource, Subscriber } from './exchange.ts'
import type { CoapRequest } from './request.ts'

const NONE = -1

/** Bytes of the largest block (RFC 7959 section 2.2): a large body begins with one. */
const LARGEST_BLOCK = 1024

/** Options of the 5.03 that ends the observations of a server that closes: without Max-Age observers would wait a minute before they ask again. */
export const LEAVING: OptionWriter = new OptionWriter().uint(OPTION.MAX_AGE, 2)

/** Bodies of observers may take so many times the limit of one body together. */
const HELD_BODIES = 16

/** What an observer needs of the server: the two ways in which an answer leaves. */
export interface Responder {
  /** Answers the registering request. */
  respondObserved(observer: Observer, answer: SealedAnswer): void
  /** Makes the next notification; it is the last one where the observer is marked so. Never throws. */
  notification(observer: Observer, answer: SealedAnswer): Notification
}

/** One observation of one resource by one peer (RFC 7641). */
export class Observer implements NotificationSource {
  readonly exchange: Exchange
  readonly request: CoapRequest
  readonly context: Context
  readonly subscriber: Subscriber
  /** The Observe option of the last message. */
  sequence: number
  /** That of the first answer; -1 for none. */
  contentFormat: number = NONE
  /** True when the observation ends with the notification that was made last. */
  last = false
  #newest: SealedAnswer | undefined
  #first = true
  readonly #responder: Responder

  constructor(exchange: Exchange, request: CoapRequest, context: Context, sequence: number, responder: Responder) {
    this.exchange = exchange
    this.request = request
    this.context = context
    this.sequence = sequence
    this.#responder = responder
    this.subscriber = exchange.subscriber(this)
  }

  /** Sends the first answer as response and each later one as notification. */
  deliver(answer: SealedAnswer): Promise<void> | undefined {
    if (this.#first) {
      this.#first = false
      this.#responder.respondObserved(this, answer)
      return undefined
    }
    // Its beginning could not be read, for it has changed again; that is told next.
    if (this.last || answer.excerpt?.start.length === 0) return undefined
    this.#newest = answer
    return this.subscriber.changed()
  }

  notification(): Notification {
    // 24 bits that wrap (RFC 7641 section 4.4).
    this.sequence = (this.sequence + 1) & 0xffffff
    return this.#responder.notification(this, this.#newest!)
  }

  delivered(): void {
    // Not within a delivery, which the end would take the observer from.
    if (this.last) queueMicrotask(() => void this.context.end('unsubscribe'))
  }

  gone(reason: 'reset' | 'disconnect'): void {
    void this.context.end(reason)
  }
}

/** Registers observers, keyed by endpoint and token (RFC 7641 section 4.1). */
export class ObserverRegistry {
  readonly #host: Host
  readonly #responder: Responder
  readonly #counters: Counters
  /** Bytes of the bodies that are kept to be asked again. */
  #held = 0

  constructor(host: Host, responder: Responder, counters: Counters) {
    this.#host = host
    this.#responder = responder
    this.#counters = counters
  }

  /** True when a GET or FETCH with Observe 0 becomes an observation; else it is answered like any other (RFC 7641 section 4.1, RFC 8132 section 2.4). */
  takes({ remote, message, toMulticast }: Exchange, request: CoapRequest): boolean {
    if (!isSafe(message.code) || toMulticast || request.path === WELL_KNOWN_CORE) return false
    // Who asks for a later block goes on with what it was told before (RFC 7959 section 2.6).
    if (request.block2 > 15) return false
    if (this.#held + request.bodyLength > HELD_BODIES * this.#host.limits.body) return false
    const { observers } = remote
    return observers === undefined || observers.size < this.#host.limits.observersPerConnection || observers.has(tokenKey(message.token))
  }

  /** Begins an observation in place of a former one with the same token. */
  register(exchange: Exchange, request: CoapRequest, context: Context): void {
    const { remote } = exchange
    const key = tokenKey(exchange.message.token)
    remote.observers ??= new Map()
    const { observers } = remote
    const former = observers.get(key)
    const sequence = former === undefined ? 1 : (former.sequence + 1) & 0xffffff
    if (former !== undefined) void former.context.end('unsubscribe')
    context['iopa.Observe'] = true
    const observer = new Observer(exchange, request, context, sequence, this.#responder)
    observers.set(key, observer)
    remote.pins++
    this.#held += request.bodyLength
    context.defer((reason: EndReason) => {
      if (observers.get(key) === observer) observers.delete(key)
      remote.pins--
      this.#held -= request.bodyLength
      observer.subscriber.close()
      if (reason !== 'finish') exchange.suppress()
    })
    this.#counters.observed(context)
    this.#host
      .observe(context, answer => observer.deliver(answer), { excerpt: LARGEST_BLOCK })
      .then(
        ({ active }) => {
          remote.user?.look(context)
          if (!active) void context.end()
        },
        (error: unknown) => {
          this.#host.logger.error('iopa: an observation could not begin', error)
          void context.end('reset')
        }
      )
  }

  /** Ends the observation that a GET or FETCH with Observe 1 names by its token, if there is one. */
  cancel({ remote, message: { code, token } }: Exchange): void {
    if (isSafe(code)) void remote.observers?.get(tokenKey(token))?.context.end('unsubscribe')
  }
}
