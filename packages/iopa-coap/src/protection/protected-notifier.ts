import type { PlainMessage } from '@iopa/transport'
import type { Options } from '../codec/options.ts'
import type { Exchange } from '../exchanges/exchange.ts'
import type { Notification, NotificationSource, Notifier } from '../observers/notifications.ts'
import { optionsOf, plainMessage } from './plain-messages.ts'
import type { ProtectedExchange } from './protected-exchange.ts'

const NOTHING = new Uint8Array(0)

/**
 * Protects the notifications of one observation, between their source and what sends them. As few are made as are sent: one that waits for its turn
 * is made again from the newest state when that comes; what is retransmitted is the same bytes, unless there is a newer state (RFC 7641 section 4.5.2).
 */
export class ProtectedNotifier implements Notifier, NotificationSource {
  readonly #exchange: ProtectedExchange
  readonly #source: NotificationSource
  readonly #outer: Notifier
  /** The newest that is protected; undefined until there is one. */
  #ready: PlainMessage | undefined
  /** True when that has been taken to be sent. */
  #taken = true
  /** True while one is being protected. */
  #protecting = false
  /** True when the state has changed since the one was made that is protected, or being so. */
  #stale = false
  #closed = false

  /** `notifier` makes what sends the notifications of this source in the outer exchange. */
  constructor(exchange: ProtectedExchange, source: NotificationSource, notifier: (exchange: Exchange, source: NotificationSource) => Notifier) {
    this.#exchange = exchange
    this.#source = source
    this.#outer = notifier(exchange.outer, this)
    exchange.observe()
  }

  changed(): Promise<void> | undefined {
    if (this.#protecting || !this.#taken) {
      this.#stale = true
      return this.#protecting ? this.#exchange.protecting : undefined
    }
    let drained: Promise<void> | undefined
    this.#protect(() => {
      drained = this.#outer.changed()
    })
    return drained ?? this.#exchange.protecting
  }

  dismiss(code: number, options: Options): void {
    const dismissed = (last: PlainMessage): void => this.#outer.dismiss(last.code, optionsOf(last), last.payload)
    this.#exchange.protect('notification', plainMessage(code, options, NOTHING), dismissed, () => undefined)
  }

  close(): void {
    this.#closed = true
    this.#outer.close()
    this.#exchange.unobserve()
  }

  /** Asked by the outer notifier when one can be sent, which is after `changed` alone. */
  notification(): Notification {
    // Made again where that can be done at once; otherwise the newer one follows.
    if (this.#stale && !this.#protecting) {
      let atOnce = true
      this.#protect(() => {
        if (!atOnce) void this.#outer.changed()
      })
      atOnce = false
    }
    this.#taken = true
    const message = this.#ready!
    return { code: message.code, options: optionsOf(message), payload: message.payload }
  }

  delivered(): void {
    if (!this.#protecting && this.#taken) this.#source.delivered()
  }

  end(reason: 'reset' | 'disconnect'): void {
    this.#source.end(reason)
  }

  /** Protects the newest state, and calls `then` when that is ready. */
  #protect(then: () => void): void {
    this.#stale = false
    this.#protecting = true
    const { code, options, payload } = this.#source.notification()
    const ready = (message: PlainMessage): void => {
      this.#protecting = false
      if (this.#closed) return
      this.#ready = message
      this.#taken = false
      then()
    }
    this.#exchange.protect('notification', plainMessage(code, options, payload), ready, () => {
      this.#protecting = false
      // Without it the observer would not have the state that is newest.
      if (!this.#closed) this.#source.end('reset')
    })
  }
}
