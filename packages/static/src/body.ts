import { IopaError } from '@iopa/appbuilder'
import type { RandomAccessBody } from '@iopa/transport'
import type { ByteRange, OpenFile } from './source.ts'

const SMALLEST_CHUNK = 64 * 1024

/** Bytes of one read, at most. */
export const LARGEST_CHUNK: number = 1024 * 1024

/** Bytes that all bodies being sent hold in chunks, about; many slow readers get small chunks, few get large ones. */
const CHUNK_BUDGET = 32 * 1024 * 1024

/** Counts the bodies being sent and sets the size of their chunks. */
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
 * The bytes of a file, or of a part of it: a stream with a known size and random access.
 * It owns the file: closing the body closes it, and the end of an iteration does so too.
 */
export class FileBody implements RandomAccessBody, AsyncDisposable {
  /** Bytes. */
  readonly size: number
  readonly #start: number
  readonly #budget: ChunkBudget
  #file: OpenFile | (() => Promise<OpenFile>) | Promise<OpenFile>
  #closed = false

  /** `file` is open, or a function that opens it when the first byte is read. */
  constructor(file: OpenFile | (() => Promise<OpenFile>), range: ByteRange, budget: ChunkBudget) {
    this.#file = file
    this.#start = range.start
    this.size = range.end - range.start
    this.#budget = budget
  }

  /**
   * Reads bytes `start` to `end`, the end not included. Parts that are read one by one must belong to one content, so it
   * rejects with 409 when the file has been written to; it also rejects when it has become shorter, or has been closed.
   */
  async read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    const from = Math.max(0, Math.min(start, this.size))
    const to = Math.max(from, Math.min(end, this.size))
    if (from === to) return new Uint8Array(0)
    let bytes = await this.#readSome(from, to, signal)
    if (bytes.length < to - from) {
      const whole = new Uint8Array(to - from)
      for (let at = 0; ; ) {
        whole.set(bytes, at)
        at += bytes.length
        if (at === whole.length) break
        bytes = await this.#readSome(from + at, to, signal)
      }
      bytes = whole
    }
    const file = (await this.#file) as OpenFile
    if ((await file.isUnchanged?.()) === false) throw new IopaError(409, 'file-changed', 'The file has changed: read it again from the start.')
    return bytes
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    this.#budget.enter()
    try {
      for (let at = 0; at < this.size; ) {
        const chunk = await this.#readSome(at, Math.min(this.size, at + this.#budget.chunkSize))
        at += chunk.length
        yield chunk
      }
    } finally {
      this.#budget.leave()
      await this.close()
    }
  }

  /** Closes the file. May be called again. */
  async close(): Promise<void> {
    this.#closed = true
    if (typeof this.#file === 'function') return
    const file = await Promise.resolve(this.#file).catch(() => undefined)
    await file?.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  // A peer that was promised more bytes than there are must see a failure: ending early would look like success.
  async #readSome(from: number, to: number, signal?: AbortSignal): Promise<Uint8Array> {
    signal?.throwIfAborted()
    if (this.#closed) throw new Error('the file has been closed')
    if (typeof this.#file === 'function') this.#file = this.#file()
    const file = await this.#file
    const bytes = await file.read(this.#start + from, this.#start + to)
    if (bytes.length === 0) throw new Error('the file got shorter while it was being sent')
    return bytes
  }
}
