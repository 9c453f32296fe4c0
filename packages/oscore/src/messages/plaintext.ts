import type { MessageOption, PlainMessage } from '@iopa/transport'

const PAYLOAD_MARKER = 0xff
const NOTHING = new Uint8Array(0)

/** Four bits of an option header, and the bytes that extend them (RFC 7252 section 3.1). */
const nibble = (value: number): number => (value < 13 ? value : value < 269 ? 13 : 14)
const extended = (value: number): number[] => {
  if (value < 13) return []
  return value < 269 ? [value - 13] : [(value - 269) >> 8, (value - 269) & 0xff]
}

/** Code, options and payload as the bytes that are encrypted (RFC 8613 section 5.3). */
export const encodePlaintext = (code: number, options: readonly MessageOption[], payload: Uint8Array): Uint8Array => {
  const parts: Uint8Array[] = [Uint8Array.of(code)]
  let last = 0
  for (const [number, value] of options) {
    const delta = number - last
    last = number
    parts.push(Uint8Array.of((nibble(delta) << 4) | nibble(value.length), ...extended(delta), ...extended(value.length)), value)
  }
  if (payload.length > 0) parts.push(Uint8Array.of(PAYLOAD_MARKER), payload)
  return Buffer.concat(parts)
}

/** Reads what was encrypted; undefined if it is malformed. Values are views of `bytes`. */
export const decodePlaintext = (bytes: Uint8Array): PlainMessage | undefined => {
  if (bytes.length === 0) return undefined
  const options: MessageOption[] = []
  let at = 1
  let number = 0
  const extend = (value: number): number => {
    if (value < 13) return value
    if (value === 13) return 13 + (bytes[at++] ?? Number.NaN)
    if (value === 15) return Number.NaN
    const high = bytes[at++] ?? Number.NaN
    return 269 + high * 0x100 + (bytes[at++] ?? Number.NaN)
  }
  while (at < bytes.length && bytes[at] !== PAYLOAD_MARKER) {
    const header = bytes[at++]!
    number += extend(header >> 4)
    const length = extend(header & 15)
    if (!(at + length <= bytes.length && number <= 0xffff)) return undefined
    options.push([number, bytes.subarray(at, at + length)])
    at += length
  }
  if (at === bytes.length) return { code: bytes[0]!, options, payload: NOTHING }
  // A marker without a payload is a format error (RFC 7252 section 3).
  return at + 1 === bytes.length ? undefined : { code: bytes[0]!, options, payload: bytes.subarray(at + 1) }
}
