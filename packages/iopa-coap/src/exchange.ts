import type { ReceivedMessage } from './codec.ts'
import type { MessageLayer } from './message-layer.ts'
import type { OptionWriter } from './option-writer.ts'
import type { Peer } from './peer.ts'

/** A request and the one answer that it gets. */
export class Exchange {
  readonly peer: Peer
  readonly message: ReceivedMessage
  /** What tells the message from another of the same id. */
  readonly fingerprint: number
  /** True when an empty acknowledgement was sent, so that the response follows as a message of its own. */
  acknowledged = false
  /** True when it has been answered, or will not be. */
  ended = false
  readonly #layer: MessageLayer

  constructor(layer: MessageLayer, peer: Peer, message: ReceivedMessage, fingerprint: number) {
    this.#layer = layer
    this.peer = peer
    this.message = message
    this.fingerprint = fingerprint
  }

  /** Sends the response; only the first call counts. The options are copied. */
  respond(code: number, options: OptionWriter, payload: Uint8Array): void {
    if (this.ended) return
    this.ended = true
    this.#layer.respond(this, code, options, payload)
  }

  /** Ends it without a response (RFC 7967). */
  suppress(): void {
    if (this.ended) return
    this.ended = true
    this.#layer.suppress(this)
  }
}
