// A piece that is shorter is copied at once: by itself it could cost more than its bytes.
const SMALL = 4096
const SMALLEST_BLOCK = 1024
const LARGEST_BLOCK = 16 * 1024

/**
 * Gathers bytes that come in pieces. A single piece stays a view, long ones are joined once, when all are there; many
 * small ones cost no more than their bytes.
 */
export class ByteCollector {
  /** Bytes gathered so far. */
  length = 0
  readonly #pieces: Uint8Array[] = []
  /** Holds small pieces: those from `from` to `to` are not among the pieces yet. */
  #block: Uint8Array | null = null
  #from = 0
  #to = 0

  add(piece: Uint8Array): void {
    if (piece.length >= SMALL || this.length === 0) {
      this.#endBlock()
      this.#pieces.push(piece)
    } else this.#copy(piece)
    this.length += piece.length
  }

  take(): Uint8Array {
    this.#endBlock()
    if (this.#pieces.length < 2) return this.#pieces[0] ?? new Uint8Array(0)
    // Every byte is written, so none has to be zero before. Not from the pool, which is shared.
    const all = new Uint8Array(Buffer.allocUnsafeSlow(this.length).buffer)
    let at = 0
    for (const piece of this.#pieces) {
      all.set(piece, at)
      at += piece.length
    }
    return all
  }

  #copy(piece: Uint8Array): void {
    if (this.#block === null || this.#block.length - this.#to < piece.length) {
      this.#endBlock()
      const size = Math.min(LARGEST_BLOCK, Math.max(SMALLEST_BLOCK, this.length))
      this.#block = Buffer.allocUnsafeSlow(Math.max(size, piece.length))
      this.#from = this.#to = 0
    }
    this.#block.set(piece, this.#to)
    this.#to += piece.length
  }

  #endBlock(): void {
    if (this.#block === null || this.#from === this.#to) return
    this.#pieces.push(this.#block.subarray(this.#from, this.#to))
    this.#from = this.#to
  }
}
