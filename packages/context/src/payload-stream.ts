const utf8 = new TextEncoder()

const END: IteratorReturnResult<undefined> = { done: true, value: undefined }

const bytesOf = (chunk: unknown): Uint8Array => {
  if (chunk instanceof Uint8Array) return chunk
  if (typeof chunk === 'string') return utf8.encode(chunk)
  throw new TypeError('a streamed body yields bytes or strings')
}

/** What a handler may stream. */
type Source = AsyncIterable<unknown> | Iterable<unknown> | ReadableStream<unknown>

const isWebStream = (source: object): source is ReadableStream<unknown> => typeof (source as { getReader?: unknown }).getReader === 'function'

/**
 * A stream of bytes whose `return` gives its source up at once: also one that nobody has begun to read, and one that is
 * silent. That of a generator would do nothing for the first, and wait for the second.
 */
abstract class PayloadStream implements AsyncIterableIterator<Uint8Array> {
  abstract next(): Promise<IteratorResult<Uint8Array, undefined>>
  abstract return(): Promise<IteratorReturnResult<undefined>>

  [Symbol.asyncIterator](): this {
    return this
  }
}

class ChunkStream extends PayloadStream {
  readonly #source: AsyncIterable<unknown> | Iterable<unknown>
  #iterator: AsyncIterator<unknown> | Iterator<unknown> | null = null

  constructor(source: AsyncIterable<unknown> | Iterable<unknown>) {
    super()
    this.#source = source
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const { done, value } = await this.#begun.next()
    if (done === true) return END
    try {
      // A synchronous source may yield promises.
      return { done: false, value: bytesOf(value instanceof Uint8Array ? value : await value) }
    } catch (error) {
      void this.return()
      throw error
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    const iterator = this.#begun
    // The iterator of a Node stream is a generator, which leaves a stream open that it has not begun to read.
    const { destroy } = this.#source as { destroy?: unknown }
    if (typeof destroy === 'function') destroy.call(this.#source)
    await iterator.return?.()
    return END
  }

  get #begun(): AsyncIterator<unknown> | Iterator<unknown> {
    if (this.#iterator === null) {
      const source = this.#source
      this.#iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    }
    return this.#iterator
  }
}

class WebStream extends PayloadStream {
  readonly #stream: ReadableStream<unknown>
  #reader: ReadableStreamDefaultReader<unknown> | null = null

  constructor(stream: ReadableStream<unknown>) {
    super()
    this.#stream = stream
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#reader ??= this.#stream.getReader()
    const { done, value } = await this.#reader.read()
    if (done) return END
    try {
      return { done: false, value: bytesOf(value) }
    } catch (error) {
      void this.return()
      throw error
    }
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    // Rejects where the stream has failed already.
    await (this.#reader ?? this.#stream).cancel().catch(() => undefined)
    return END
  }
}

class EndingStream extends PayloadStream {
  readonly #iterator: AsyncIterator<Uint8Array>
  #done: (() => void) | null

  constructor(stream: AsyncIterable<Uint8Array>, done: () => void) {
    super()
    this.#iterator = stream[Symbol.asyncIterator]()
    this.#done = done
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    try {
      const next = await this.#iterator.next()
      if (next.done !== true) return next
    } catch (error) {
      this.#end()
      throw error
    }
    this.#end()
    return END
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    const returned = this.#iterator.return?.()
    // What the stream waits for may be told by the end.
    this.#end()
    await returned
    return END
  }

  #end(): void {
    const done = this.#done
    this.#done = null
    done?.()
  }
}

/** The bytes of a stream as a handler gave it: a web stream, or an iterable of bytes and strings. */
export const chunksOf = (source: Source): AsyncIterable<Uint8Array> => (isWebStream(source) ? new WebStream(source) : new ChunkStream(source))

/** The stream itself, which calls `done` once it has been read to its end, has failed or was given up. */
export const endingStream = (stream: AsyncIterable<Uint8Array>, done: () => void): AsyncIterable<Uint8Array> => new EndingStream(stream, done)

/** True for a body that is sent as a stream; bytes and arrays are none, and not to be asked for. */
export const isStreamed = (body: object): body is Source => Symbol.asyncIterator in body || isWebStream(body) || Symbol.iterator in body

/** Gives up a body that nobody will read, so that it holds nothing open. */
export const abandonBody = (body: unknown): void => {
  if (typeof body !== 'object' || body === null || body instanceof Uint8Array || Array.isArray(body) || !isStreamed(body)) return
  const iterator = chunksOf(body)[Symbol.asyncIterator]()
  iterator.return?.().catch(() => undefined)
}
