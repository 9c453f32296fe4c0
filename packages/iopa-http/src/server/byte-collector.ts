// Smallest array that pieces are gathered in.
const SMALLEST = 1024

/** Gathers bytes that come in pieces. A single piece stays a view; many small ones cost no more than their bytes. */
export class ByteCollector {
  /** Bytes gathered so far. */
  length = 0
  #bytes: Uint8Array = new Uint8Array(0)

  add(piece: Uint8Array): void {
    const length = this.length + piece.length
    if (this.length === 0) this.#bytes = piece
    else {
      if (length > this.#bytes.length || this.length === this.#bytes.length) {
        const grown = new Uint8Array(Math.max(SMALLEST, length * 2))
        grown.set(this.#bytes.subarray(0, this.length))
        this.#bytes = grown
      }
      this.#bytes.set(piece, this.length)
    }
    this.length = length
  }

  take(): Uint8Array {
    return this.#bytes.length === this.length ? this.#bytes : this.#bytes.subarray(0, this.length)
  }
}
