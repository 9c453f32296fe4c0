/** Option numbers (RFC 7252 section 5.10, 7641, 7959, 7967, 8613, 8768, 9175, 9177). */
export const OPTION = {
  IF_MATCH: 1,
  URI_HOST: 3,
  ETAG: 4,
  IF_NONE_MATCH: 5,
  OBSERVE: 6,
  URI_PORT: 7,
  LOCATION_PATH: 8,
  URI_PATH: 11,
  CONTENT_FORMAT: 12,
  MAX_AGE: 14,
  URI_QUERY: 15,
  HOP_LIMIT: 16,
  ACCEPT: 17,
  LOCATION_QUERY: 20,
  BLOCK2: 23,
  BLOCK1: 27,
  SIZE2: 28,
  PROXY_URI: 35,
  PROXY_SCHEME: 39,
  SIZE1: 60,
  ECHO: 252,
  NO_RESPONSE: 258,
  REQUEST_TAG: 292
} as const

/** How the value of an option is read. */
export type OptionFormat = 'empty' | 'opaque' | 'uint' | 'string'

/** What the registry knows of an option. */
export interface OptionDefinition {
  readonly number: number
  readonly name: string
  readonly format: OptionFormat
  /** Bounds of the value's length in bytes; a value outside them makes the option unrecognised (RFC 7252 section 5.4.3). */
  readonly min: number
  readonly max: number
  readonly repeatable: boolean
}

const option = (number: number, name: string, format: OptionFormat, min: number, max: number, repeatable = false): OptionDefinition => ({
  number,
  name,
  format,
  min,
  max,
  repeatable
})

/** The options that this implementation recognises. */
export const OPTIONS: readonly OptionDefinition[] = [
  option(OPTION.IF_MATCH, 'If-Match', 'opaque', 0, 8, true),
  option(OPTION.URI_HOST, 'Uri-Host', 'string', 1, 255),
  option(OPTION.ETAG, 'ETag', 'opaque', 1, 8, true),
  option(OPTION.IF_NONE_MATCH, 'If-None-Match', 'empty', 0, 0),
  option(OPTION.OBSERVE, 'Observe', 'uint', 0, 3),
  option(OPTION.URI_PORT, 'Uri-Port', 'uint', 0, 2),
  option(OPTION.LOCATION_PATH, 'Location-Path', 'string', 0, 255, true),
  option(OPTION.URI_PATH, 'Uri-Path', 'string', 0, 255, true),
  option(OPTION.CONTENT_FORMAT, 'Content-Format', 'uint', 0, 2),
  option(OPTION.MAX_AGE, 'Max-Age', 'uint', 0, 4),
  option(OPTION.URI_QUERY, 'Uri-Query', 'string', 0, 255, true),
  option(OPTION.HOP_LIMIT, 'Hop-Limit', 'uint', 1, 1),
  option(OPTION.ACCEPT, 'Accept', 'uint', 0, 2),
  option(OPTION.LOCATION_QUERY, 'Location-Query', 'string', 0, 255, true),
  option(OPTION.BLOCK2, 'Block2', 'uint', 0, 3),
  option(OPTION.BLOCK1, 'Block1', 'uint', 0, 3),
  option(OPTION.SIZE2, 'Size2', 'uint', 0, 4),
  option(OPTION.PROXY_URI, 'Proxy-Uri', 'string', 1, 1034),
  option(OPTION.PROXY_SCHEME, 'Proxy-Scheme', 'string', 1, 255),
  option(OPTION.SIZE1, 'Size1', 'uint', 0, 4),
  option(OPTION.ECHO, 'Echo', 'opaque', 1, 40),
  option(OPTION.NO_RESPONSE, 'No-Response', 'uint', 0, 1),
  option(OPTION.REQUEST_TAG, 'Request-Tag', 'opaque', 0, 8, true)
]

const BY_NUMBER: (OptionDefinition | undefined)[] = []
for (const definition of OPTIONS) BY_NUMBER[definition.number] = definition

/** The definition of an option number, or undefined when it is not recognised. */
export const optionDefinition = (number: number): OptionDefinition | undefined => BY_NUMBER[number]

/** Odd numbers are critical: who does not recognise one must reject the message (RFC 7252 section 5.4.6). */
export const isCritical = (number: number): boolean => (number & 1) === 1

/** What an option can be set to; a number becomes the shortest big-endian bytes, text becomes UTF-8. */
export type OptionValue = Uint8Array | string | number

const NOTHING = new Uint8Array(0)
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A non-negative integer in the fewest big-endian bytes; zero is empty (RFC 7252 section 3.2). */
const encodeUint = (value: number): Uint8Array => {
  if (value === 0) return NOTHING
  let length = 1
  for (let rest = value; rest >= 256; rest = Math.floor(rest / 256)) length++
  const bytes = new Uint8Array(length)
  for (let i = length - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256
  return bytes
}

/** A big-endian integer of any length up to six bytes; leading zeros are accepted. */
export const decodeUint = (bytes: Uint8Array): number => {
  let value = 0
  for (let i = 0; i < bytes.length; i++) value = value * 256 + bytes[i]!
  return value
}

/** Text up to this length is written character by character, which is faster than the way into the runtime and back. */
const SHORT_TEXT = 48

/** The bytes of a text in UTF-8. */
export const encodeText = (text: string): Uint8Array => {
  const { length } = text
  if (length > SHORT_TEXT) return Buffer.from(text)
  const bytes = Buffer.allocUnsafe(length)
  for (let at = 0; at < length; at++) {
    const unit = text.charCodeAt(at)
    if (unit > 127) return Buffer.from(text)
    bytes[at] = unit
  }
  return bytes
}

/** The text of bytes, or undefined when they are not UTF-8. */
export const decodeText = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** The options of one message, in the order of their numbers; equal numbers keep the order in which they were added. */
export class Options implements Iterable<readonly [number: number, value: Uint8Array]> {
  readonly numbers: number[] = []
  readonly values: Uint8Array[] = []

  get size(): number {
    return this.numbers.length
  }

  /** Adds a value behind those that the option has. */
  add(number: number, value: OptionValue = NOTHING): this {
    const bytes = typeof value === 'number' ? encodeUint(value) : typeof value === 'string' ? encoder.encode(value) : value
    let at = this.numbers.length
    while (at > 0 && this.numbers[at - 1]! > number) at--
    if (at === this.numbers.length) {
      this.numbers.push(number)
      this.values.push(bytes)
    } else {
      this.numbers.splice(at, 0, number)
      this.values.splice(at, 0, bytes)
    }
    return this
  }

  /** Replaces every value of the option by one. */
  set(number: number, value: OptionValue = NOTHING): this {
    return this.delete(number).add(number, value)
  }

  delete(number: number): this {
    for (let at = this.numbers.indexOf(number); at >= 0; at = this.numbers.indexOf(number)) {
      this.numbers.splice(at, 1)
      this.values.splice(at, 1)
    }
    return this
  }

  has(number: number): boolean {
    return this.numbers.includes(number)
  }

  /** The first value of the option, as bytes. */
  get(number: number): Uint8Array | undefined {
    const at = this.numbers.indexOf(number)
    return at < 0 ? undefined : this.values[at]
  }

  getAll(number: number): Uint8Array[] {
    return this.values.filter((_, at) => this.numbers[at] === number)
  }

  /** The first value of the option, as an integer. */
  uint(number: number): number | undefined {
    const bytes = this.get(number)
    return bytes && decodeUint(bytes)
  }

  /** The first value of the option as text; undefined also when it is not UTF-8. */
  text(number: number): string | undefined {
    const bytes = this.get(number)
    return bytes && decodeText(bytes)
  }

  *[Symbol.iterator](): Iterator<readonly [number: number, value: Uint8Array]> {
    for (let at = 0; at < this.numbers.length; at++) yield [this.numbers[at]!, this.values[at]!]
  }
}

/** What Max-Age means when it is absent, in seconds (RFC 7252 section 5.10.5). */
export const DEFAULT_MAX_AGE = 60
