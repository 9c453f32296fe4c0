import { createHmac, randomBytes } from 'node:crypto'
import type { Context } from '@iopa/appbuilder'
import { observeOf, tokenOf } from './forwarding.ts'
import type { Target } from './targets.ts'

/** Bytes of a token. */
const LENGTH = 8

/**
 * The tokens of registrations that are handed on under OSCORE. A registration with the token of one before takes its place here, and has to do so at the
 * server: so a token here gives a token there, and the server takes a renewal, or a cancellation, for what it is (RFC 7641 sections 3.3.1 and 3.6).
 */
export class Registrations {
  readonly #key = randomBytes(32)

  /** What a request that registers or cancels tells the client of the proxy. */
  keysOf(context: Context, target: Target): { readonly 'coap.Token'?: Uint8Array } {
    if (observeOf(context) === undefined) return {}
    const token = createHmac('sha256', this.#key).update(`${target.key}\n${context['server.SessionId']}\n`).update(tokenOf(context)).digest()
    return { 'coap.Token': token.subarray(0, LENGTH) }
  }
}
