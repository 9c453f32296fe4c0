import { randomBytes } from 'node:crypto'
import { IopaError, type PlainMessage, type ProtectedRequest, type RequestProtection } from '@iopa/transport'
import type { ContextSource } from '../contexts/context-source.ts'
import type { SecurityContext } from '../contexts/security-context.ts'
import { encodePartialIv } from '../crypto/nonce.ts'
import { singleOption, splitRequest } from '../messages/option-classes.ts'
import { OPTION } from '../messages/option-numbers.ts'
import { sealMessage } from '../messages/outgoing.ts'
import { ProtectedOscoreRequest } from './protected-request.ts'

const PROTECTING = new WeakMap<ContextSource, RequestProtecting>()

/** What protects requests to the peer of these contexts. */
export const protectingTo = (source: ContextSource): RequestProtecting => {
  let protecting = PROTECTING.get(source)
  if (protecting === undefined) PROTECTING.set(source, (protecting = new RequestProtecting(source)))
  return protecting
}

/** Protects requests to one peer (RFC 8613 section 8.1). */
class RequestProtecting implements RequestProtection {
  readonly #source: ContextSource
  /**
   * Asks the caller to send a request again: a CoAP client repeats a request with the Echo of a 4.01 (RFC 9175 section 2.3). The value does not leave
   * this process.
   */
  readonly #again = randomBytes(8)

  constructor(source: ContextSource) {
    this.#source = source
  }

  protect(request: PlainMessage): ProtectedRequest | Promise<ProtectedRequest> {
    if (request.options.some(([number]) => number === OPTION.OSCORE))
      throw new IopaError(
        500,
        'already-protected',
        'The request has an OSCORE option already: remove it, for OSCORE is not nested (RFC 8613 section 4.1.3.7).'
      )
    const context = this.#source.sending()
    const number = context.numbers.next()
    return typeof number === 'number' ? this.#seal(request, context, number) : number.then(given => this.#seal(request, context, given))
  }

  #seal(request: PlainMessage, context: SecurityContext, number: number): ProtectedRequest {
    const partialIv = encodePartialIv(number)
    const options = request.options.filter(([option, value]) => option !== OPTION.ECHO || Buffer.compare(value, this.#again) !== 0)
    const { kidContext, senderId: kid } = context
    const message = sealMessage(context, request, splitRequest(options), {
      nonce: context.ownNonce(partialIv),
      aad: context.authenticatedData(kid, partialIv),
      header: { partialIv, kidContext, kid }
    })
    // Registering is 0, which has no bytes, or a zero byte of a peer that is not strict (RFC 7641 section 2).
    const observe = singleOption(options, OPTION.OBSERVE)
    const observes = observe?.every(byte => byte === 0) === true
    return new ProtectedOscoreRequest(message, { context, source: this.#source, partialIv, observes, again: this.#again })
  }
}
