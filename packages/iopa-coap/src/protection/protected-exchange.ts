import type { Clock, Logger, OpenedRequest, PlainMessage } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import { NO_OPTIONS, type Options } from '../codec/options.ts'
import type { Exchange } from '../exchanges/exchange.ts'
import type { AssociatedRemote } from './associations.ts'
import { plainMessage } from './plain-messages.ts'
import { Sequence, settle } from './sequence.ts'

const NOTHING = new Uint8Array(0)

/** What a protected exchange needs of the server. */
export interface ExchangePorts {
  readonly clock: Clock
  readonly logger: Logger
  /** Milliseconds that the protection of a message may take. */
  readonly timeout: number
  /** Sends a protected response. */
  respond(exchange: Exchange, response: PlainMessage): void
  /** Gets a promise of messages whose protection takes time. */
  protecting(done: Promise<void>): void
}

/** What a protected exchange is made of. */
export interface ProtectedExchangeInit {
  readonly ports: ExchangePorts
  /** The exchange of the protected messages. */
  readonly outer: Exchange
  readonly opened: OpenedRequest
  readonly remote: AssociatedRemote
  /** The request that was protected, in the place of the outer one. */
  readonly message: ReceivedMessage
}

/** A request that was protected, and its response, which is protected before it is sent. */
export class ProtectedExchange implements Exchange<AssociatedRemote> {
  readonly remote: AssociatedRemote
  readonly message: ReceivedMessage
  readonly toMulticast: boolean = false
  readonly outer: Exchange
  ended = false
  readonly #ports: ExchangePorts
  readonly #opened: OpenedRequest
  readonly #sequence = new Sequence()
  #observed = false
  #released = false

  constructor({ ports, outer, opened, remote, message }: ProtectedExchangeInit) {
    this.#ports = ports
    this.#opened = opened
    this.outer = outer
    this.remote = remote
    this.message = message
    remote.count(1)
  }

  respond(code: number, options: Options, payload: Uint8Array): void {
    if (this.ended) return
    this.ended = true
    const failed = (error: unknown): void => {
      this.#ports.logger.error('iopa: a CoAP response could not be protected', error)
      this.outer.respond(CODE.INTERNAL_SERVER_ERROR, NO_OPTIONS, NOTHING)
    }
    this.protect('response', plainMessage(code, options, payload), response => this.#ports.respond(this.outer, response), failed)
    this.#release()
  }

  suppress(): void {
    if (this.ended) return
    this.ended = true
    this.outer.suppress()
    this.#release()
  }

  /** Protects a message after those before it, and calls `then` with what is to be sent. */
  protect(kind: 'response' | 'notification', message: PlainMessage, then: (message: PlainMessage) => void, failed: (error: unknown) => void): void {
    const { clock, timeout } = this.#ports
    this.#sequence.run(() => settle(() => this.#opened.protect(message, kind), { clock, timeout, failed }, then))
    if (this.#sequence.done !== undefined) this.#ports.protecting(this.#sequence.done)
  }

  /** Resolves when everything that was given to it is protected; undefined where it is. */
  get protecting(): Promise<void> | undefined {
    return this.#sequence.done
  }

  /** An observation begins, which has notifications until `unobserve`. */
  observe(): void {
    this.#observed = true
  }

  unobserve(): void {
    this.#observed = false
    this.#release()
  }

  /** Lets the protection go when the response has been made, and no notification follows. */
  #release(): void {
    if (!this.ended || this.#observed || this.#released) return
    this.#released = true
    this.#sequence.run(() => {
      this.#opened.end()
      this.remote.count(-1)
    })
  }
}
