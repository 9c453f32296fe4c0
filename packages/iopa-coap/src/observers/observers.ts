import { type Context, type Counters, type EndReason, type Host, type SealedAnswer, usersOf } from '@iopa/transport'
import { CODE, isSafe } from '../codec/codes.ts'
import { tokenKey } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import { Options } from '../codec/options.ts'
import type { Exchange, Remote } from '../exchanges/exchange.ts'
import { WELL_KNOWN_CORE } from '../resources/discovery.ts'
import { type FormatTable, fitted, represent } from '../resources/representation.ts'
import type { CoapRequest } from '../resources/request.ts'
import type { Registrar } from '../resources/resource-server.ts'
import type { Responses } from '../resources/responses.ts'
import type { Notification, NotificationSource, Notifications, Notifier } from './notifications.ts'
import { observesOn, type RelayedResponse, relayOptions } from './relayed-response.ts'

/** Bytes of the largest block (RFC 7959 section 2.2), with which an observer of a large body begins. */
const LARGEST_BLOCK = 1024

const NONE = -1

/** Options of the 5.03 that ends observations when the server closes: without Max-Age observers would wait a minute before they ask again. */
const CLOSING: Options = new Options().add(OPTION.MAX_AGE, 2)

/** Bodies of observers may take so many times the limit of one body together. */
const HELD_BODIES = 16

/** What observers need of the server. */
export interface ObserversInit<R extends Remote> {
  readonly host: Host
  readonly counters: Counters
  readonly formats: FormatTable
  readonly responses: Responses
  readonly notifications: Notifications
  /** Makes what sends the notifications of a source to the remote of an exchange. */
  readonly notifier: (exchange: Exchange<R>, source: NotificationSource) => Notifier
}

/** The observers of a server's resources, by remote and token (RFC 7641 section 4.1). */
export class Observers<R extends Remote> implements Registrar<R> {
  readonly #init: ObserversInit<R>
  readonly #byRemote = new Map<Remote, Map<string, Observer>>()
  /** Bytes of the bodies that are kept to run the requests again. */
  #held = 0

  constructor(init: ObserversInit<R>) {
    this.#init = init
  }

  /** True when a GET or FETCH with Observe 0 becomes an observation; otherwise it is answered like any other (RFC 7641 section 4.1, RFC 8132 section 2.4). */
  takes({ remote, message, toMulticast }: Exchange<R>, request: CoapRequest): boolean {
    if (!isSafe(message.code) || toMulticast || request.path === WELL_KNOWN_CORE) return false
    // A request for a later block goes on with the body of before (RFC 7959 section 2.6).
    if (request.block2 > 15) return false
    const { limits } = this.#init.host
    if (this.#held + request.bodyLength > HELD_BODIES * limits.body) return false
    const observers = this.#byRemote.get(remote)
    return observers === undefined || observers.size < limits.observersPerConnection || observers.has(tokenKey(message.token))
  }

  /** Begins an observation in place of a former one with the same token. */
  register(exchange: Exchange<R>, request: CoapRequest, context: Context): void {
    const { host, counters, notifier } = this.#init
    const { remote } = exchange
    const key = tokenKey(exchange.message.token)
    const former = this.#byRemote.get(remote)?.get(key)
    if (former !== undefined) void former.context.end('unsubscribe')
    context['iopa.Observe'] = true
    const observer = new Observer({
      exchange,
      request,
      context,
      sequence: former === undefined ? 1 : (former.sequence + 1) & 0xffffff,
      ports: this.#ports,
      notifier: source => notifier(exchange, source)
    })
    this.#add(remote, key, observer)
    context.defer((reason: EndReason) => {
      this.#remove(remote, key, observer)
      observer.notifier.close()
      if (reason !== 'finish') exchange.suppress()
    })
    counters.observed(context)
    if (request.sealed) {
      this.#relay(observer)
      return
    }
    host
      .observe(context, answer => observer.deliver(answer), { excerpt: LARGEST_BLOCK })
      .then(
        ({ active }) => {
          remote.user?.look(context)
          if (!active) void context.end()
        },
        (error: unknown) => {
          host.logger.error('iopa: an observation could not begin', error)
          void context.end('reset')
        }
      )
  }

  /** Ends the observation that a GET or FETCH with Observe 1 names by its token, if there is one. */
  cancel({ remote, message: { code, token } }: Exchange<R>): void {
    if (isSafe(code)) void this.#byRemote.get(remote)?.get(tokenKey(token))?.context.end('unsubscribe')
  }

  /** Notifies the observers of a remote, or all, that the server closes (RFC 7641 section 4.2), and ends their observations. */
  dismiss(remote?: R): void {
    for (const of of remote === undefined ? [...this.#byRemote.keys()] : [remote])
      for (const { notifier, context } of this.#observersOf(of)) {
        notifier.dismiss(CODE.SERVICE_UNAVAILABLE, CLOSING)
        void context.end('shutdown')
      }
  }

  readonly #ports: ObserverPorts = {
    respond: (observer, answer) => this.#respond(observer, answer),
    notification: (observer, answer) => this.#init.notifications.next(observer, answer),
    relayed: (observer, response) => this.#init.notifications.relayed(observer, response),
    disconnected: remote => {
      for (const { context } of this.#observersOf(remote)) void context.end('disconnect')
    }
  }

  /** What is protected from end to end is bound to one request: it runs once, and the proxy hands on each response to this observer alone (RFC 8613 section 10). */
  #relay(observer: Observer): void {
    const { context } = observer
    context['coap.Relay'] = response => {
      if (response === null) void context.end('unsubscribe')
      else observer.relay(response)
    }
    const { host } = this.#init
    const answered = (): void => {
      observer.exchange.remote.user?.look(context)
      const watch = usersOf(host).watch(context, () => void context.end('timeout'))
      if (watch !== null) context.defer(() => watch[Symbol.dispose]())
      void observer.deliver(context.response)
    }
    host.run(context, answered, true)
  }

  #respond(observer: Observer, answer: SealedAnswer): void {
    const { formats, responses } = this.#init
    const { exchange, request, context } = observer
    const given = represent(answer, exchange.message.code, request.accept, formats)
    observer.contentFormat = given.contentFormat
    const representation = fitted(request, given)
    let accepted = representation.code >> 5 === 2
    if (request.sealed) {
      accepted &&= observesOn(context['coap.ResponseOptions'])
      relayOptions(representation, context['coap.ResponseOptions'])
    }
    const sent = responses.send(exchange, request, representation, accepted ? observer.sequence : NONE)
    if (!accepted || !sent) queueMicrotask(() => void context.end('unsubscribe'))
  }

  #observersOf(remote: Remote): Observer[] {
    return [...(this.#byRemote.get(remote)?.values() ?? [])]
  }

  #add(remote: Remote, key: string, observer: Observer): void {
    let observers = this.#byRemote.get(remote)
    if (observers === undefined) this.#byRemote.set(remote, (observers = new Map()))
    observers.set(key, observer)
    remote.pin()
    this.#held += observer.request.bodyLength
  }

  #remove(remote: Remote, key: string, observer: Observer): void {
    const observers = this.#byRemote.get(remote)
    if (observers?.get(key) === observer) observers.delete(key)
    if (observers?.size === 0) this.#byRemote.delete(remote)
    remote.unpin()
    this.#held -= observer.request.bodyLength
  }
}

/** What an observer needs of the server. */
export interface ObserverPorts {
  /** Answers the registering request. */
  respond(observer: Observer, answer: SealedAnswer): void
  /** Makes the next notification; it is the last one where the observer is marked so. Never throws. */
  notification(observer: Observer, answer: SealedAnswer): Notification
  /** Makes the next notification of one that a proxy hands on. */
  relayed(observer: Observer, response: RelayedResponse): Notification
  /** The remote did not acknowledge a notification, so it would not acknowledge others either (RFC 7641 section 4.5). */
  disconnected(remote: Remote): void
}

/** What an observer is made of. */
export interface ObserverInit {
  readonly exchange: Exchange
  readonly request: CoapRequest
  readonly context: Context
  /** The Observe option of the response. */
  readonly sequence: number
  readonly ports: ObserverPorts
  readonly notifier: (source: NotificationSource) => Notifier
}

/** One observation of one resource by one remote (RFC 7641). */
export class Observer implements NotificationSource {
  readonly exchange: Exchange
  readonly request: CoapRequest
  readonly context: Context
  readonly notifier: Notifier
  /** The Observe option of the last message. */
  sequence: number
  /** That of the first answer; -1 for none. */
  contentFormat: number = NONE
  /** True when the observation ends with the notification that was made last. */
  last = false
  #newest: SealedAnswer | undefined
  #relayed: RelayedResponse | undefined
  #first = true
  readonly #ports: ObserverPorts

  constructor({ exchange, request, context, sequence, ports, notifier }: ObserverInit) {
    this.exchange = exchange
    this.request = request
    this.context = context
    this.sequence = sequence
    this.#ports = ports
    this.notifier = notifier(this)
  }

  /** Sends the first answer as response and each later one as notification. */
  deliver(answer: SealedAnswer): Promise<void> | undefined {
    if (this.#first) {
      this.#first = false
      this.#ports.respond(this, answer)
      // One that a proxy had before this was sent.
      return this.#relayed === undefined ? undefined : this.notifier.changed()
    }
    // Its beginning could not be read because it has changed again; the next notification follows.
    if (this.last || answer.excerpt?.start.length === 0) return undefined
    this.#newest = answer
    return this.notifier.changed()
  }

  /** Sends a response of the server behind a proxy as notification. */
  relay(response: RelayedResponse): void {
    if (this.last) return
    this.#relayed = response
    if (!this.#first) void this.notifier.changed()
  }

  notification(): Notification {
    // 24 bits that wrap (RFC 7641 section 4.4).
    this.sequence = (this.sequence + 1) & 0xffffff
    return this.#relayed === undefined ? this.#ports.notification(this, this.#newest!) : this.#ports.relayed(this, this.#relayed)
  }

  delivered(): void {
    // Not within a delivery, from which the end would take the observer.
    if (this.last) queueMicrotask(() => void this.context.end('unsubscribe'))
  }

  end(reason: 'reset' | 'disconnect'): void {
    void this.context.end(reason)
    if (reason === 'disconnect') this.#ports.disconnected(this.exchange.remote)
  }
}
