import { numberBytes } from '../bytes.ts'

/** Content types of records (RFC 5246 section 6.2.1, RFC 9146 section 4). */
export const CONTENT = { CHANGE_CIPHER_SPEC: 20, ALERT: 21, HANDSHAKE: 22, APPLICATION_DATA: 23, CID: 25 } as const

/** Bytes before the fragment of a record without connection id. */
export const RECORD_HEADER = 13
/** Bytes of our own connection ids. All have the same length, since a record does not say how long its id is (RFC 9146 section 3). */
export const CID_LENGTH = 8
/** Bytes of content that a record may carry (RFC 5246 section 6.2.1). */
export const LARGEST_CONTENT: number = 2 ** 14
/** The expansion that a protected record may have (RFC 5246 section 6.2.3). */
const LARGEST_EXPANSION = 2048
/** Record numbers have 48 bits; the last ones are left unused, so that the end can still be announced. */
export const MOST_RECORDS: number = 2 ** 48 - 2 ** 16

const CID_OFFSET = 11

/** A record inside a datagram; nothing of it is checked but its lengths and its major version. */
export interface ReceivedRecord {
  readonly type: number
  readonly version: number
  readonly epoch: number
  readonly sequence: number
  /** The datagram, and where the record begins, its fragment begins, and it ends. */
  readonly datagram: Uint8Array
  readonly start: number
  readonly content: number
  readonly end: number
}

/** The record at an offset of a datagram; undefined where there is none, or what is there is no record: the rest of the datagram is then ignored. */
export const readRecord = (datagram: Uint8Array, start: number): ReceivedRecord | undefined => {
  const type = datagram[start]!
  const content = start + RECORD_HEADER + (type === CONTENT.CID ? CID_LENGTH : 0)
  if (content > datagram.length || datagram[start + 1] !== 0xfe) return undefined
  const length = (datagram[content - 2]! << 8) | datagram[content - 1]!
  const end = content + length
  if (length > LARGEST_CONTENT + LARGEST_EXPANSION || end > datagram.length) return undefined
  const high = (datagram[start + 5]! << 8) | datagram[start + 6]!
  const low = ((datagram[start + 7]! << 24) | (datagram[start + 8]! << 16) | (datagram[start + 9]! << 8) | datagram[start + 10]!) >>> 0
  return {
    type,
    version: 0xfe00 | datagram[start + 2]!,
    epoch: (datagram[start + 3]! << 8) | datagram[start + 4]!,
    // Most numbers are small: V8 keeps them without an object.
    sequence: high === 0 ? low : high * 2 ** 32 + low,
    datagram,
    start,
    content,
    end
  }
}

/** What a record carries, as a view of its datagram. */
export const contentOf = ({ datagram, content, end }: ReceivedRecord): Uint8Array => datagram.subarray(content, end)

/** The connection id of a record of type `CID`, as a key of maps. */
export const cidOf = ({ datagram, start }: ReceivedRecord): string => cidKey(datagram.subarray(start + CID_OFFSET, start + CID_OFFSET + CID_LENGTH))

/** A connection id as a key of maps. */
export const cidKey = (cid: Uint8Array): string => Buffer.from(cid.buffer, cid.byteOffset, cid.length).toString('latin1')

/** A record of epoch 0, without protection. */
export const plainRecord = (type: number, version: number, sequence: number, content: Uint8Array): Buffer => {
  const record = Buffer.allocUnsafe(RECORD_HEADER + content.length)
  record.writeUInt8(type, 0)
  record.writeUInt16BE(version, 1)
  record.writeUInt16BE(0, 3)
  record.set(numberBytes(sequence, 6), 5)
  record.writeUInt16BE(content.length, 11)
  record.set(content, RECORD_HEADER)
  return record
}
