import { randomBytes } from 'node:crypto'

const LENGTH = 8

/**
 * The tokens of one client towards one server. None recurs, so that a response that was held back cannot answer a later request of the same security
 * association (RFC 9175 section 4.2); and none can be guessed without having seen another (RFC 7252 section 5.3.1): a counter under a random mask.
 */
export class Tokens {
  readonly #mask = randomBytes(LENGTH)
  #high = 0
  #low = 0

  /** A token of eight bytes, or of another length (RFC 8974): a short one recurs when its bytes have been used up. */
  next(length: number = LENGTH): Uint8Array {
    this.#low = (this.#low + 1) >>> 0
    if (this.#low === 0) this.#high = (this.#high + 1) >>> 0
    const token = Buffer.allocUnsafe(LENGTH)
    const mask = this.#mask
    token.writeUInt32BE((mask.readUInt32BE(0) ^ this.#high) >>> 0, 0)
    token.writeUInt32BE((mask.readUInt32BE(4) ^ this.#low) >>> 0, 4)
    return length <= LENGTH ? token.subarray(LENGTH - length) : Buffer.concat([token, randomBytes(length - LENGTH)])
  }
}
