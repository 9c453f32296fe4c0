/** A document, or a tombstone, as it is stored. */
export interface DocumentRecord {
  readonly version: number
  readonly changed: number
  /** The version of the contract that its state has the shape of. */
  readonly shape: number
  readonly state?: unknown
  /** True for a tombstone. */
  readonly gone?: true
}

/*
 * A value is one format byte, the CRC-32 of the key and of all that follows it, and JSON.
 */
const FORMAT = 1
const HEADER = 5
const ROOM = ' '.repeat(HEADER)
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

/** The value under a key. */
export const encodeRecord = (key: string, record: object): Uint8Array => {
  // Encoded with room for the header in front, so that nothing is copied.
  const value = encoder.encode(ROOM + JSON.stringify(record))
  const sum = crc32(value, crc32(encoder.encode(key)), HEADER)
  value[0] = FORMAT
  value[1] = sum >>> 24
  value[2] = sum >>> 16
  value[3] = sum >>> 8
  value[4] = sum
  return value
}

/** What stands under a key. @throws Error that says what is wrong with it. */
export const decodeRecord = (key: string, value: Uint8Array): unknown => {
  if (value[0] !== FORMAT || value.length < HEADER) throw new Error(`the record has an unknown format in its ${value.length} bytes`)
  const json = value.subarray(HEADER)
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  if (view.getUint32(1) !== crc32(json, crc32(encoder.encode(key)))) throw new Error('the record is damaged: its checksum does not fit')
  return JSON.parse(decoder.decode(json))
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

/** CRC-32 (ISO 3309) of the bytes from `start`, behind those of which `before` is the sum. */
const crc32 = (bytes: Uint8Array, before = 0, start = 0): number => {
  let crc = ~before
  for (let at = start; at < bytes.length; at++) crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[at] as number)) & 255] as number)
  return ~crc >>> 0
}
