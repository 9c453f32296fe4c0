import { type AsyncScope, asyncScope } from './async-scope.ts'
import { bytesOfView, isBuffer } from './bytes.ts'
import { END, ignore, PayloadStream, type Step } from './payload-stream.ts'

const utf8 = new TextEncoder()

const bytesOf = (chunk: unknown): Uint8Array => {
  if (chunk instanceof Uint8Array) return chunk
  if (typeof chunk === 'string') return utf8.encode(chunk)
  if (typeof chunk === 'object' && chunk !== null) {
    if (ArrayBuffer.isView(chunk) || isBuffer(chunk)) return bytesOfView(chunk)
    // A stream among the chunks is not sent either.
    if (isNodeStream(chunk) || isWebStream(chunk)) void chunksOf(chunk as Source).return()
  }
  throw new TypeError('a streamed body yields bytes or strings')
}

/** What a handler may stream. */
export type Source = AsyncIterable<unknown> | Iterable<unknown> | ReadableStream<unknown>

/** What streams of Node have in common; the core knows them by it. */
interface NodeStream {
  on(event: string, listener: () => void): unknown
  once(event: string, listener: () => void): unknown
  listeners(event: string): unknown[]
  destroy(): unknown
  readonly destroyed?: boolean
  readonly readableEnded?: boolean
  readonly readableDidRead?: boolean
  readonly errored?: Error | null
  /** True until a file is open. */
  readonly pending?: boolean
}

export const isWebStream = (source: object): source is ReadableStream<unknown> => typeof (source as { getReader?: unknown }).getReader === 'function'

export const isNodeStream = (source: object): boolean =>
  typeof (source as Partial<NodeStream>).destroy === 'function' &&
  typeof (source as Partial<NodeStream>).on === 'function' &&
  typeof (source as Partial<NodeStream>).listeners === 'function'

/** True for a stream that other code reads or has read: the rest of it is not the whole body. */
export const wasUsed = (source: object): boolean => {
  if (source instanceof PayloadStream) return source.begun
  if (isWebStream(source)) return source.locked || (source as { [DISTURBED]?: unknown })[DISTURBED] === true
  if (!isNodeStream(source)) return false
  const stream = source as unknown as NodeStream
  // One that has failed says with what, when it is read.
  return (stream.errored ?? null) === null && (stream.readableDidRead === true || stream.readableEnded === true || stream.destroyed === true)
}

// Node says by this symbol what other platforms keep to themselves.
const DISTURBED: unique symbol = Symbol.for('nodejs.stream.disturbed') as never

/** Adds an error listener to a Node stream: an error without a listener would end the process. The reader still gets the error. */
export const heed = (source: object): void => {
  const stream = source as unknown as NodeStream
  if (typeof stream.on !== 'function' || typeof stream.listeners !== 'function') return
  if (!stream.listeners('error').includes(ignore)) stream.on('error', ignore)
}

/** Bodies of web Responses: they are as far as their head, so nothing is to be waited for. */
const prompt = new WeakSet<object>()

/** Marks a stream as one whose head is sent at once. */
export const sendPromptly = <T extends object>(stream: T): T => {
  prompt.add(stream)
  return stream
}

class ChunkStream extends PayloadStream {
  readonly #source: AsyncIterable<unknown> | Iterable<unknown>
  readonly #scope: AsyncScope | null
  #iterator: AsyncIterator<unknown> | Iterator<unknown> | null = null

  constructor(source: AsyncIterable<unknown> | Iterable<unknown>) {
    super()
    this.#source = source
    this.#scope = asyncScope()
    heed(source)
  }

  override ready(): Promise<void> | null {
    return prompt.has(this.#source) ? null : super.ready()
  }

  override opened(): Promise<void> | null {
    const stream = this.#source as unknown as NodeStream
    if (this.begun || !isNodeStream(this.#source)) return null
    const failure = (): Error | null => stream.errored ?? null
    if (failure() !== null) return Promise.reject(failure())
    if (stream.pending !== true) return null
    return new Promise((resolve, reject) => {
      for (const event of ['open', 'ready', 'error', 'close']) {
        stream.once(event, () => {
          const error = failure()
          if (error === null) resolve()
          else reject(error)
        })
      }
    })
  }

  protected async pull(): Promise<Step> {
    let step: IteratorResult<unknown>
    try {
      const stepped = this.#inside(() => this.#steps.next())
      step = stepped instanceof Promise ? await stepped : await (stepped as IteratorResult<unknown> | PromiseLike<IteratorResult<unknown>>)
    } catch (error) {
      // An iterator that has failed is over, but a stream of Node may still hold its file.
      this.finish()
      this.#destroy()
      throw error
    }
    if (step.done === true) {
      this.finish()
      return END
    }
    try {
      // A synchronous source may yield promises.
      const value = bytesOf(step.value instanceof Uint8Array ? step.value : await step.value)
      this.bytes += value.length
      return { done: false, value }
    } catch (error) {
      void this.return()
      throw error
    }
  }

  protected giveUp(): void {
    // The iterator of a Node stream is a generator, which leaves a stream open that it has not begun to read.
    if (this.#destroy() && this.#iterator === null) return
    try {
      const returned: unknown = this.#inside(() => this.#steps.return?.())
      // A generator that is waiting for something returns when it has it, which may be never.
      if (returned instanceof Promise) returned.catch(ignore)
    } catch {
      // What its source does when it is given up is not the answer's failure.
    }
  }

  #destroy(): boolean {
    const { destroy } = this.#source as { destroy?: unknown }
    if (typeof destroy !== 'function') return false
    destroy.call(this.#source)
    return true
  }

  /** Generators run for the request that made them: their first step, too, sees its asynchronous context. */
  #inside<R>(step: () => R): R {
    return this.#scope === null ? step() : this.#scope.runInAsyncScope(step)
  }

  get #steps(): AsyncIterator<unknown> | Iterator<unknown> {
    if (this.#iterator === null) {
      const source = this.#source
      this.#iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    }
    return this.#iterator
  }
}

class WebStream extends PayloadStream {
  readonly #stream: ReadableStream<unknown>
  readonly #scope: AsyncScope | null
  #reader: ReadableStreamDefaultReader<unknown> | null = null

  constructor(stream: ReadableStream<unknown>) {
    super()
    this.#stream = stream
    this.#scope = asyncScope()
  }

  override ready(): Promise<void> | null {
    return prompt.has(this.#stream) ? null : super.ready()
  }

  protected async pull(): Promise<Step> {
    let step: { done: boolean; value?: unknown }
    try {
      this.#reader ??= this.#stream.getReader()
      const reader = this.#reader
      step = await (this.#scope === null ? reader.read() : this.#scope.runInAsyncScope(reader.read, reader))
    } catch (error) {
      this.finish()
      throw error
    }
    if (step.done) {
      this.finish()
      return END
    }
    try {
      const value = bytesOf(step.value)
      this.bytes += value.length
      return { done: false, value }
    } catch (error) {
      void this.return()
      throw error
    }
  }

  protected giveUp(): void {
    const source = this.#reader ?? this.#stream
    // Rejects if the stream has failed already, or if another reader holds it.
    const cancelled: Promise<void> = this.#scope === null ? source.cancel() : this.#scope.runInAsyncScope(source.cancel, source)
    cancelled.catch(ignore)
  }
}

/** The bytes of a stream as a handler gave it: a web stream, or an iterable of bytes and strings. */
export const chunksOf = (source: Source): PayloadStream =>
  source instanceof PayloadStream ? source : isWebStream(source) ? new WebStream(source) : new ChunkStream(source)
