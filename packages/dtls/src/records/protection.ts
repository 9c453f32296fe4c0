import { CID_LENGTH, CONTENT, LARGEST_CONTENT, MOST_RECORDS, RECORD_HEADER, type ReceivedRecord } from './record.ts'
import { copyBytes, type DirectionKeys } from './record-cipher.ts'
import { ReplayWindow } from './replay-window.ts'

/** The content of a record that was authentic. */
export interface OpenedRecord {
  readonly type: number
  readonly content: Uint8Array
}

/** Sequence numbers are put together from two halves. */
const HALF = 2 ** 32

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
    const { aead } = this.keys.cipher
    return RECORD_HEADER + aead.explicitLength + aead.tagLength + (this.#cid.length > 0 ? this.#cid.length + 1 : 0)
  }

  /** No record is left but the alert that says so. */
  get isExhausted(): boolean {
    return this.#sequence >= MOST_RECORDS
  }

  /** A whole record. */
  seal(type: number, content: Uint8Array): Buffer {
    const { keys } = this
    const { cipher } = keys
    const { explicitLength, tagLength } = cipher.aead
    const cid = this.#cid
    const header = RECORD_HEADER + cid.length
    const inner = cid.length === 0 ? content : cipher.withType(content, type)
    const record = Buffer.allocUnsafe(header + explicitLength + inner.length + tagLength)
    this.#writeHeader(record, cid.length === 0 ? type : CONTENT.CID)
    cipher.seal(keys, record, header, cid.length, inner)
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
    copyBytes(cid, 0, cid.length, record, 11)
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
    return this.#failures >= this.keys.cipher.aead.mostFailures
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
    const { keys, usesCid } = this
    const { explicitLength, tagLength } = keys.cipher.aead
    const length = end - content - explicitLength - tagLength
    // Too short for a tag, or longer than a content (RFC 5246 section 6.2.3): no try to forge one.
    if (length < 0 || length > LARGEST_CONTENT + (usesCid ? 1 : 0)) return undefined
    const plain = keys.cipher.open(keys, datagram, start, content, end, usesCid ? CID_LENGTH : 0)
    if (plain === undefined) this.#failures++
    return plain
  }
}
