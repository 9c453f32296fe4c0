import type { ByteChannel } from '@iopa/transport'
import type { BodyDecoder } from '../message/body-decoder.ts'

// What a connection keeps unread: beyond it the peer has to wait.
const MOST_BYTES = 16 * 1024
const MOST_CHUNKS = 16

const NOTHING = new Uint8Array(0)

/** What has come in on one connection and was not read yet. */
export class Inflow {
  readonly #channel: ByteChannel
  /** The chunk that is being read. */
  chunk: Uint8Array = NOTHING
  /** Where reading goes on in it. */
  at = 0
  /** Bytes that have come so far. */
  received = 0
  readonly #later: Uint8Array[] = []
  #laterBytes = 0
  #paused = false

  constructor(channel: ByteChannel) {
    this.#channel = channel
  }

  get empty(): boolean {
    return this.at === this.chunk.length
  }

  push(chunk: Uint8Array): void {
    this.received += chunk.length
    if (this.empty && this.#later.length === 0) {
      this.chunk = chunk
      this.at = 0
    } else if (chunk.length > 0) {
      this.#later.push(chunk)
      this.#laterBytes += chunk.length
    }
  }

  /** Says that the chunk has been read up to `at`. */
  advance(at: number): void {
    this.at = at
    if (at < this.chunk.length) return
    const next = this.#later.shift()
    if (next !== undefined) this.#laterBytes -= next.length
    this.chunk = next ?? NOTHING
    this.at = 0
  }

  /** All of a body of `length` bytes, when that has come in one chunk; else null. */
  whole(decoder: BodyDecoder, length: number): Uint8Array | null {
    const { chunk, at } = this
    if (chunk.length - at < length) return null
    this.advance(decoder.decode(chunk, at, null))
    return chunk.subarray(at, at + length)
  }

  /** Reads over what has come of a body; false when that is malformed, or more is to come. */
  skip(decoder: BodyDecoder): boolean {
    try {
      while (!this.empty && !decoder.done) this.advance(decoder.decode(this.chunk, this.at, null))
      return decoder.done
    } catch {
      return false
    }
  }

  /** Lets the peer wait while too much is unread, and no longer. */
  regulate(): void {
    const full = this.chunk.length - this.at + this.#laterBytes > MOST_BYTES || this.#later.length >= MOST_CHUNKS
    if (full === this.#paused) return
    this.#paused = full
    if (full) this.#channel.pause()
    else this.#channel.resume()
  }

  /** Reads on for the last time: what comes is thrown away. */
  discard(): void {
    this.chunk = NOTHING
    this.at = 0
    this.#later.length = 0
    this.#laterBytes = 0
    this.regulate()
  }
}
