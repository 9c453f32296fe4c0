import { writeRest } from './datagram-codec.ts'
import { type Message, ReceivedMessage } from './message.ts'
import { scanOptions } from './option-walker.ts'
import type { Options } from './options.ts'
import { tokenEndAt, tokenNibble, tokenStartAt, writeTokenExtension } from './token-length.ts'

/** Size of a message that every peer takes before it has said otherwise, from the first to the last byte of its frame (RFC 8323 section 5.3.1). */
export const BASE_MESSAGE_SIZE = 1152

/** A frame that is longer than was agreed: what it would have been an answer to can be told, its body is skipped. */
interface OversizedFrame {
  readonly oversized: true
  readonly code: number
  readonly token: Uint8Array
  /** Bytes of the whole frame. */
  readonly size: number
}

/** Bytes that are no frame; the reader takes nothing after them and the connection is to be aborted (RFC 8323 section 5.6). */
interface MalformedFrame {
  readonly malformed: string
}

export type Frame = ReceivedMessage | OversizedFrame | MalformedFrame

/** True for a frame that holds a message. */
export const isMessage = (frame: Frame): frame is ReceivedMessage => frame instanceof ReceivedMessage

const NOTHING = new Uint8Array(0)

/**
 * Cuts a byte stream into messages, in whatever pieces it arrives (RFC 8323 section 3.2). Never throws and holds at most one incomplete frame.
 * Messages keep the chunks they came in, so the caller must not use a chunk for anything else.
 */
export class FrameReader {
  readonly #maxMessageSize: number
  #chunks: Uint8Array[] = []
  #buffered = 0
  /** Bytes that have to be there before looking again makes sense. */
  #needed = 2
  #skip = 0
  #broken = false

  /** `maxMessageSize` is what this side has announced, in bytes. */
  constructor(maxMessageSize: number) {
    this.#maxMessageSize = maxMessageSize
  }

  /** The frames that a chunk completes. */
  push(chunk: Uint8Array): Frame[] {
    const frames: Frame[] = []
    if (this.#broken) return frames
    let bytes = chunk
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, bytes.length)
      this.#skip -= skipped
      bytes = bytes.subarray(skipped)
    }
    if (bytes.length === 0) return frames
    this.#chunks.push(bytes)
    this.#buffered += bytes.length
    if (this.#buffered < this.#needed) return frames
    this.#keep(this.#read(this.#joined(), frames))
    return frames
  }

  /** Bytes that are held because their frame is not complete. */
  get buffered(): number {
    return this.#buffered
  }

  /** True while the rest of a frame is awaited. */
  get incomplete(): boolean {
    return !this.#broken && (this.#buffered > 0 || this.#skip > 0)
  }

  #read(bytes: Uint8Array, frames: Frame[]): Uint8Array {
    let at = 0
    while (bytes.length - at >= 2) {
      const head = bytes[at]!
      const nibble = head >> 4
      // RFC 8974 section 2.1: the length 15 is a message format error.
      if ((head & 15) === 15) return this.#break(frames, 'a reserved token length')
      const extended = nibble < 13 ? 0 : nibble === 13 ? 1 : nibble === 14 ? 2 : 4
      const tokenStart = tokenStartAt(head, at + 2 + extended)
      const tokenEnd = bytes.length < tokenStart ? tokenStart : tokenEndAt(bytes, head, tokenStart)
      // An answer would have the token, so it would be over the size too.
      if (tokenEnd - at > this.#maxMessageSize) return this.#break(frames, 'a token that is longer than a message')
      if (bytes.length < tokenEnd) {
        this.#needed = tokenEnd - at
        return bytes.subarray(at)
      }
      const end = tokenEnd + lengthAt(bytes, at + 1, nibble)
      const code = bytes[at + 1 + extended]!
      if (end - at > this.#maxMessageSize) {
        frames.push({ oversized: true, code, token: bytes.slice(tokenStart, tokenEnd), size: end - at })
        this.#skip = Math.max(0, end - bytes.length)
        at = Math.min(end, bytes.length)
        continue
      }
      if (end > bytes.length) {
        this.#needed = end - at
        return bytes.subarray(at)
      }
      const frame = bytes.subarray(at, end)
      const optionsEnd = scanOptions(frame, tokenEnd - at)
      if (optionsEnd < 0) return this.#break(frames, 'options that cannot be read')
      frames.push(new ReceivedMessage(frame, code, tokenStart - at, tokenEnd - at, optionsEnd))
      at = end
    }
    this.#needed = 2
    return bytes.subarray(at)
  }

  #break(frames: Frame[], malformed: string): Uint8Array {
    this.#broken = true
    frames.push({ malformed })
    return NOTHING
  }

  #joined(): Uint8Array {
    if (this.#chunks.length === 1) return this.#chunks[0]!
    const bytes = new Uint8Array(this.#buffered)
    let at = 0
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    return bytes
  }

  #keep(rest: Uint8Array): void {
    this.#chunks = rest.length > 0 ? [rest] : []
    this.#buffered = rest.length
  }
}

function lengthAt(bytes: Uint8Array, at: number, nibble: number): number {
  if (nibble < 13) return nibble
  if (nibble === 13) return bytes[at]! + 13
  if (nibble === 14) return bytes[at]! * 256 + bytes[at + 1]! + 269
  return bytes[at]! * 0x100_0000 + bytes[at + 1]! * 0x1_0000 + bytes[at + 2]! * 0x100 + bytes[at + 3]! + 65_805
}

/** A message over TCP, which has no type and no id. */
export type FrameMessage = Pick<Message, 'code' | 'token' | 'options' | 'payload'>

/** Bytes that a message takes as a frame. */
export function sizeOfFrame({ token, options, payload }: FrameMessage): number {
  const body = sizeOfBody(options, payload)
  return tokenStartAt(tokenNibble(token.length), 2 + extendedSize(body)) + token.length + body
}

/** Writes a message as a frame into one new buffer. */
export function encodeFrame({ code, token, options, payload }: FrameMessage): Uint8Array {
  const body = sizeOfBody(options, payload)
  const extended = extendedSize(body)
  const nibble = tokenNibble(token.length)
  const start = tokenStartAt(nibble, 2 + extended)
  const bytes = new Uint8Array(start + token.length + body)
  bytes[0] = ((extended === 0 ? body : extended === 4 ? 15 : 12 + extended) << 4) | nibble
  if (extended === 1) bytes[1] = body - 13
  else if (extended > 0) {
    const rest = body - (extended === 2 ? 269 : 65_805)
    for (let i = 0; i < extended; i++) bytes[extended - i] = (rest / 256 ** i) & 255
  }
  bytes[1 + extended] = code
  writeTokenExtension(bytes, start, token.length)
  bytes.set(token, start)
  writeRest(bytes, start + token.length, options, payload)
  return bytes
}

const sizeOfBody = (options: Options, payload: Uint8Array): number => options.length + (payload.length > 0 ? payload.length + 1 : 0)

const extendedSize = (body: number): number => (body < 13 ? 0 : body < 269 ? 1 : body < 65_805 ? 2 : 4)
