// X.690: the distinguished encoding rules, as far as certificates need them (definite lengths, tags below 31).

/** An element: `tag` with its class and form, and where its content is. */
export interface DerElement {
  readonly tag: number
  readonly start: number
  readonly end: number
}

export const SEQUENCE = 0x30
export const BOOLEAN = 0x01
export const INTEGER = 0x02
export const BIT_STRING = 0x03
export const OCTET_STRING = 0x04
export const OBJECT_IDENTIFIER = 0x06

/** Bytes that are not DER, or not what the caller expects there. */
export class DerError extends Error {}

/** Reads the elements of a range in turn. All methods throw `DerError` at bytes that are not valid. */
export class DerReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number

  constructor(bytes: Uint8Array, { start, end }: { readonly start: number; readonly end: number } = { start: 0, end: bytes.length }) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get more(): boolean {
    return this.#at < this.#end
  }

  /** The tag of the next element; undefined at the end. */
  get tag(): number | undefined {
    return this.more ? this.#bytes[this.#at] : undefined
  }

  /** The next element. */
  next(): DerElement {
    const tag = this.#byte()
    // Tags of several bytes do not occur in certificates.
    if ((tag & 0x1f) === 0x1f) throw new DerError('tag')
    const start = this.#at
    const length = this.#length()
    if (length > this.#end - this.#at) throw new DerError(`length at ${start}`)
    const element = { tag, start: this.#at, end: this.#at + length }
    this.#at = element.end
    return element
  }

  /** The next element, which must have this tag. */
  take(tag: number): DerElement {
    const element = this.next()
    if (element.tag !== tag) throw new DerError(`tag ${element.tag}`)
    return element
  }

  /** The elements inside of the next one, which must have this tag. */
  enter(tag: number): DerReader {
    return new DerReader(this.#bytes, this.take(tag))
  }

  /** The content of an element. */
  content({ start, end }: DerElement): Uint8Array {
    return this.#bytes.subarray(start, end)
  }

  #byte(): number {
    const byte = this.more ? this.#bytes[this.#at++] : undefined
    if (byte === undefined) throw new DerError('end')
    return byte
  }

  #length(): number {
    const first = this.#byte()
    if (first < 0x80) return first
    const bytes = first & 0x7f
    // X.690 10.1: definite and in as few bytes as possible; nothing here is longer than 24 bits.
    if (bytes === 0 || bytes > 3) throw new DerError('length')
    let length = 0
    for (let index = 0; index < bytes; index++) length = length * 256 + this.#byte()
    if (length < 0x80 || length < 256 ** (bytes - 1)) throw new DerError('length')
    return length
  }
}
