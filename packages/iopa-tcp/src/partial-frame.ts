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
