import { IopaError } from '@iopa/transport'

/**
 * A body that is read while its blocks arrive. It holds one block, and asks for the next one when that has been taken: so the client sends no faster than
 * the handler reads.
 */
export class StreamedBody implements AsyncIterable<Uint8Array> {
  readonly #room: () => void
  #piece: Uint8Array | undefined
  #begun = false
  #ended = false
  #discards = false
  #error: IopaError | undefined
  #wake: (() => void) | undefined

  /** `room` is called when the block that was offered last has been taken, unless the body ends with it. */
  constructor(room: () => void) {
    this.#room = room
  }

  /** True while the block that was offered last has not been taken. */
  get full(): boolean {
    return this.#piece !== undefined
  }

  /** Adds a block, which must follow a call of `room`; `last` ends the body. */
  offer(piece: Uint8Array, last: boolean): void {
    if (this.#error !== undefined) return
    this.#ended = last
    this.#piece = piece
    if (this.#discards) this.#take()
    else this.#notify()
  }

  /** Ends the reading with an error, once. */
  fail(error: IopaError): void {
    if (this.#error !== undefined) return
    this.#error = error
    this.#piece = undefined
    this.#notify()
  }

  /** Takes the rest unread: nothing waits for it. */
  discard(): void {
    this.#discards = true
    if (this.#piece !== undefined) this.#take()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    if (this.#begun)
      throw new IopaError(
        500,
        'body-used',
        'The body is a stream that is being read already; use context.bytes(), text() or json(), which remember it.'
      )
    this.#begun = true
    try {
      for (;;) {
        if (this.#error !== undefined) throw this.#error
        if (this.#piece !== undefined) {
          const piece = this.#take()
          if (piece.length > 0) yield piece
        } else if (this.#ended) return
        else
          await new Promise<void>(resolve => {
            this.#wake = resolve
          })
      }
    } finally {
      this.discard()
    }
  }

  #take(): Uint8Array {
    const piece = this.#piece as Uint8Array
    this.#piece = undefined
    if (!this.#ended) this.#room()
    return piece
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
