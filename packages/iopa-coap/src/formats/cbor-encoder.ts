import { type CborKey, type CborObject, CborTag, type CborValue } from './cbor.ts'

// Major types, RFC 8949 section 3.1.
const UNSIGNED = 0
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const TAG = 6

const encoder = new TextEncoder()

/** Writes a value in preferred serialization: shortest integers and floats, definite lengths (RFC 8949 section 4.1). Throws for what CBOR has no form for. */
export function encodeCbor(value: CborValue): Uint8Array {
  const writer = new CborWriter()
  writer.value(value, 0)
  return writer.finish()
}

class CborWriter {
  #bytes = new Uint8Array(64)
  #view = new DataView(this.#bytes.buffer)
  #at = 0

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#at)
  }

  value(value: CborValue, depth: number): void {
    if (depth > 64) throw new RangeError('CBOR is nested over 64 levels: a value contains itself')
    if (typeof value === 'number') this.#number(value)
    else if (typeof value === 'bigint') this.#bigint(value)
    else if (typeof value === 'string') this.#string(TEXT, encoder.encode(value))
    else if (value === false) this.#byte(0xf4)
    else if (value === true) this.#byte(0xf5)
    else if (value === null) this.#byte(0xf6)
    else if (value === undefined) this.#byte(0xf7)
    else if (value instanceof Uint8Array) this.#string(BYTES, value)
    else if (Array.isArray(value)) {
      this.#head(ARRAY, value.length)
      for (const item of value) this.value(item, depth + 1)
    } else if (value instanceof Map) this.#map([...value], depth)
    else if (typeof value !== 'object') throw new TypeError(`CBOR has no form for a ${typeof value}`)
    else if (value instanceof CborTag) {
      this.#head(TAG, value.tag)
      this.value(value.value, depth + 1)
    } else
      this.#map(
        Object.entries(value as CborObject).filter(([, member]) => member !== undefined),
        depth
      )
  }

  #map(entries: readonly (readonly [CborKey, CborValue])[], depth: number): void {
    this.#head(MAP, entries.length)
    for (const [key, member] of entries) {
      this.value(key, depth + 1)
      this.value(member, depth + 1)
    }
  }

  #number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      this.#head(value < 0 ? NEGATIVE : UNSIGNED, value < 0 ? -1 - value : value)
      return
    }
    const half = toHalf(value)
    if (half >= 0) {
      this.#room(3)
      this.#bytes[this.#at++] = 0xf9
      this.#view.setUint16(this.#at, half)
      this.#at += 2
    } else if (Math.fround(value) === value) {
      this.#room(5)
      this.#bytes[this.#at++] = 0xfa
      this.#view.setFloat32(this.#at, value)
      this.#at += 4
    } else {
      this.#room(9)
      this.#bytes[this.#at++] = 0xfb
      this.#view.setFloat64(this.#at, value)
      this.#at += 8
    }
  }

  #bigint(value: bigint): void {
    const argument = value < 0n ? -1n - value : value
    if (argument >= 1n << 64n) throw new RangeError('CBOR integers end at 64 bits')
    if (argument <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.#head(value < 0n ? NEGATIVE : UNSIGNED, Number(argument))
      return
    }
    this.#room(9)
    this.#bytes[this.#at++] = ((value < 0n ? NEGATIVE : UNSIGNED) << 5) | 27
    this.#view.setBigUint64(this.#at, argument)
    this.#at += 8
  }

  #string(major: number, bytes: Uint8Array): void {
    this.#head(major, bytes.length)
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #head(major: number, argument: number): void {
    this.#room(9)
    const initial = major << 5
    if (argument < 24) this.#bytes[this.#at++] = initial | argument
    else if (argument < 0x100) {
      this.#bytes[this.#at++] = initial | 24
      this.#bytes[this.#at++] = argument
    } else if (argument < 0x1_0000) {
      this.#bytes[this.#at++] = initial | 25
      this.#view.setUint16(this.#at, argument)
      this.#at += 2
    } else if (argument < 0x1_0000_0000) {
      this.#bytes[this.#at++] = initial | 26
      this.#view.setUint32(this.#at, argument)
      this.#at += 4
    } else {
      this.#bytes[this.#at++] = initial | 27
      this.#view.setBigUint64(this.#at, BigInt(argument))
      this.#at += 8
    }
  }

  #byte(byte: number): void {
    this.#room(1)
    this.#bytes[this.#at++] = byte
  }

  #room(more: number): void {
    if (this.#at + more <= this.#bytes.length) return
    const bytes = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + more))
    bytes.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }
}

/** The half-precision bits of a number, or -1 when they would not hold all of it (RFC 8949 appendix D). */
function toHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude === Number.POSITIVE_INFINITY) return sign | 0x7c00
  if (magnitude === 0) return sign
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), -14)
  const mantissa = magnitude * 2 ** (10 - exponent)
  if (exponent > 15 || !Number.isInteger(mantissa) || mantissa >= 2048) return -1
  return mantissa < 1024 ? sign | mantissa : sign | ((exponent + 15) << 10) | (mantissa - 1024)
}
