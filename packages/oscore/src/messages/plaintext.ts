import type { MessageOption, PlainMessage } from '@iopa/transport'

const PAYLOAD_MARKER = 0xff
const NOTHING = new Uint8Array(0)

/** Four bits of an option header, and how many bytes extend them (RFC 7252 section 3.1). */
const nibble = (value: number): number => (value < 13 ? value : value < 269 ? 13 : 14)
const extension = (value: number): number => (value < 13 ? 0 : value < 269 ? 1 : 2)

/** Writes the bytes that extend a nibble, and gives the place behind them. */
const extend = (bytes: Uint8Array, at: number, value: number): number => {
  if (value < 13) return at
  if (value < 269) bytes[at] = value - 13
  else {
    bytes[at] = (value - 269) >> 8
    bytes[at + 1] = (value - 269) & 0xff
  }
  return at + extension(value)
}

/** Code, options and payload as the bytes that are encrypted (RFC 8613 section 5.3). */
export const encodePlaintext = (code: number, options: readonly MessageOption[], payload: Uint8Array): Uint8Array => {
  let length = payload.length > 0 ? 2 + payload.length : 1
  let last = 0
  for (const [number, value] of options) {
    length += 1 + extension(number - last) + extension(value.length) + value.length
    last = number
  }
  const bytes = Buffer.allocUnsafe(length)
  bytes[0] = code
  let at = 1
  last = 0
  for (const [number, value] of options) {
    const delta = number - last
    last = number
    bytes[at++] = (nibble(delta) << 4) | nibble(value.length)
    at = extend(bytes, extend(bytes, at, delta), value.length)
    bytes.set(value, at)
    at += value.length
  }
  if (payload.length > 0) {
    bytes[at] = PAYLOAD_MARKER
    bytes.set(payload, at + 1)
  }
  return bytes
}

/** Reads what was encrypted; undefined if it is malformed. Values are views of `bytes`. */
export const decodePlaintext = (bytes: Uint8Array): PlainMessage | undefined => {
  if (bytes.length === 0) return undefined
  const options: MessageOption[] = []
  let at = 1
  let number = 0
  const read = (value: number): number => {
    if (value < 13) return value
    if (value === 13) return 13 + (bytes[at++] ?? Number.NaN)
    if (value === 15) return Number.NaN
    const high = bytes[at++] ?? Number.NaN
    return 269 + high * 0x100 + (bytes[at++] ?? Number.NaN)
  }
  while (at < bytes.length && bytes[at] !== PAYLOAD_MARKER) {
    const header = bytes[at++]!
    number += read(header >> 4)
    const length = read(header & 15)
    if (!(at + length <= bytes.length && number <= 0xffff)) return undefined
    options.push([number, bytes.subarray(at, at + length)])
    at += length
  }
  if (at === bytes.length) return { code: bytes[0]!, options, payload: NOTHING }
  // A marker without a payload is a format error (RFC 7252 section 3).
  return at + 1 === bytes.length ? undefined : { code: bytes[0]!, options, payload: bytes.subarray(at + 1) }
}
