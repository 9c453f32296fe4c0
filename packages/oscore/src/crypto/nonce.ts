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

/** The AEAD nonce of the Partial IV that the endpoint with this id has made (RFC 8613 section 5.2). */
export const nonceOf = (commonIv: Uint8Array, id: Uint8Array, partialIv: Uint8Array): Uint8Array => {
  const nonce = commonIv.slice()
  nonce[0]! ^= id.length
  const idAt = commonIv.length - MOST_PARTIAL_IV - id.length
  for (let at = 0; at < id.length; at++) nonce[idAt + at]! ^= id[at]!
  const ivAt = commonIv.length - partialIv.length
  for (let at = 0; at < partialIv.length; at++) nonce[ivAt + at]! ^= partialIv[at]!
  return nonce
}

const VERSION = cborInteger(1)
const NO_OPTIONS = cborBytes(NOTHING)
const STRUCTURE = [cborText('Encrypt0'), NO_OPTIONS] as const

/** The additional authenticated data of a request and of all its responses (RFC 8613 section 5.4); there are no options of class I. */
export const authenticatedData = (algorithm: AeadAlgorithm, requestKid: Uint8Array, requestPartialIv: Uint8Array): Uint8Array => {
  const external = cborArray(VERSION, cborArray(cborInteger(algorithm.number)), cborBytes(requestKid), cborBytes(requestPartialIv), NO_OPTIONS)
  return cborArray(...STRUCTURE, cborBytes(external))
}
