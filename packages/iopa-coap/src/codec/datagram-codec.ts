import { type Message, TYPE } from './message.ts'
import type { OptionWriter } from './option-writer.ts'
import { Options } from './options.ts'

const NOTHING = new Uint8Array(0)
// Small messages come out of one slab; that is several times cheaper than an ArrayBuffer for each.
const allocate = (size: number): Uint8Array => Buffer.allocUnsafe(size)

/**
 * A message as it was received: token, options and payload are cut out of its bytes when somebody asks.
 * The bytes are never copied, so whoever makes one gives them away.
 */
export class ReceivedMessage implements Message {
  readonly type: number
  readonly code: number
  readonly id: number
  readonly bytes: Uint8Array
  readonly tokenStart: number
  /** Where the token ends and the options start. */
  readonly tokenEnd: number
  /** Where the options end: at the payload marker or at the end of the bytes. */
  readonly optionsEnd: number
  #options: Options | undefined

  constructor(type: number, code: number, id: number, bytes: Uint8Array, tokenStart: number, tokenEnd: number, optionsEnd: number) {
    this.type = type
    this.code = code
    this.id = id
    this.bytes = bytes
    this.tokenStart = tokenStart
    this.tokenEnd = tokenEnd
    this.optionsEnd = optionsEnd
  }

  get token(): Uint8Array {
    return this.bytes.subarray(this.tokenStart, this.tokenEnd)
  }

  get options(): Options {
    return (this.#options ??= readOptions(this.bytes, this.tokenEnd, this.optionsEnd))
  }

  get payload(): Uint8Array {
    return this.optionsEnd < this.bytes.length ? this.bytes.subarray(this.optionsEnd + 1) : NOTHING
  }
}

/** Why bytes are no message: `drop` says nothing to the peer, `reset` answers with RST and the id that could be read. */
export interface Malformed {
  readonly malformed: 'drop' | 'reset'
  readonly id: number
}

const DROP: Malformed = { malformed: 'drop', id: 0 }
const malformed = (type: number, id: number): Malformed => (type === TYPE.CON ? { malformed: 'reset', id } : DROP)

/**
 * Walks the options that start at `start` and returns where they end, at the payload marker or at the end of the bytes.
 * Returns -1 when they are malformed: a reserved nibble, a value past the end, a marker without payload, a number over 65535 (RFC 7252 section 3).
 */
export const scanOptions = (bytes: Uint8Array, start: number): number => {
  const end = bytes.length
  let at = start
  let number = 0
  while (at < end) {
    const head = bytes[at++]!
    if (head === 0xff) return at < end ? at - 1 : -1
    let delta = head >> 4
    let length = head & 15
    if (delta >= 13) {
      if (delta === 13) {
        if (at >= end) return -1
        delta = bytes[at++]! + 13
      } else if (delta === 14) {
        if (at + 1 >= end) return -1
        delta = ((bytes[at]! << 8) | bytes[at + 1]!) + 269
        at += 2
      } else return -1
    }
    if (length >= 13) {
      if (length === 13) {
        if (at >= end) return -1
        length = bytes[at++]! + 13
      } else if (length === 14) {
        if (at + 1 >= end) return -1
        length = ((bytes[at]! << 8) | bytes[at + 1]!) + 269
        at += 2
      } else return -1
    }
    number += delta
    at += length
    if (at > end || number > 65_535) return -1
  }
  return at
}

/** Cuts out the options between two offsets that scanOptions has found sound. */
export const readOptions = (bytes: Uint8Array, start: number, end: number): Options => {
  const options = new Options()
  let at = start
  let number = 0
  while (at < end) {
    const head = bytes[at++]!
    let delta = head >> 4
    let length = head & 15
    if (delta === 13) delta = bytes[at++]! + 13
    else if (delta === 14) {
      delta = ((bytes[at]! << 8) | bytes[at + 1]!) + 269
      at += 2
    }
    if (length === 13) length = bytes[at++]! + 13
    else if (length === 14) {
      length = ((bytes[at]! << 8) | bytes[at + 1]!) + 269
      at += 2
    }
    number += delta
    options.numbers.push(number)
    options.values.push(bytes.subarray(at, at + length))
    at += length
  }
  return options
}

/**
 * Reads a datagram. Never throws.
 * Another version than 1 is ignored in silence (RFC 7252 section 3); a malformed CON is to be reset, any other malformed message ignored (sections 4.2, 4.3).
 */
export const decode = (bytes: Uint8Array): ReceivedMessage | Malformed => {
  if (bytes.length < 4) return DROP
  const first = bytes[0]!
  if (first >> 6 !== 1) return DROP
  const type = (first >> 4) & 3
  const id = (bytes[2]! << 8) | bytes[3]!
  const code = bytes[1]!
  const tokenEnd = 4 + (first & 15)
  if (tokenEnd > 12 || tokenEnd > bytes.length) return malformed(type, id)
  // An Empty message has nothing after its id, section 4.1.
  if (code === 0 && bytes.length > 4) return malformed(type, id)
  const optionsEnd = scanOptions(bytes, tokenEnd)
  if (optionsEnd < 0) return malformed(type, id)
  return new ReceivedMessage(type, code, id, bytes, 4, tokenEnd, optionsEnd)
}

/** True for what decode could not read. */
export const isMalformed = (result: ReceivedMessage | Malformed): result is Malformed => 'malformed' in result

/** The bytes that an option takes, given the distance to the number before it. */
const sizeOfOption = (delta: number, length: number): number =>
  1 + (delta < 13 ? 0 : delta < 269 ? 1 : 2) + (length < 13 ? 0 : length < 269 ? 1 : 2) + length

/** The bytes that the options take. */
export const sizeOfOptions = (options: Options): number => {
  let size = 0
  let previous = 0
  for (let i = 0; i < options.numbers.length; i++) {
    const number = options.numbers[i]!
    size += sizeOfOption(number - previous, options.values[i]!.length)
    previous = number
  }
  return size
}

/** Writes the header of one option and returns where its value goes. */
export const writeOptionHeader = (target: Uint8Array, start: number, delta: number, length: number): number => {
  let at = start + 1
  let head = 0
  if (delta < 13) head = delta << 4
  else if (delta < 269) {
    head = 13 << 4
    target[at++] = delta - 13
  } else {
    head = 14 << 4
    target[at++] = (delta - 269) >> 8
    target[at++] = (delta - 269) & 255
  }
  if (length < 13) head |= length
  else if (length < 269) {
    head |= 13
    target[at++] = length - 13
  } else {
    head |= 14
    target[at++] = (length - 269) >> 8
    target[at++] = (length - 269) & 255
  }
  target[start] = head
  return at
}

/** Writes the options and returns where they end. */
export const writeOptions = (options: Options, target: Uint8Array, start: number): number => {
  let at = start
  let previous = 0
  for (let i = 0; i < options.numbers.length; i++) {
    const number = options.numbers[i]!
    const value = options.values[i]!
    at = writeOptionHeader(target, at, number - previous, value.length)
    for (let k = 0; k < value.length; k++) target[at++] = value[k]!
    previous = number
  }
  return at
}

/** Writes a message into one new buffer. */
export const encode = (message: Message): Uint8Array => {
  const { token, options, payload } = message
  const size = 4 + token.length + sizeOfOptions(options) + (payload.length > 0 ? payload.length + 1 : 0)
  const bytes = allocate(size)
  bytes[0] = 0x40 | (message.type << 4) | token.length
  bytes[1] = message.code
  bytes[2] = message.id >> 8
  bytes[3] = message.id & 255
  bytes.set(token, 4)
  const at = writeOptions(options, bytes, 4 + token.length)
  if (payload.length > 0) {
    bytes[at] = 0xff
    bytes.set(payload, at + 1)
  }
  return bytes
}

/** Writes a message whose token lies in other bytes and whose options are written already. */
export const encodeMessage = (
  type: number,
  code: number,
  id: number,
  tokenBytes: Uint8Array,
  tokenStart: number,
  tokenEnd: number,
  options: OptionWriter,
  payload: Uint8Array
): Uint8Array => {
  const tokenLength = tokenEnd - tokenStart
  const payloadLength = payload.length
  const bytes = allocate(4 + tokenLength + options.length + (payloadLength > 0 ? payloadLength + 1 : 0))
  bytes[0] = 0x40 | (type << 4) | tokenLength
  bytes[1] = code
  bytes[2] = id >> 8
  bytes[3] = id & 255
  let at = 4
  for (let i = tokenStart; i < tokenEnd; i++) bytes[at++] = tokenBytes[i]!
  const written = options.bytes
  for (let i = 0, length = options.length; i < length; i++) bytes[at++] = written[i]!
  if (payloadLength > 0) {
    bytes[at++] = 0xff
    if (payloadLength > 64) bytes.set(payload, at)
    else for (let i = 0; i < payloadLength; i++) bytes[at++] = payload[i]!
  }
  return bytes
}

/** The four bytes of an Empty message: an acknowledgement, a reset, or a ping. */
export const encodeEmpty = (type: number, id: number): Uint8Array => Uint8Array.of(0x40 | (type << 4), 0, id >> 8, id & 255)
