import type { ByteRange } from './ranges.ts'
import type { OpenFile } from './source.ts'

const SMALLEST_CHUNK = 64 * 1024

/** Bytes of one read, at most. */
export const LARGEST_CHUNK: number = 1024 * 1024

/** Bytes that all bodies being sent hold in chunks, about; many slow readers get small chunks, few get large ones. */
const CHUNK_BUDGET = 32 * 1024 * 1024

/** Counts the bodies being sent and tells how large their chunks are. */
export class ChunkBudget {
  #active = 0

  get active(): number {
    return this.#active
  }

  get chunkSize(): number {
    return Math.max(SMALLEST_CHUNK, Math.min(LARGEST_CHUNK, Math.floor(CHUNK_BUDGET / Math.max(1, this.#active))))
  }

  enter(): void {
    this.#active++
  }

  leave(): void {
    this.#active--
  }
}

/**
 * The bytes of an open file, or of a part of it: a stream that knows its size and lets any part be read by itself.
 * Closing it closes the file; it closes itself at the end of an iteration.
 */
export class FileBody implements AsyncIterable<Uint8Array>, AsyncDisposable {
  /** Bytes. */
  readonly size: number
  readonly #file: OpenFile
  readonly #start: number
  readonly #budget: ChunkBudget
  readonly #signal: AbortSignal | undefined

  constructor(file: OpenFile, range: ByteRange, budget: ChunkBudget, signal?: AbortSignal) {
    this.#file = file
    this.#start = range.start
    this.size = range.end - range.start
    this.#budget = budget
    this.#signal = signal
  }

  /** Reads bytes `start` to `end`, the end not included; rejects when the file has become shorter. */
  async slice(start: number, end: number): Promise<Uint8Array> {
    const from = Math.max(0, Math.min(start, this.size))
    const to = Math.max(from, Math.min(end, this.size))
    this.#signal?.throwIfAborted()
    if (from === to) return new Uint8Array(0)
    const first = await this.#read(from, to)
    if (first.length === to - from) return first
    const whole = new Uint8Array(to - from)
    whole.set(first)
    for (let at = first.length; at < whole.length; ) {
      const next = await this.#read(from + at, to)
      whole.set(next, at)
      at += next.length
    }
    return whole
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    this.#budget.enter()
    try {
      for (let at = 0; at < this.size; ) {
        this.#signal?.throwIfAborted()
        const chunk = await this.#read(at, Math.min(this.size, at + this.#budget.chunkSize))
        at += chunk.length
        yield chunk
      }
    } finally {
      this.#budget.leave()
      await this.#file.close()
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close()
  }

  // A peer that was promised more bytes than there are must see a failure: ending early would look like success.
  async #read(from: number, to: number): Promise<Uint8Array> {
    const bytes = await this.#file.read(this.#start + from, this.#start + to)
    if (bytes.length === 0) throw new Error('the file got shorter while it was being sent')
    return bytes
  }
}
