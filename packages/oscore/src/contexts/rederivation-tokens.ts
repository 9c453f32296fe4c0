import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '@iopa/transport'

const RANDOM = 8
const TAG = 8
/** Bytes of a token. */
export const TOKEN_LENGTH: number = RANDOM + TAG
/** How long a peer has for its second request, in milliseconds. */
const LIFETIME = 120_000

/** The R2 that a server gives: it recognises them without keeping any (RFC 8613 appendix B.2.1). */
export class RederivationTokens {
  readonly #clock: Clock
  #key: Uint8Array = randomBytes(32)
  #since: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.elapsed()
  }

  issue(): Uint8Array {
    if (this.#expired()) this.renew()
    const random = randomBytes(RANDOM)
    return Buffer.concat([random, this.#tag(random)])
  }

  verify(token: Uint8Array): boolean {
    return token.length === TOKEN_LENGTH && !this.#expired() && timingSafeEqual(this.#tag(token.subarray(0, RANDOM)), token.subarray(RANDOM))
  }

  /** Recognises none of the tokens so far: an exchange is complete, and its messages must not be accepted again. */
  renew(): void {
    this.#key = randomBytes(32)
    this.#since = this.#clock.elapsed()
  }

  #expired(): boolean {
    return this.#clock.elapsed() - this.#since > LIFETIME
  }

  #tag(random: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#key).update(random).digest().subarray(0, TAG)
  }
}
