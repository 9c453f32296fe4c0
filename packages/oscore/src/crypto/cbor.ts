/** The encodings of CBOR (RFC 8949) that OSCORE needs: byte strings, text, small integers, arrays, null. */

const BYTES = 2
const TEXT = 3
const ARRAY = 4

/** `null`. */
export const CBOR_NULL: Uint8Array = Uint8Array.of(0xf6)

const head = (major: number, value: number): number[] => {
  const first = major << 5
  if (value < 24) return [first | value]
  if (value < 0x100) return [first | 24, value]
  return [first | 25, value >> 8, value & 0xff]
}

/** A byte string of at most 65,535 bytes. */
export const cborBytes = (bytes: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.from(head(BYTES, bytes.length)), bytes])

export const cborText = (text: string): Uint8Array => {
  const bytes = Buffer.from(text)
  return Buffer.concat([Uint8Array.from(head(TEXT, bytes.length)), bytes])
}

/** An integer from 0 to 65,535. */
export const cborInteger = (value: number): Uint8Array => Uint8Array.from(head(0, value))

/** An array of items that are encoded already. */
export const cborArray = (...items: readonly Uint8Array[]): Uint8Array => Buffer.concat([Uint8Array.from(head(ARRAY, items.length)), ...items])

/** The content of `bytes` if they are one byte string of fewer than 256 bytes in its shortest form, and nothing else; else undefined. */
export const decodeCborBytes = (bytes: Uint8Array): Uint8Array | undefined => {
  const [first = 0, length = 0] = bytes
  if (first >> 5 !== BYTES) return undefined
  const short = first & 31
  if (short < 24) return bytes.length === 1 + short ? bytes.subarray(1) : undefined
  return short === 24 && length >= 24 && bytes.length === 2 + length ? bytes.subarray(2) : undefined
}
