import { type CipherCCMTypes, type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto'
import type { Aead } from '../suites/aead.ts'
import { CID_LENGTH, CONTENT, LARGEST_CONTENT, MOST_RECORDS, RECORD_HEADER, type ReceivedRecord } from './record.ts'
import { ReplayWindow } from './replay-window.ts'

/** What protects the records of one direction. */
export interface DirectionKeys {
  readonly aead: Aead
  readonly key: Uint8Array
  /** The part of the nonces that comes from the key block. */
  readonly salt: Uint8Array
}

/** The content of a record that was authentic. */
export interface OpenedRecord {
  readonly type: number
  readonly content: Uint8Array
}

const NONCE_LENGTH = 12
const CID_AAD = 23
const LONGEST_CID = 255
// Filled and read within one call.
const nonce = Buffer.alloc(NONCE_LENGTH)
const aadSpace = Buffer.alloc(CID_AAD + LONGEST_CID)

/** Epoch and record number are at bytes 3 to 10 of a record, and are the explicit nonce too. */
const fillNonce = ({ aead, salt }: DirectionKeys, record: Uint8Array, start: number): void => {
  nonce.set(salt)
  if (aead.explicitLength > 0) nonce.set(record.subarray(start, start + aead.explicitLength), aead.saltLength)
  else for (let index = 0; index < 8; index++) nonce[4 + index]! ^= record[start + index]!
}

/** What is authenticated beside the content: RFC 6347 section 4.1.2.1, and RFC 9146 section 5.3 for a record with connection id. */
const additionalData = (record: Uint8Array, start: number, cidLength: number, length: number): Uint8Array => {
  if (cidLength === 0) {
    aadSpace.set(record.subarray(start + 3, start + 11))
    aadSpace.set(record.subarray(start, start + 3), 8)
    aadSpace.writeUInt16BE(length, 11)
    return aadSpace.subarray(0, RECORD_HEADER)
  }
  aadSpace.fill(0xff, 0, 8)
  aadSpace[8] = CONTENT.CID
  aadSpace[9] = cidLength
  aadSpace.set(record.subarray(start, start + 11 + cidLength), 10)
  aadSpace.writeUInt16BE(length, 21 + cidLength)
  return aadSpace.subarray(0, CID_AAD + cidLength)
}

/** Protects the records that are sent in epoch 1. */
export class Sealer {
  readonly keys: DirectionKeys
  /** What the peer wants its records to carry; empty for nothing. */
  readonly #cid: Uint8Array
  #sequence = 0

  constructor(keys: DirectionKeys, cid: Uint8Array, sequence = 0) {
    this.keys = keys
    this.#cid = cid
    this.#sequence = sequence
  }

  /** Bytes that a record adds to its content. */
  get overhead(): number {
    const { aead } = this.keys
    return RECORD_HEADER + aead.explicitLength + aead.tagLength + (this.#cid.length > 0 ? this.#cid.length + 1 : 0)
  }

  /** No record is left but the alert that says so. */
  get isExhausted(): boolean {
    return this.#sequence >= MOST_RECORDS
  }

  /** A whole record. */
  seal(type: number, content: Uint8Array): Buffer {
    const { aead, key } = this.keys
    const cid = this.#cid
    const header = RECORD_HEADER + cid.length
    const inner = cid.length === 0 ? content : Buffer.concat([content, Uint8Array.of(type)])
    const record = Buffer.allocUnsafe(header + aead.explicitLength + inner.length + aead.tagLength)
    record[0] = cid.length === 0 ? type : CONTENT.CID
    record.writeUInt16BE(0xfefd, 1)
    record.writeUInt16BE(1, 3)
    record.writeUIntBE(this.#sequence++, 5, 6)
    record.set(cid, 11)
    record.writeUInt16BE(record.length - header, header - 2)
    if (aead.explicitLength > 0) record.set(record.subarray(3, 11), header)
    fillNonce(this.keys, record, 3)
    const cipher = createCipheriv(aead.algorithm as CipherCCMTypes, key, nonce, { authTagLength: aead.tagLength })
    cipher.setAAD(additionalData(record, 0, cid.length, inner.length), { plaintextLength: inner.length })
    record.set(cipher.update(inner), header + aead.explicitLength)
    cipher.final()
    record.set(cipher.getAuthTag(), record.length - aead.tagLength)
    return record
  }
}

/** Opens the records that come in epoch 1. */
export class Opener {
  readonly keys: DirectionKeys
  /** Records must carry our connection id. */
  readonly usesCid: boolean
  readonly #window = new ReplayWindow()
  #failures = 0

  constructor(keys: DirectionKeys, usesCid: boolean) {
    this.keys = keys
    this.usesCid = usesCid
  }

  /** The highest record number that was authentic. */
  get highest(): number {
    return this.#window.highest
  }

  /** Too many records were not authentic: the association must end. */
  get isWornOut(): boolean {
    return this.#failures >= this.keys.aead.mostFailures
  }

  /** Undefined for a record that is a replay, or not authentic. */
  open(received: ReceivedRecord): OpenedRecord | undefined {
    const { type, datagram, start, sequence } = received
    if ((type === CONTENT.CID) !== this.usesCid || received.version !== 0xfefd || !this.#window.isNew(sequence)) return undefined
    const plain = this.#decrypt(received)
    if (plain === undefined) return undefined
    this.#window.accept(sequence)
    if (!this.usesCid) return { type: datagram[start]!, content: plain }
    // The type of the content follows it, then any number of zeros (RFC 9146 section 4).
    let last = plain.length - 1
    while (last >= 0 && plain[last] === 0) last--
    return last < 0 ? undefined : { type: plain[last]!, content: plain.subarray(0, last) }
  }

  #decrypt({ datagram, start, content, end }: ReceivedRecord): Buffer | undefined {
    const { aead, key } = this.keys
    const from = content + aead.explicitLength
    const length = end - aead.tagLength - from
    // Too short for a tag, or longer than a content (RFC 5246 section 6.2.3): no try to forge one.
    if (length < 0 || length > LARGEST_CONTENT + (this.usesCid ? 1 : 0)) return undefined
    // The explicit nonce is the peer's to choose (RFC 5288 section 3).
    fillNonce(this.keys, datagram, aead.explicitLength > 0 ? content : start + 3)
    const decipher = createDecipheriv(aead.algorithm as CipherGCMTypes as CipherCCMTypes, key, nonce, { authTagLength: aead.tagLength })
    try {
      decipher.setAuthTag(datagram.subarray(end - aead.tagLength, end))
      decipher.setAAD(additionalData(datagram, start, this.usesCid ? CID_LENGTH : 0, length), { plaintextLength: length })
      const plain = decipher.update(datagram.subarray(from, from + length))
      decipher.final()
      return plain
    } catch {
      this.#failures++
      return undefined
    }
  }
}
