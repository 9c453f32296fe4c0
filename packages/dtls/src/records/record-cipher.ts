import { type CipherCCMTypes, type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto'
import type { Aead } from '../suites/aead.ts'
import { CONTENT, RECORD_HEADER } from './record.ts'

/** What protects the records of one direction. */
export interface DirectionKeys {
  readonly cipher: RecordCipher
  /** A key, and behind it the part of the nonces that comes from the key block. Both directions share one view, since each takes memory while the session lasts. */
  readonly secrets: Uint8Array
  /** Where in `secrets` the key of this direction begins. */
  readonly at: number
}

const NONCE_LENGTH = 12
const CID_AAD = 23
const LONGEST_CID = 255

/** Bytes of a record are few: a loop is faster than a call. */
export const copyBytes = (from: Uint8Array, start: number, length: number, to: Uint8Array, at: number): void => {
  for (let index = 0; index < length; index++) to[at + index] = from[start + index]!
}

/**
 * An authenticated cipher, with memory for its parameters: a channel has one of each kind, since its records are protected one after the other. All that is
 * written there is read within one call, so that a record costs no views of its own.
 */
export class RecordCipher {
  readonly aead: Aead
  readonly #key: Buffer
  readonly #nonce: Buffer = Buffer.alloc(NONCE_LENGTH)
  readonly #aad: Buffer = Buffer.alloc(CID_AAD + LONGEST_CID)
  readonly #plainAad: Buffer = this.#aad.subarray(0, RECORD_HEADER)
  readonly #cidAads: Buffer[] = []
  readonly #tag: Buffer
  readonly #options: { readonly authTagLength: number }
  readonly #size = { plaintextLength: 0 }
  /** For the content of records with a connection id, behind which its type is written. */
  #inner: Buffer = Buffer.alloc(0)

  constructor(aead: Aead) {
    this.aead = aead
    this.#key = Buffer.alloc(aead.keyLength)
    this.#tag = Buffer.alloc(aead.tagLength)
    this.#options = { authTagLength: aead.tagLength }
  }

  /** Writes what protects `inner` behind the header of a record, which is complete. */
  seal(keys: DirectionKeys, record: Buffer, header: number, cidLength: number, inner: Uint8Array): void {
    const { algorithm, explicitLength, tagLength } = this.aead
    if (explicitLength > 0) copyBytes(record, 3, explicitLength, record, header)
    this.#fillNonce(keys, record, 3)
    const key = this.#keyOf(keys)
    const cipher = createCipheriv(algorithm as CipherCCMTypes, key, this.#nonce, this.#options)
    key.fill(0)
    cipher.setAAD(this.#additionalData(record, 0, cidLength, inner.length), this.#size)
    record.set(cipher.update(inner), header + explicitLength)
    cipher.final()
    copyBytes(cipher.getAuthTag(), 0, tagLength, record, record.length - tagLength)
  }

  /** What a record at `start` of a datagram protects from `content` to `end`; undefined where it is not authentic. */
  open(keys: DirectionKeys, datagram: Uint8Array, start: number, content: number, end: number, cidLength: number): Buffer | undefined {
    const { algorithm, explicitLength, tagLength } = this.aead
    const from = content + explicitLength
    const to = end - tagLength
    // The explicit nonce is the peer's to choose (RFC 5288 section 3).
    this.#fillNonce(keys, datagram, explicitLength > 0 ? content : start + 3)
    copyBytes(datagram, to, tagLength, this.#tag, 0)
    const key = this.#keyOf(keys)
    const decipher = createDecipheriv(algorithm as CipherGCMTypes as CipherCCMTypes, key, this.#nonce, this.#options)
    key.fill(0)
    try {
      decipher.setAuthTag(this.#tag)
      decipher.setAAD(this.#additionalData(datagram, start, cidLength, to - from), this.#size)
      const plain = decipher.update(datagram.subarray(from, to))
      decipher.final()
      return plain
    } catch {
      return undefined
    }
  }

  /** The content with its type behind it (RFC 9146 section 4), until the next record. */
  withType(content: Uint8Array, type: number): Buffer {
    const { length } = content
    if (this.#inner.length <= length) this.#inner = Buffer.alloc(2 * length + 64)
    const inner = this.#inner.subarray(0, length + 1)
    inner.set(content)
    inner[length] = type
    return inner
  }

  /** A copy of the key, which the caller overwrites after use: ciphers take a whole Buffer. */
  #keyOf({ secrets, at }: DirectionKeys): Buffer {
    copyBytes(secrets, at, this.#key.length, this.#key, 0)
    return this.#key
  }

  /** Epoch and record number are at bytes 3 to 10 of a record, and are the explicit nonce too. */
  #fillNonce({ secrets, at }: DirectionKeys, record: Uint8Array, start: number): void {
    const nonce = this.#nonce
    const { keyLength, saltLength, explicitLength } = this.aead
    copyBytes(secrets, at + keyLength, saltLength, nonce, 0)
    if (explicitLength > 0) copyBytes(record, start, explicitLength, nonce, saltLength)
    else for (let index = 0; index < 8; index++) nonce[4 + index]! ^= record[start + index]!
  }

  /** What is authenticated beside the content: RFC 6347 section 4.1.2.1, and RFC 9146 section 5.3 for a record with connection id. */
  #additionalData(record: Uint8Array, start: number, cidLength: number, length: number): Uint8Array {
    this.#size.plaintextLength = length
    const aad = this.#aad
    if (cidLength === 0) {
      copyBytes(record, start + 3, 8, aad, 0)
      copyBytes(record, start, 3, aad, 8)
      aad[11] = length >> 8
      aad[12] = length
      return this.#plainAad
    }
    aad.fill(0xff, 0, 8)
    aad[8] = CONTENT.CID
    aad[9] = cidLength
    copyBytes(record, start, 11 + cidLength, aad, 10)
    aad[21 + cidLength] = length >> 8
    aad[22 + cidLength] = length
    return (this.#cidAads[cidLength] ??= aad.subarray(0, CID_AAD + cidLength))
  }
}

/** The ciphers of one channel. */
export class RecordCiphers {
  readonly #ciphers = new Map<Aead, RecordCipher>()

  of(aead: Aead): RecordCipher {
    let cipher = this.#ciphers.get(aead)
    if (cipher === undefined) this.#ciphers.set(aead, (cipher = new RecordCipher(aead)))
    return cipher
  }
}
