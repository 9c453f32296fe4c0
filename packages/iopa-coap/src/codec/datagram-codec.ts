import { type Message, ReceivedMessage, TYPE } from './message.ts'
import { scanOptions } from './option-walker.ts'
import type { Options } from './options.ts'
import { tokenEndAt, tokenNibble, tokenStartAt, writeTokenExtension } from './token-length.ts'

// Small messages come out of one slab; that is several times cheaper than an ArrayBuffer for each.
const allocate = (size: number): Uint8Array => Buffer.allocUnsafe(size)

/** Why bytes are no message: `drop` says nothing to the peer, `reset` answers with RST and the id that could be read. */
export interface Malformed {
  readonly malformed: 'drop' | 'reset'
  readonly id: number
}

const DROP: Malformed = { malformed: 'drop', id: 0 }
const malformed = (type: number, id: number): Malformed => (type === TYPE.CON ? { malformed: 'reset', id } : DROP)

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
  const tokenStart = tokenStartAt(first, 4)
  const tokenEnd = tokenEndAt(bytes, first, tokenStart)
  if (tokenEnd > bytes.length) return malformed(type, id)
  // An Empty message has nothing after its id, section 4.1.
  if (code === 0 && bytes.length > 4) return malformed(type, id)
  const optionsEnd = scanOptions(bytes, tokenEnd)
  if (optionsEnd < 0) return malformed(type, id)
  const message = new ReceivedMessage(bytes, code, tokenStart, tokenEnd, optionsEnd)
  message.type = type
  message.id = id
  return message
}

/** True for what decode could not read. */
export const isMalformed = (result: ReceivedMessage | Malformed): result is Malformed => 'malformed' in result

/** Writes a message into one new buffer. */
export const encode = ({ type, code, id, token, options, payload }: Message): Uint8Array => {
  const nibble = tokenNibble(token.length)
  const start = tokenStartAt(nibble, 4)
  const bytes = allocate(start + token.length + options.length + (payload.length > 0 ? payload.length + 1 : 0))
  bytes[0] = 0x40 | (type << 4) | nibble
  bytes[1] = code
  bytes[2] = id >> 8
  bytes[3] = id & 255
  writeTokenExtension(bytes, start, token.length)
  bytes.set(token, start)
  writeRest(bytes, start + token.length, options, payload)
  return bytes
}

/** Writes a message with the token of a request. */
export const encodeReply = (request: ReceivedMessage, type: number, id: number, code: number, options: Options, payload: Uint8Array): Uint8Array => {
  const { bytes: source, tokenEnd } = request
  const nibble = tokenNibble(tokenEnd - request.tokenStart)
  // The length of a longer token is written as the request has it; a frame has it in the same form.
  const tokenStart = request.tokenStart - (tokenStartAt(nibble, 4) - 4)
  const bytes = allocate(4 + tokenEnd - tokenStart + options.end - options.start + (payload.length > 0 ? payload.length + 1 : 0))
  bytes[0] = 0x40 | (type << 4) | nibble
  bytes[1] = code
  bytes[2] = id >> 8
  bytes[3] = id & 255
  let at = 4
  for (let from = tokenStart; from < tokenEnd; from++) bytes[at++] = source[from]!
  writeRest(bytes, at, options, payload)
  return bytes
}

/** Writes options and payload; short ones byte by byte, which is faster than a call into the runtime. */
export const writeRest = (bytes: Uint8Array, start: number, options: Options, payload: Uint8Array): void => {
  let at = start
  for (let from = options.start, { bytes: source, end } = options; from < end; from++) bytes[at++] = source[from]!
  const { length } = payload
  if (length === 0) return
  bytes[at++] = 0xff
  if (length > 64) bytes.set(payload, at)
  else for (let i = 0; i < length; i++) bytes[at++] = payload[i]!
}

/** The four bytes of an Empty message: an acknowledgement, a reset, or a ping. */
export const encodeEmpty = (type: number, id: number): Uint8Array => Uint8Array.of(0x40 | (type << 4), 0, id >> 8, id & 255)
