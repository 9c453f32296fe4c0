import { isUtf8 } from 'node:buffer'

/** True when the bytes are a UTF-8 string of MQTT: well formed, without surrogates, without U+0000 (MQTT 5 section 1.5.4). */
export function isMqttString(bytes: Buffer, start: number, end: number): boolean {
  let ascii = true
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    if (byte === 0) return false
    if (byte > 127) ascii = false
  }
  return ascii || isUtf8(bytes.subarray(start, end))
}

/** The text as a string that every client takes: without control characters, of which U+0000 ends a connection (MQTT 5 section 1.5.4). */
export const printable = (text: string): string => text.replace(/\p{Cc}/gu, ' ')

/** The bytes as a Buffer over the same memory. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
