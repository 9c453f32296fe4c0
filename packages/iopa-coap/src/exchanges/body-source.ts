const NOTHING = new Uint8Array(0)

/** A block of a body. */
export interface BodyPart {
  readonly bytes: Uint8Array
  readonly more: boolean
}

/** The body of a request that is sent in blocks: bytes in memory, or a stream that is read no faster than its blocks are acknowledged. */
export class BodySource {
  /** All bytes, where that is known. */
  readonly size: number | undefined
  readonly #iterator: AsyncIterator<Uint8Array> | undefined
  /** What has been read and not been sent. */
  #buffer: Uint8Array
  #ended: boolean

  constructor(body: Uint8Array | AsyncIterable<Uint8Array>) {
    const whole = body instanceof Uint8Array
    const size = whole ? body.length : (body as { readonly size?: unknown }).size
    this.size = typeof size === 'number' ? size : undefined
    this.#buffer = whole ? body : NOTHING
    this.#ended = whole
    this.#iterator = whole ? undefined : body[Symbol.asyncIterator]()
  }

  /** True when it is known whether more than `length` bytes are left. */
  knows(length: number): boolean {
    return this.#ended || this.#buffer.length > length
  }

  /** Reads until more than `length` bytes are there, or the body has ended. */
  async fill(length: number): Promise<void> {
    while (!this.knows(length)) {
      const step = await this.#iterator!.next()
      if (step.done === true) this.#ended = true
      else this.#buffer = this.#buffer.length === 0 ? step.value : Buffer.concat([this.#buffer, step.value])
    }
  }

  /** All that is left, where that is at most `length` bytes; otherwise undefined. Needs to know that. */
  rest(length: number): Uint8Array | undefined {
    return this.#ended && this.#buffer.length <= length ? this.#buffer : undefined
  }

  /** The next block, which has a multiple of `least` bytes and `most` at most unless it is the last. Needs to know about `least` bytes. */
  part(least: number, most: number): BodyPart {
    const rest = this.rest(most)
    if (rest !== undefined) return { bytes: rest, more: false }
    // At least one byte stays, so that it is certain that more follows.
    const length = Math.min(most, Math.floor((this.#buffer.length - 1) / least) * least)
    return { bytes: this.#buffer.subarray(0, length), more: true }
  }

  /** So many bytes have been sent. */
  advance(length: number): void {
    this.#buffer = this.#buffer.subarray(length)
  }

  /** What has not been read is not wanted. */
  giveUp(): void {
    if (this.#ended) return
    this.#ended = true
    this.#iterator!.return?.()?.then(undefined, () => undefined)
  }
}
