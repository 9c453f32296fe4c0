import { type FrameReader, type Framing, frameTooLong, PartialFrame } from './framing.ts'

const LF = 10
const CR = 13
const EMPTY = new Uint8Array()
const SUFFIX = Uint8Array.of(LF)
// Bytes kept of the end of a skipped line: its last members say whose answer it was.
const TAIL = 128

/** Messages that end with a line feed, or with carriage return and line feed; `empty` says whether an empty line is a message. */
export const lineFraming = (name: string, options: { readonly empty: boolean }): Framing => ({
  name,
  maxPayload: Number.MAX_SAFE_INTEGER,
  reader: (limit, skips = false) => new LineReader(limit, options.empty, skips),
  prefix: () => null,
  suffix: SUFFIX
})

class LineReader implements FrameReader {
  readonly #limit: number
  readonly #empty: boolean
  readonly #partial = new PartialFrame()
  #chunk: Uint8Array = EMPTY
  #at = 0
  readonly #skips: boolean
  #skipping = false
  overlong = false

  constructor(limit: number, empty: boolean, skips: boolean) {
    this.#limit = limit
    this.#empty = empty
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
    for (;;) {
      const chunk = this.#chunk
      const at = this.#at
      const end = chunk.indexOf(LF, at)
      const more = (end < 0 ? chunk.length : end) - at
      // One byte over the limit may be the carriage return.
      if (this.#partial.length + more > this.#limit + 1) this.#skip()
      if (this.#skipping) return this.#skipped(end)
      if (end < 0) {
        if (more) this.#partial.append(at ? chunk.subarray(at) : chunk)
        this.#chunk = EMPTY
        this.#at = 0
        return null
      }
      this.#at = end + 1
      let line = chunk.subarray(at, end)
      if (this.#partial.length) {
        this.#partial.append(line)
        line = this.#partial.take()
      }
      line = this.#trim(line)
      if (line.length || this.#empty) return line
    }
  }

  #skip(): void {
    if (!this.#skips) throw frameTooLong(this.#limit)
    this.#skipping = true
  }

  /** The end of the line that is skipped, once it has come. */
  #skipped(end: number): Uint8Array | null {
    const chunk = this.#chunk
    const piece = chunk.subarray(this.#at, end < 0 ? chunk.length : end)
    const kept = this.#partial.take()
    if (piece.length < TAIL) this.#partial.append(kept.subarray(-(TAIL - piece.length)))
    this.#partial.append(piece.subarray(-TAIL))
    if (end < 0) {
      this.#chunk = EMPTY
      this.#at = 0
      return null
    }
    this.#at = end + 1
    this.#skipping = false
    this.overlong = true
    return this.#partial.take()
  }

  end(): Uint8Array | null {
    if (!this.#partial.length) return null
    const line = this.#trim(this.#partial.take())
    return line.length || this.#empty ? line : null
  }

  #trim(line: Uint8Array): Uint8Array {
    const trimmed = line[line.length - 1] === CR ? line.subarray(0, -1) : line
    if (trimmed.length <= this.#limit) return trimmed
    if (!this.#skips) throw frameTooLong(this.#limit)
    this.overlong = true
    return trimmed.subarray(-TAIL)
  }
}
