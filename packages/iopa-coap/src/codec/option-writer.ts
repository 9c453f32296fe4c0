import { writeOptionHeader } from './datagram-codec.ts'

const encoder = new TextEncoder()
const MARGIN = 8

/** Writes the options of one answer after another into the same bytes, without an object for each; numbers must ascend. */
export class OptionWriter {
  /** Holds the options in its first `length` bytes until the next reset. */
  bytes: Uint8Array = new Uint8Array(512)
  length = 0
  #previous = 0

  reset(): this {
    this.length = 0
    this.#previous = 0
    return this
  }

  empty(number: number): this {
    this.#begin(number, 0)
    return this
  }

  uint(number: number, value: number): this {
    const size = value === 0 ? 0 : value < 0x100 ? 1 : value < 0x10000 ? 2 : value < 0x1000000 ? 3 : 4
    this.#begin(number, size)
    for (let shift = size * 8 - 8; shift >= 0; shift -= 8) this.bytes[this.length++] = (value >>> shift) & 255
    return this
  }

  opaque(number: number, value: Uint8Array): this {
    this.#begin(number, value.length)
    this.bytes.set(value, this.length)
    this.length += value.length
    return this
  }

  text(number: number, value: string): this {
    return this.opaque(number, encoder.encode(value))
  }

  /** The same options in bytes of their own. */
  copy(): OptionWriter {
    const copy = new OptionWriter()
    copy.bytes = this.bytes.slice()
    copy.length = this.length
    return copy
  }

  #begin(number: number, size: number): void {
    const needed = this.length + size + MARGIN
    if (needed > this.bytes.length) {
      const wider = new Uint8Array(needed * 2)
      wider.set(this.bytes)
      this.bytes = wider
    }
    this.length = writeOptionHeader(this.bytes, this.length, number - this.#previous, size)
    this.#previous = number
  }
}

/** No options at all. */
export const NO_OPTIONS: OptionWriter = new OptionWriter()
