import { type CipherCCMTypes, type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto'
import type { Aead } from '../suites/aead.ts'
import { CID_LENGTH, CONTENT, LARGEST_CONTENT, MOST_RECORDS, RECORD_HEADER, type ReceivedRecord } from './record.ts'
import { ReplayWindow } from './replay-window.ts'

/** What protects the records of one direction. */
export interface DirectionKeys {
  readonly aead: Aead
  /** The key, and behind it the part of the nonces that comes from the key block: one view, since each takes memory while the session lasts. */
  readonly secret: Uint8Array
}

/** The content of a record that was authentic. */
export interface OpenedRecord {
  readonly type: number
  readonly content: Uint8Array
}

const NONCE_LENGTH = 12
const CID_AAD = 23
const LONGEST_CID = 255
/** Sequence numbers are put together from two halves. */
const HALF = 2 ** 32

// All that follows is filled and read within one call, so that a record costs no views of its own.
const nonce = Buffer.alloc(NONCE_LENGTH)
const aadSpace = Buffer.alloc(CID_AAD + LONGEST_CID)
const plainAad = aadSpace.subarray(0, RECORD_HEADER)
const cidAads: Buffer[] = []
const keySpaces = new Map<number, Buffer>()
const tags = new Map<number, { readonly authTagLength: number; readonly tag: Buffer }>()
/** For the content of records with a connection id, behind which its type is written. */
let innerSpace = Buffer.alloc(0)

/** Bytes of a record are few: a loop is faster than a call. */
const copy = (from: Uint8Array, start: number, length: number, to: Uint8Array, at: number): void => {
  for (let index = 0; index < length; index++) to[at + index] = from[start + index]!
}

/** A copy of the key, which `forgetKey` overwrites: ciphers take a whole Buffer. */
const keyOf = ({ aead: { keyLength }, secret }: DirectionKeys): Buffer => {
  let key = keySpaces.get(keyLength)
  if (key === undefined) keySpaces.set(keyLength, (key = Buffer.alloc(keyLength)))
  copy(secret, 0, keyLength, key, 0)
  return key
}

const tagOf = (length: number): { readonly authTagLength: number; readonly tag: Buffer } => {
  let tag = tags.get(length)
  if (tag === undefined) tags.set(length, (tag = { authTagLength: length, tag: Buffer.alloc(length) }))
  return tag
}

/** Epoch and record number are at bytes 3 to 10 of a record, and are the explicit nonce too. */
const fillNonce = ({ aead, secret }: DirectionKeys, record: Uint8Array, start: number): void => {
  const { keyLength, saltLength, explicitLength } = aead
  copy(secret, keyLength, saltLength, nonce, 0)
  if (explicitLength > 0) copy(record, start, explicitLength, nonce, saltLength)
  else for (let index = 0; index < 8; index++) nonce[4 + index]! ^= record[start + index]!
}

/** What is authenticated beside the content: RFC 6347 section 4.1.2.1, and RFC 9146 section 5.3 for a record with connection id. */
const additionalData = (record: Uint8Array, start: number, cidLength: number, length: number): Uint8Array => {
  if (cidLength === 0) {
    copy(record, start + 3, 8, aadSpace, 0)
    copy(record, start, 3, aadSpace, 8)
    aadSpace[11] = length >> 8
    aadSpace[12] = length
    return plainAad
  }
  aadSpace.fill(0xff, 0, 8)
  aadSpace[8] = CONTENT.CID
  aadSpace[9] = cidLength
  copy(record, start, 11 + cidLength, aadSpace, 10)
  aadSpace[21 + cidLength] = length >> 8
  aadSpace[22 + cidLength] = length
  return (cidAads[cidLength] ??= aadSpace.subarray(0, CID_AAD + cidLength))
}

/** The content with its type behind it (RFC 9146 section 4). */
const withType = (content: Uint8Array, type: number): Buffer => {
  const { length } = content
  if (innerSpace.length <= length) innerSpace = Buffer.alloc(2 * length + 64)
  const inner = innerSpace.subarray(0, length + 1)
  inner.set(content)
  inner[length] = type
  return inner
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
    const { aead } = this.keys
    const { explicitLength, tagLength } = aead
    const cid = this.#cid
    const header = RECORD_HEADER + cid.length
    const inner = cid.length === 0 ? content : withType(content, type)
    const record = Buffer.allocUnsafe(header + explicitLength + inner.length + tagLength)
    this.#writeHeader(record, cid.length === 0 ? type : CONTENT.CID)
    if (explicitLength > 0) copy(record, 3, 8, record, header)
    fillNonce(this.keys, record, 3)
    const key = keyOf(this.keys)
    const cipher = createCipheriv(aead.algorithm as CipherCCMTypes, key, nonce, tagOf(tagLength))
    key.fill(0)
    cipher.setAAD(additionalData(record, 0, cid.length, inner.length), { plaintextLength: inner.length })
    record.set(cipher.update(inner), header + explicitLength)
    cipher.final()
    copy(cipher.getAuthTag(), 0, tagLength, record, record.length - tagLength)
    return record
  }

  #writeHeader(record: Buffer, type: number): void {
    const cid = this.#cid
    const end = RECORD_HEADER + cid.length
    const sequence = this.#sequence++
    const high = Math.floor(sequence / HALF)
    record[0] = type
    record[1] = 0xfe
    record[2] = 0xfd
    record[3] = 0
    record[4] = 1
    record[5] = high >> 8
    record[6] = high
    record[7] = sequence >>> 24
    record[8] = sequence >>> 16
    record[9] = sequence >>> 8
    record[10] = sequence
    copy(cid, 0, cid.length, record, 11)
    record[end - 2] = (record.length - end) >> 8
    record[end - 1] = record.length - end
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
    const { aead } = this.keys
    const { explicitLength, tagLength } = aead
    const from = content + explicitLength
    const length = end - tagLength - from
    // Too short for a tag, or longer than a content (RFC 5246 section 6.2.3): no try to forge one.
    if (length < 0 || length > LARGEST_CONTENT + (this.usesCid ? 1 : 0)) return undefined
    // The explicit nonce is the peer's to choose (RFC 5288 section 3).
    fillNonce(this.keys, datagram, explicitLength > 0 ? content : start + 3)
    const expected = tagOf(tagLength)
    copy(datagram, end - tagLength, tagLength, expected.tag, 0)
    const key = keyOf(this.keys)
    const decipher = createDecipheriv(aead.algorithm as CipherGCMTypes as CipherCCMTypes, key, nonce, expected)
    key.fill(0)
    try {
      decipher.setAuthTag(expected.tag)
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
