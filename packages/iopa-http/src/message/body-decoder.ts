import { IopaError } from '@iopa/transport'
import { bareReturn, CR, LF, lineEnd, lineFault, parseField, SPACE, TAB } from './head-syntax.ts'
import { headersTooLarge, malformed } from './refusal.ts'
import { HeadFields } from './request-head.ts'

/** Takes what belongs to one body out of the bytes of a connection. */
export interface BodyDecoder {
  /** True when the whole body has come. */
  readonly done: boolean
  /** Names and values that came after it. */
  readonly trailers: readonly string[]
  /**
   * Decodes from `at` until the body, the bytes, or the interest of the sink ends; without a sink the body is thrown
   * away. Returns where it has stopped. @throws IopaError 400, 413, 431.
   */
  decode(bytes: Uint8Array, at: number, sink: BodySink | null): number
}

/** Takes the pieces of a body, which are views of what came in. */
export interface BodySink {
  /** False to get no more for now. */
  push(piece: Uint8Array): boolean
}

const NONE: string[] = []

/** A body whose length is known. */
export class SizedBody implements BodyDecoder {
  readonly trailers: readonly string[] = NONE
  /** Bytes that are still to come. */
  left: number

  constructor(length: number) {
    this.left = length
  }

  get done(): boolean {
    return this.left === 0
  }

  decode(bytes: Uint8Array, at: number, sink: BodySink | null): number {
    const end = Math.min(bytes.length, at + this.left)
    if (end === at) return at
    this.left -= end - at
    sink?.push(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
    return end
  }
}

// Limit for all chunk extensions of a body, in bytes; they are not used (RFC 9112 section 7.1.1).
const EXTENSIONS = 16 * 1024
// A size of more digits is beyond any body, and beyond exact numbers.
const SIZE = /^0*([\da-f]{1,13})(;.*)?$/i
// Names and values of extensions: tokens, or quoted strings, without the spaces that some recipients read otherwise.
const EXTENSION = /^(?:;[!#$%&'*+\-.^_`|~\w]+(?:=(?:[!#$%&'*+\-.^_`|~\w]+|"(?:[\t !#-[\]-~]|\\[\t -~])*"))?)*$/

/** A chunked body (RFC 9112 section 7.1): extensions and trailers are checked and bounded, and trailers kept. */
export class ChunkedBody implements BodyDecoder {
  done = false
  trailers: string[] = NONE
  readonly #trailerLimit: number
  /** Bytes of the current chunk that are still to come. */
  #left = 0
  /** What the next line is. */
  #expected: 'size' | 'chunk end' | 'trailer' = 'size'
  /** The line whose end has not come. */
  #line = ''
  /** It ends with a CR. */
  #returned = false
  #extensions = 0
  #trailerBytes = 0

  /** All trailers together may have `trailerLimit` bytes. */
  constructor(trailerLimit: number) {
    this.#trailerLimit = trailerLimit
  }

  decode(bytes: Uint8Array, at: number, sink: BodySink | null): number {
    let from = at
    while (from < bytes.length && !this.done) {
      if (this.#left === 0) {
        from = this.#readLine(bytes, from)
        continue
      }
      const end = Math.min(bytes.length, from + this.#left)
      this.#left -= end - from
      const more = sink === null || sink.push(bytes.subarray(from, end))
      from = end
      if (!more) break
    }
    return from
  }

  #readLine(bytes: Uint8Array, at: number): number {
    let from = at
    if (!this.#returned) {
      let end = from
      while (end < bytes.length && (bytes[end] as number) >= SPACE) end++
      // The line of an empty chunk end holds nothing that would have to be made a text.
      if (end > from) this.#line += text(bytes, from, end)
      this.#check()
      if (end === bytes.length) return end
      const unit = bytes[end] as number
      if (unit === TAB) {
        this.#line += '\t'
        return end + 1
      }
      if (unit !== CR) throw lineFault(unit)
      this.#returned = true
      from = end + 1
      if (from === bytes.length) return from
    }
    if (bytes[from] !== LF) throw bareReturn()
    this.#returned = false
    const line = this.#line
    this.#line = ''
    this.#take(line)
    return from + 1
  }

  #check(): void {
    const { length } = this.#line
    if (this.#expected === 'chunk end') {
      if (length > 0) throw malformed('a chunk of its body is longer than its size says')
    } else if (this.#expected === 'trailer') {
      if (this.#trailerBytes + length > this.#trailerLimit) throw headersTooLarge(this.#trailerLimit)
    } else if (this.#extensions + length > EXTENSIONS) {
      throw new IopaError(413, 'chunk-extensions-too-large', 'The extensions of a chunk are too long; leave them out.')
    }
  }

  #take(line: string): void {
    if (this.#expected === 'chunk end') this.#expected = 'size'
    else if (this.#expected === 'size') this.#takeSize(line)
    else if (line === '') this.done = true
    else {
      this.#trailerBytes += line.length + 2
      if (this.trailers === NONE) this.trailers = []
      this.trailers.push(...trailerOf(line))
    }
  }

  #takeSize(line: string): void {
    const parts = SIZE.exec(line)
    const extensions = parts?.[2] ?? ''
    if (parts === null || !EXTENSION.test(extensions)) throw malformed('a chunk of its body does not begin with its size in hexadecimal digits')
    this.#extensions += extensions.length
    this.#left = Number.parseInt(parts[1] as string, 16)
    this.#expected = this.#left === 0 ? 'trailer' : 'chunk end'
  }
}

const text = (bytes: Uint8Array, from: number, to: number): string => Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1')

/** Name and value of a trailer, which must be a field, and none that the message was framed or routed by (RFC 9110 section 6.5.1). */
const trailerOf = (line: string): readonly string[] => {
  if (lineEnd(line, 0) >= 0) throw bareReturn()
  const fields = new HeadFields()
  parseField(line, 0, line.length, fields)
  if (fields.length !== 0 || fields.hosts > 0) throw malformed('a trailer is one of the fields that must come before the body')
  return fields.pairs
}
