import { type FrameReader, type Framing, frameTooLong } from './framing.ts'
import { PartialFrame } from './partial-frame.ts'

const LF = 10
const CR = 13
const EMPTY = new Uint8Array()
const SUFFIX = Uint8Array.of(LF)

/** Messages that end with a line feed, or with carriage return and line feed; `empty` says whether an empty line is a message. */
export const lineFraming = (name: string, options: { readonly empty: boolean }): Framing => ({
  name,
  maxPayload: Number.MAX_SAFE_INTEGER,
  reader: limit => new LineReader(limit, options.empty),
  prefix: () => null,
  suffix: SUFFIX
})

class LineReader implements FrameReader {
  readonly #limit: number
  readonly #empty: boolean
  readonly #partial = new PartialFrame()
  #chunk: Uint8Array = EMPTY
  #at = 0

  constructor(limit: number, empty: boolean) {
    this.#limit = limit
    this.#empty = empty
  }

  get pending(): number {
    return this.#partial.length
  }

  push(chunk: Uint8Array): void {
    // Parts of a plain array are made faster than those of a Buffer.
    this.#chunk = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)
    this.#at = 0
  }

  next(): Uint8Array | null {
    for (;;) {
      const chunk = this.#chunk
      const at = this.#at
      const end = chunk.indexOf(LF, at)
      const more = (end < 0 ? chunk.length : end) - at
      // One byte over the limit may be the carriage return.
      if (this.#partial.length + more > this.#limit + 1) throw frameTooLong(this.#limit)
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

  end(): Uint8Array | null {
    if (!this.#partial.length) return null
    const line = this.#trim(this.#partial.take())
    return line.length || this.#empty ? line : null
  }

  #trim(line: Uint8Array): Uint8Array {
    const trimmed = line[line.length - 1] === CR ? line.subarray(0, -1) : line
    if (trimmed.length > this.#limit) throw frameTooLong(this.#limit)
    return trimmed
  }
}
