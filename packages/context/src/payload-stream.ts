import { abortable } from './abortable.ts'

/** A body as it goes over the wire; a string is UTF-8 text. */
export type Payload = string | Uint8Array | AsyncIterable<Uint8Array> | null

/** What a read of a stream gives. */
export type Step = IteratorResult<Uint8Array, undefined>

/** The last step of every stream. */
export const END: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** Takes a value or an error that nothing waits for. */
export const ignore = (): void => undefined

/**
 * A stream of bytes whose `return` gives its source up at once, and only once, even before the first read or while the
 * source is silent. The `return` of a generator does nothing before the first read, and waits for a silent source.
 */
export abstract class PayloadStream implements AsyncIterableIterator<Uint8Array> {
  #first: Promise<Step> | null = null
  #begun = false
  #over = false
  /** Bytes that have been taken from the source. */
  bytes = 0

  /** True once reading has begun, or the stream is over. */
  get begun(): boolean {
    return this.#begun || this.#over
  }

  protected abstract pull(): Promise<Step>
  protected abstract giveUp(): void

  /** Nothing follows any more, and there is nothing to be given up. */
  protected finish(): void {
    this.#over = true
  }

  next(): Promise<Step> {
    this.#begun = true
    const first = this.#first
    if (first !== null) {
      this.#first = null
      return first
    }
    return this.#over ? Promise.resolve(END) : this.pull()
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#first = null
    if (!this.#over) {
      this.#over = true
      this.giveUp()
    }
    return Promise.resolve(END)
  }

  /** Settles with the first chunk or the first failure; null where there is nothing to wait for. `next` gives both again. */
  ready(): Promise<void> | null {
    if (this.begun) return null
    this.#first ??= this.pull()
    return this.#first.then(ignore)
  }

  /** Settles when a file is open or has failed to open, for an answer without content; null for any other stream. */
  opened(): Promise<void> | null {
    return null
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

class EndingStream extends PayloadStream {
  readonly #stream: AsyncIterable<Uint8Array>
  readonly #iterator: AsyncIterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  readonly #failed: ((error: unknown) => unknown) | undefined
  #done: (() => void) | null

  constructor(stream: AsyncIterable<Uint8Array>, done: () => void, signal?: AbortSignal, failed?: (error: unknown) => unknown) {
    super()
    this.#signal = signal
    this.#failed = failed
    this.#stream = stream
    this.#iterator = stream[Symbol.asyncIterator]()
    this.#done = done
  }

  override ready(): Promise<void> | null {
    if (this.begun) return null
    return this.#stream instanceof PayloadStream ? this.#stream.ready() : super.ready()
  }

  override opened(): Promise<void> | null {
    return this.#stream instanceof PayloadStream ? this.#stream.opened() : null
  }

  protected async pull(): Promise<Step> {
    try {
      const next = await abortable(this.#signal, () => this.#iterator.next())
      if (next.done !== true) return next
    } catch (error) {
      if (this.#signal?.aborted === true) this.giveUp()
      this.#end()
      throw this.#failed?.(error) ?? error
    }
    this.#end()
    return END
  }

  protected giveUp(): void {
    const returned = this.#iterator.return?.()
    returned?.catch(ignore)
    // What the stream waits for may be told by the end.
    this.#end()
  }

  #end(): void {
    this.finish()
    const done = this.#done
    this.#done = null
    done?.()
  }
}

/** The stream itself, which calls `done` once it has been read to its end, has failed or was given up; it ends at once with `signal`. */
export const endingStream = (
  stream: AsyncIterable<Uint8Array>,
  done: () => void,
  signal?: AbortSignal,
  failed?: (error: unknown) => unknown
): AsyncIterable<Uint8Array> => new EndingStream(stream, done, signal, failed)
