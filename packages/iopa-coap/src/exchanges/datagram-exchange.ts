import type { ReceivedMessage } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { Peer } from '../messages/peer.ts'
import { DatagramSubscriber } from '../observers/datagram-notifier.ts'
import type { Requests } from './datagram-exchanges.ts'
import type { Exchange, NotificationSource, Subscriber } from './exchange.ts'

/** A request that came in a datagram. */
export class DatagramExchange implements Exchange {
  readonly remote: Peer
  readonly message: ReceivedMessage
  /** What tells the message from another of the same id. */
  readonly fingerprint: number
  readonly toMulticast: boolean
  /** True when an empty acknowledgement was sent, so that the response follows as a message of its own. */
  acknowledged = false
  ended = false
  /** How often it was found without an answer. */
  sweeps = 0
  readonly #requests: Requests

  constructor(requests: Requests, remote: Peer, message: ReceivedMessage, fingerprint: number, toMulticast: boolean) {
    this.#requests = requests
    this.remote = remote
    this.message = message
    this.fingerprint = fingerprint
    this.toMulticast = toMulticast
  }

  respond(code: number, options: Options, payload: Uint8Array): void {
    if (this.ended) return
    this.ended = true
    this.#requests.respond(this, code, options, payload)
  }

  suppress(): void {
    if (this.ended) return
    this.ended = true
    this.#requests.suppress(this)
  }

  /** Rejects it: nobody here answers requests. */
  reject(): void {
    if (this.ended) return
    this.ended = true
    this.#requests.reject(this)
  }

  subscriber(source: NotificationSource): Subscriber {
    return new DatagramSubscriber(this.#requests.layer, this.remote, this.message, source)
  }
}
