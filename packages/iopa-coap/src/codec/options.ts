import { OptionWalker, SHARED_WALKER } from './option-walker.ts'

/** Value of an option; a number is written in the fewest big-endian bytes, text in UTF-8 (RFC 7252 section 3.2). */
export type OptionValue = Uint8Array | string | number

const NOTHING = new Uint8Array(0)
/** Bytes that a list of options begins with, and that the header of one option may take. */
const FIRST_SIZE = 64
const HEADER = 5

/**
 * The options of one message, in the order of their numbers; equal numbers keep the order in which they were added. They are kept as they are on the wire,
 * so that a received message is read in place and a written one is copied into its message as it is.
 */
export class Options implements Iterable<readonly [number: number, value: Uint8Array]> {
  /** The encoded options, from `start` to `end`. */
  bytes: Uint8Array
  start: number
  end: number
  /** Number of the last option; -1 where it has to be looked up. */
  #last: number
  /** False for options that lie in a received message, which is not to be written to. */
  #writable: boolean

  /** No options; or those that lie in the bytes of a message, which are not copied. */
  constructor(bytes: Uint8Array = NOTHING, start = 0, end: number = start) {
    this.bytes = bytes
    this.start = start
    this.end = end
    this.#last = start === end ? 0 : -1
    this.#writable = false
  }

  /** Bytes of all options. */
  get length(): number {
    return this.end - this.start
  }

  /** How many there are. */
  get size(): number {
    let size = 0
    for (const walker = this.#walk(); walker.next(); ) size++
    return size
  }

  /** Removes all of them, and keeps the memory for others. */
  reset(): this {
    this.start = 0
    this.end = 0
    this.#last = 0
    return this
  }

  /** Adds a value after those that the option has. Fast where numbers ascend. */
  add(number: number, value: OptionValue = NOTHING): this {
    if (this.#last < 0) this.#last = this.#lastNumber()
    if (number < this.#last) return this.#insert(number, value)
    if (typeof value === 'number') {
      const size = sizeOfUint(value)
      this.#begin(number, size)
      for (let at = this.end + size - 1, rest = value; at >= this.end; at--) {
        this.bytes[at] = rest
        rest = rest < 0x100000000 ? rest >>> 8 : Math.floor(rest / 256)
      }
      this.end += size
    } else {
      const bytes = typeof value === 'string' ? Buffer.from(value) : value
      this.#begin(number, bytes.length)
      this.bytes.set(bytes, this.end)
      this.end += bytes.length
    }
    return this
  }

  /** Replaces every value of the option by one. */
  set(number: number, value: OptionValue = NOTHING): this {
    return this.delete(number).add(number, value)
  }

  delete(number: number): this {
    return this.has(number) ? this.#rewrite([...this].filter(([other]) => other !== number)) : this
  }

  /** The same options in bytes of their own. */
  copy(): Options {
    const copy = new Options(this.bytes.slice(this.start, this.end), 0, this.length)
    copy.#writable = true
    return copy
  }

  /** True when both are the same bytes. */
  equals(other: Options): boolean {
    return Buffer.compare(this.bytes.subarray(this.start, this.end), other.bytes.subarray(other.start, other.end)) === 0
  }

  has(number: number): boolean {
    return this.#find(number) !== undefined
  }

  /** The first value of the option, as bytes. */
  get(number: number): Uint8Array | undefined {
    const found = this.#find(number)
    return found && this.bytes.subarray(found.start, found.end)
  }

  getAll(number: number): Uint8Array[] {
    const values: Uint8Array[] = []
    for (const walker = this.#walk(); walker.next(); ) if (walker.number === number) values.push(this.bytes.subarray(walker.start, walker.end))
    return values
  }

  /** The first value of the option, as an integer. */
  uint(number: number): number | undefined {
    const found = this.#find(number)
    return found && decodeUint(this.bytes, found.start, found.end)
  }

  /** The first value of the option as text; undefined also when it is not UTF-8. */
  text(number: number): string | undefined {
    const bytes = this.get(number)
    return bytes && decodeText(bytes)
  }

  *[Symbol.iterator](): Iterator<readonly [number: number, value: Uint8Array]> {
    const walker = new OptionWalker().begin(this.bytes, this.start, this.end)
    while (walker.next()) yield [walker.number, this.bytes.subarray(walker.start, walker.end)]
  }

  #walk(): OptionWalker {
    return SHARED_WALKER.begin(this.bytes, this.start, this.end)
  }

  #find(number: number): OptionWalker | undefined {
    for (const walker = this.#walk(); walker.next() && walker.number <= number; ) if (walker.number === number) return walker
    return undefined
  }

  #lastNumber(): number {
    let last = 0
    for (const walker = this.#walk(); walker.next(); ) last = walker.number
    return last
  }

  #insert(number: number, value: OptionValue): this {
    const all = [...this]
    const place = all.findIndex(([other]) => other > number)
    return this.#rewrite([...all.slice(0, place), [number, value], ...all.slice(place)])
  }

  #rewrite(all: readonly (readonly [number: number, value: OptionValue])[]): this {
    // The values lie in the old bytes.
    this.bytes = NOTHING
    this.#writable = false
    this.reset()
    for (const [number, value] of all) this.add(number, value)
    return this
  }

  /** Writes the header of an option behind the others, and makes room for its value. */
  #begin(number: number, length: number): void {
    if (!this.#writable || this.end + HEADER + length > this.bytes.length) this.#grow(HEADER + length)
    this.end = writeHeader(this.bytes, this.end, number - this.#last, length)
    this.#last = number
  }

  #grow(more: number): void {
    const wider = new Uint8Array(Math.max(FIRST_SIZE, 2 * (this.length + more)))
    wider.set(this.bytes.subarray(this.start, this.end))
    this.end = this.length
    this.start = 0
    this.bytes = wider
    this.#writable = true
  }
}

/** No options at all; they are not to be added to. */
export const NO_OPTIONS: Options = new Options()

/** Writes the header of one option and returns where its value goes. */
const writeHeader = (target: Uint8Array, start: number, delta: number, length: number): number => {
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

const sizeOfUint = (value: number): number => {
  if (value < 0x100) return value === 0 ? 0 : 1
  let size = 2
  for (let limit = 0x10000; value >= limit; limit *= 256) size++
  return size
}

/** The big-endian integer between two offsets, of any length up to six bytes; leading zeros are accepted. */
export const decodeUint = (bytes: Uint8Array, start = 0, end: number = bytes.length): number => {
  let value = 0
  for (let at = start; at < end; at++) value = value * 256 + bytes[at]!
  return value
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The text of bytes, or undefined when they are not UTF-8. */
export const decodeText = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
