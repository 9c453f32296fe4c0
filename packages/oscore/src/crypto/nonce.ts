import type { AeadAlgorithm } from './algorithms.ts'
import { cborArray, cborBytes, cborInteger, cborText } from './cbor.ts'

/** Bytes that a Partial IV has at most, and the first number that has no Partial IV (RFC 8613 section 7.2.1). */
export const MOST_PARTIAL_IV = 5
export const SEQUENCE_END: number = 2 ** 40

const NOTHING = new Uint8Array(0)

/** A sequence number in as few bytes as it needs, at least one (RFC 8613 section 5). */
export const encodePartialIv = (number: number): Uint8Array => {
  let length = 1
  for (let limit = 0x100; number >= limit; limit *= 0x100) length++
  const bytes = new Uint8Array(length)
  for (let at = length - 1, rest = number; at >= 0; at--) {
    bytes[at] = rest % 0x100
    rest = Math.floor(rest / 0x100)
  }
  return bytes
}

export const decodePartialIv = (bytes: Uint8Array): number => {
  let number = 0
  for (const byte of bytes) number = number * 0x100 + byte
  return number
}

/** The AEAD nonces of the Partial IVs that the endpoint with this id has made (RFC 8613 section 5.2). */
export class Nonces {
  readonly #base: Uint8Array
  readonly #nonce: Uint8Array

  constructor(commonIv: Uint8Array, id: Uint8Array) {
    const base = commonIv.slice()
    base[0]! ^= id.length
    const idAt = base.length - MOST_PARTIAL_IV - id.length
    for (let at = 0; at < id.length; at++) base[idAt + at]! ^= id[at]!
    this.#base = base
    this.#nonce = base.slice()
  }

  /** Valid until the next call. */
  of(partialIv: Uint8Array): Uint8Array {
    const base = this.#base
    const nonce = this.#nonce
    const { length } = base
    const ivAt = length - partialIv.length
    for (let at = length - MOST_PARTIAL_IV; at < length; at++) nonce[at] = at < ivAt ? base[at]! : base[at]! ^ partialIv[at - ivAt]!
    return nonce
  }

  /** Overwrites what they are made of. */
  end(): void {
    this.#base.fill(0)
    this.#nonce.fill(0)
  }
}

const VERSION = cborInteger(1)
const NO_OPTIONS = cborBytes(NOTHING)
const STRUCTURE = [cborText('Encrypt0'), NO_OPTIONS] as const

/** The additional authenticated data of a request and of all its responses (RFC 8613 section 5.4); there are no options of class I. */
export const authenticatedData = (algorithm: AeadAlgorithm, requestKid: Uint8Array, requestPartialIv: Uint8Array): Uint8Array => {
  const external = cborArray(VERSION, cborArray(cborInteger(algorithm.number)), cborBytes(requestKid), cborBytes(requestPartialIv), NO_OPTIONS)
  return cborArray(...STRUCTURE, cborBytes(external))
}
