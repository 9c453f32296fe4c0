import { byteBody, IopaError } from '@iopa/transport'
import { type FrameReader, type Framing, frameTooLong, PartialFrame } from './framing.ts'

/** Frames whose length is known before their payload. */
export interface LengthFormat {
  readonly name: string
  /** Size of the length, in bytes; 0 when it is not sent. */
  readonly bytes: number
  readonly maxPayload: number
  /** The length of the payload, read from `data` at `at`. */
  read(data: Uint8Array, at: number): number
  prefix(length: number): Uint8Array | null
}

export const lengthFraming = (format: LengthFormat): Framing => ({
  name: format.name,
  maxPayload: format.maxPayload,
  reader: (limit, skips = false) => new LengthReader(format, limit, skips),
  prefix: format.prefix,
  suffix: null
})

const EMPTY = new Uint8Array()

class LengthReader implements FrameReader {
  readonly #format: LengthFormat
  readonly #limit: number
  readonly #partial = new PartialFrame()
  #chunk: Uint8Array = EMPTY
  #at = 0
  readonly #skips: boolean
  /** Bytes of a frame over the limit that are still to be skipped; 0 for none. */
  #rest = 0
  overlong = false

  constructor(format: LengthFormat, limit: number, skips: boolean) {
    this.#format = format
    this.#limit = limit
    this.#skips = skips
  }

  get pending(): number {
    return this.#partial.length
  }

  get room(): number {
    return this.#partial.bytes.length
  }

  push(chunk: Uint8Array): void {
    // Parts of a plain array are made faster than those of a Buffer.
    this.#chunk = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)
    this.#at = 0
  }

  next(): Uint8Array | null {
    this.overlong = false
    if (this.#rest > 0) return this.#skip()
    if (this.#partial.length) return this.#complete()
    const chunk = this.#chunk
    const at = this.#at
    const head = this.#format.bytes
    const start = at + head
    if (start <= chunk.length) {
      const length = this.#format.read(chunk, at)
      if (this.#exceeds(length)) {
        this.#at = start
        this.#rest = length
        return this.#skip()
      }
      const end = start + length
      if (end <= chunk.length && at < chunk.length) {
        this.#at = end
        return byteBody(chunk, start, end)
      }
    }
    if (at < chunk.length) this.#partial.append(at ? chunk.subarray(at) : chunk)
    this.#chunk = EMPTY
    this.#at = 0
    return null
  }

  end(): Uint8Array | null {
    if (this.#partial.length) throw new IopaError(400, 'frame-cut-off', 'The stream ended within a message.')
    return null
  }

  /** The frame that began in an earlier chunk; its buffer grows with the received bytes, not with the announced length. */
  #complete(): Uint8Array | null {
    const head = this.#format.bytes
    if (this.#partial.length < head && !this.#fill(head)) return null
    const announced = this.#format.read(this.#partial.bytes, 0)
    if (this.#exceeds(announced)) {
      this.#rest = announced - (this.#partial.take().length - head)
      return this.#skip()
    }
    const length = head + announced
    if (this.#partial.length < length && !this.#fill(length)) return null
    return this.#partial.take(head)
  }

  /** Moves bytes from the chunk until `length` are held; false when there are not enough. */
  #fill(length: number): boolean {
    const end = this.#at + length - this.#partial.length
    this.#partial.append(this.#chunk.subarray(this.#at, end))
    this.#at = Math.min(end, this.#chunk.length)
    if (this.#at === this.#chunk.length) {
      this.#chunk = EMPTY
      this.#at = 0
    }
    return this.#partial.length >= length
  }

  #exceeds(length: number): boolean {
    if (length <= this.#limit) return false
    if (!this.#skips) throw frameTooLong(this.#limit)
    return true
  }

  /** Nothing of a frame over the limit but that it has come to its end. */
  #skip(): Uint8Array | null {
    const skipped = Math.min(this.#rest, this.#chunk.length - this.#at)
    this.#rest -= skipped
    this.#at += skipped
    if (this.#rest > 0) {
      this.#chunk = EMPTY
      this.#at = 0
      return null
    }
    this.overlong = true
    return EMPTY
  }
}
