import { IopaError } from '@iopa/transport'
import { type CborKey, CborTag, type CborValue } from './cbor.ts'

/** Bounds of what is read. */
export interface CborLimits {
  /** Arrays, maps and tags inside each other; 16 by default. */
  readonly depth?: number
  /** Values in all, keys included; 4,096 by default. */
  readonly values?: number
}

// Major types, RFC 8949 section 3.1.
const UNSIGNED = 0
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const TAG = 6
const SIMPLE = 7

const INDEFINITE = 31
const BREAK = 0xff

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads one value that takes all the bytes; maps come back as Map, tags as CborTag. Throws a 400 for anything that is not well-formed or over the limits. */
export function decodeCbor(bytes: Uint8Array, limits: CborLimits = {}): CborValue {
  const reader = new CborReader(bytes, limits.values ?? 4096)
  const value = reader.value(limits.depth ?? 16)
  if (reader.at !== bytes.length) malformed('there are bytes behind the value')
  return value
}

function malformed(why: string): never {
  throw new IopaError(400, 'malformed-cbor', `The CBOR cannot be read: ${why}`)
}

class CborReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #left: number
  at = 0

  constructor(bytes: Uint8Array, values: number) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#left = values
  }

  value(depth: number): CborValue {
    if (depth < 0) malformed('it is nested too deep')
    if (this.#left-- === 0) malformed('it holds too many values')
    const initial = this.#byte()
    const major = initial >> 5
    const info = initial & 31
    if (info >= 28 && info < INDEFINITE) malformed(`byte ${initial} is reserved`)
    if (major === SIMPLE) return this.#simple(info)
    if (info === INDEFINITE) {
      if (major === ARRAY) return this.#array(undefined, depth)
      if (major === MAP) return this.#map(undefined, depth)
      if (major === BYTES || major === TEXT) return this.#chunks(major)
      return malformed(`byte ${initial} has no length`)
    }
    const argument = this.#argument(info)
    if (major === UNSIGNED) return argument
    if (major === NEGATIVE) return typeof argument === 'bigint' || argument === Number.MAX_SAFE_INTEGER ? -1n - BigInt(argument) : -1 - argument
    // Every item takes a byte at least, so no count can be larger than what is left.
    if (typeof argument === 'bigint' || (major !== TAG && argument > this.#bytes.length - this.at)) malformed('it ends too early')
    if (major === BYTES) return this.#take(argument).slice()
    if (major === TEXT) return this.#text(this.#take(argument))
    if (major === ARRAY) return this.#array(argument, depth)
    if (major === MAP) return this.#map(argument, depth)
    return new CborTag(argument, this.value(depth - 1))
  }

  #array(length: number | undefined, depth: number): CborValue[] {
    const array: CborValue[] = []
    while (!this.#ends(array.length, length)) array.push(this.value(depth - 1))
    return array
  }

  #map(size: number | undefined, depth: number): Map<CborKey, CborValue> {
    const map = new Map<CborKey, CborValue>()
    while (!this.#ends(map.size, size)) {
      const key = this.value(depth - 1)
      if (typeof key !== 'string' && !Number.isSafeInteger(key)) malformed('a map has a key that is neither text nor an integer')
      if (map.has(key as CborKey)) malformed('a map has a key twice')
      map.set(key as CborKey, this.value(depth - 1))
    }
    return map
  }

  #ends(count: number, length: number | undefined): boolean {
    if (length !== undefined) return count === length
    if (this.#bytes[this.at] !== BREAK) return false
    this.at++
    return true
  }

  /** A string of indefinite length: definite ones of the same kind until the break (RFC 8949 section 3.2.3). */
  #chunks(major: number): CborValue {
    const parts: Uint8Array[] = []
    let size = 0
    while (!this.#ends(0, undefined)) {
      if (this.#left-- === 0) malformed('it holds too many values')
      const initial = this.#byte()
      const info = initial & 31
      if (initial >> 5 !== major || info >= 28) malformed('a string is put together from something else')
      const length = this.#argument(info)
      if (typeof length === 'bigint') malformed('it ends too early')
      const part = this.#take(length)
      // Each chunk of text is text in itself.
      if (major === TEXT) this.#text(part)
      parts.push(part)
      size += length
    }
    const whole = new Uint8Array(size)
    let at = 0
    for (const part of parts) {
      whole.set(part, at)
      at += part.length
    }
    return major === TEXT ? this.#text(whole) : whole
  }

  #simple(info: number): CborValue {
    if (info === 20) return false
    if (info === 21) return true
    if (info === 22) return null
    if (info === 23) return undefined
    if (info === 25) return fromHalf(this.#view.getUint16(this.#skip(2)))
    if (info === 26) return this.#view.getFloat32(this.#skip(4))
    if (info === 27) return this.#view.getFloat64(this.#skip(8))
    return malformed(info === INDEFINITE ? 'a break stands alone' : 'it has a simple value that nobody defined')
  }

  #argument(info: number): number | bigint {
    if (info < 24) return info
    if (info === 24) return this.#byte()
    if (info === 25) return this.#view.getUint16(this.#skip(2))
    if (info === 26) return this.#view.getUint32(this.#skip(4))
    const argument = this.#view.getBigUint64(this.#skip(8))
    return argument <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(argument) : argument
  }

  #byte(): number {
    return this.#bytes[this.#skip(1)]!
  }

  #take(length: number): Uint8Array {
    const start = this.#skip(length)
    return this.#bytes.subarray(start, start + length)
  }

  #skip(length: number): number {
    const start = this.at
    if (length > this.#bytes.length - start) malformed('it ends too early')
    this.at += length
    return start
  }

  #text(bytes: Uint8Array): string {
    try {
      return decoder.decode(bytes)
    } catch {
      return malformed('a text is not UTF-8')
    }
  }
}

function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31
  const mantissa = bits & 1023
  const magnitude =
    exponent === 31 ? (mantissa ? Number.NaN : Number.POSITIVE_INFINITY) : exponent ? (1024 + mantissa) * 2 ** (exponent - 25) : mantissa * 2 ** -24
  return bits & 0x8000 ? -magnitude : magnitude
}
