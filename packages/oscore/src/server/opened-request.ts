import type { OpenedRequest, PlainMessage, RequestProtection, User } from '@iopa/transport'
import { associationEnded, type SecurityContext } from '../contexts/security-context.ts'
import { encodePartialIv } from '../crypto/nonce.ts'
import { splitResponse } from '../messages/option-classes.ts'
import { sealMessage } from '../messages/outgoing.ts'

/** A request that was opened, and the protection of its responses (RFC 8613 section 8.3). */
export class OpenedOscoreRequest implements OpenedRequest {
  readonly message: PlainMessage
  readonly requests: RequestProtection
  readonly #context: SecurityContext
  readonly #partialIv: Uint8Array
  /** True once the nonce of the request was used, or must not be used any more. */
  #nonceUsed = false
  #ended = false

  constructor(context: SecurityContext, partialIv: Uint8Array, message: PlainMessage, requests: RequestProtection) {
    this.#context = context
    // A copy, for the bytes of the datagram may be used again; `slice` of a Buffer makes none.
    this.#partialIv = new Uint8Array(partialIv)
    this.message = message
    this.requests = requests
  }

  get user(): User {
    return this.#context.user
  }

  get association(): { readonly id: string } {
    return this.#context.association
  }

  protect(response: PlainMessage, kind: 'response' | 'notification'): PlainMessage | Promise<PlainMessage> {
    if (this.#ended || this.#context.ended) throw associationEnded()
    const withRequestNonce = kind === 'response' && !this.#nonceUsed
    // The nonce of the request protects one response at most, the first one (RFC 8613 section 8.3.1).
    this.#nonceUsed = true
    if (withRequestNonce) return this.#seal(response, undefined)
    const number = this.#context.numbers.next()
    return typeof number === 'number' ? this.#seal(response, number) : number.then(given => this.#seal(response, given))
  }

  end(): void {
    this.#ended = true
  }

  #seal(response: PlainMessage, number: number | undefined): PlainMessage {
    const context = this.#context
    const partialIv = number === undefined ? undefined : encodePartialIv(number)
    return sealMessage(context, response, splitResponse(response.options), {
      nonce: partialIv === undefined ? context.peerNonce(this.#partialIv) : context.ownNonce(partialIv),
      aad: context.authenticatedData(context.recipientId, this.#partialIv),
      header: { partialIv }
    })
  }
}
