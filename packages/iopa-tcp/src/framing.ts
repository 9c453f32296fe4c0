import { IopaError } from '@iopa/transport'

/** Cuts one stream of bytes into frames; pure, so that it needs no socket. */
export interface FrameReader {
  /** Bytes held of a frame whose end has not come yet. */
  readonly pending: number
  /** Bytes of memory that these take; `pending` unless given. */
  readonly room?: number
  /** True when the frame that `next()` gave last was over the limit, and is only its end. */
  readonly overlong?: boolean
  /** Takes the next bytes of the stream; to be called only when `next()` has given null. */
  push(chunk: Uint8Array): void
  /** The next whole frame, or null when more bytes are needed; throws an IopaError after which the stream cannot go on. */
  next(): Uint8Array | null
  /** The stream has ended: what is left, if it counts as a frame; throws a 400 when a frame was cut off. */
  end(): Uint8Array | null
}

/** How messages lie in a stream of bytes. */
export interface Framing {
  /** Shown in `server.Capabilities`. */
  readonly name: string
  /** The longest payload that a frame can hold, in bytes. */
  readonly maxPayload: number
  /** Begins a stream; a frame whose payload is longer than `limit` bytes is a 413, or is skipped where `skips` is true and the framing can. */
  reader(limit: number, skips?: boolean): FrameReader
  /** What is written before a payload of this length. */
  prefix(length: number): Uint8Array | null
  /** What is written after every payload. */
  readonly suffix: Uint8Array | null
}

/** A frame that exceeds the limit: the stream cannot go on after it. */
export const frameTooLong = (limit: number): IopaError => new IopaError(413, 'frame-too-long', `A message has at most ${limit} bytes here.`)

const EMPTY = new Uint8Array()

/** The beginning of a frame whose end has not come yet; it doubles as it grows, so that bytes that come singly cost no quadratic copying. */
export class PartialFrame {
  /** Bytes held, and room for more. */
  bytes: Uint8Array = EMPTY
  length = 0

  append(chunk: Uint8Array): void {
    const length = this.length + chunk.length
    if (length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(length, this.bytes.length * 2, 256))
      grown.set(this.bytes.subarray(0, this.length))
      this.bytes = grown
    }
    this.bytes.set(chunk, this.length)
    this.length = length
  }

  /** Hands over what is held from `start` on, and holds nothing any more. */
  take(start = 0): Uint8Array {
    const taken = this.bytes.subarray(start, this.length)
    this.bytes = EMPTY
    this.length = 0
    return taken
  }
}
