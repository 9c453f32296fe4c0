import { type Encoder, type Encoding, encoderOf, flush } from './encoders.ts'

type Step = IteratorResult<Uint8Array, undefined>
const END: Step = { done: true, value: undefined }

/**
 * A body that is compressed as it is read, and no faster. What the source has given is flushed when it has nothing more for the moment, so a chunk
 * reaches the peer although the next one may be long in coming. Giving it up destroys the encoder and the source at once.
 */
export class CompressedBody implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #encoding: Encoding
  readonly #level: number
  readonly #over: () => void
  #encoder: Encoder | null = null
  #error: Error | null = null
  #ended = false
  #closed = false
  #fed = false
  #feeding = false
  #wake: (() => void) | null = null

  /** `over` is called once, when nothing is held any more. */
  constructor(source: AsyncIterable<Uint8Array>, encoding: Encoding, level: number, over: () => void) {
    this.#source = source[Symbol.asyncIterator]()
    this.#encoding = encoding
    this.#level = level
    this.#over = over
  }

  async next(): Promise<Step> {
    if (this.#closed) return END
    const encoder = (this.#encoder ??= this.#open())
    for (;;) {
      if (this.#error !== null) {
        const error = this.#error
        this.#close()
        throw error
      }
      const chunk = encoder.read() as Buffer | null
      if (chunk !== null) return { done: false, value: chunk }
      if (this.#ended) {
        this.#close()
        return END
      }
      if (this.#closed) return END
      if (!this.#feeding) void this.#feed(encoder)
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
  }

  return(): Promise<Step> {
    if (!this.#closed) {
      this.#source.return?.()?.catch(() => undefined)
      this.#close()
    }
    return Promise.resolve(END)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #open(): Encoder {
    return encoderOf(this.#encoding, this.#level)
      .on('readable', () => this.#wakeUp())
      .on('end', () => {
        this.#ended = true
        this.#wakeUp()
      })
      .on('error', (error: Error) => this.#fail(error))
  }

  /** Hands the next chunk to the encoder; one at a time, and the next one only when a reader wants more. */
  async #feed(encoder: Encoder): Promise<void> {
    this.#feeding = true
    try {
      const coming = this.#source.next()
      let step = await this.#soon(coming)
      if (step === undefined) {
        await this.#flushed(encoder)
        step = await coming
      }
      if (this.#closed) return
      if (step.done === true) {
        encoder.end()
        this.#fed = false
        return
      }
      if (step.value.length > 0) {
        await new Promise<void>((resolve, reject) => {
          encoder.write(step.value, error => (error ? reject(error) : resolve()))
        })
        this.#fed = true
      }
    } catch (error) {
      this.#fail(error as Error)
      return
    }
    this.#feeding = false
    this.#wakeUp()
  }

  /** The step of the source where it comes within a turn of the event loop; undefined for one that is to be waited for, with something to flush. */
  #soon(coming: Promise<IteratorResult<Uint8Array>>): Promise<IteratorResult<Uint8Array> | undefined> {
    if (!this.#fed) return coming
    return new Promise((resolve, reject) => {
      const late = setImmediate(() => resolve(undefined))
      coming.then(
        step => {
          clearImmediate(late)
          resolve(step)
        },
        error => {
          clearImmediate(late)
          reject(error)
        }
      )
    })
  }

  #flushed(encoder: Encoder): Promise<void> {
    this.#fed = false
    return new Promise(resolve => {
      flush(encoder, this.#encoding, resolve)
    })
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#wakeUp()
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#encoder?.destroy()
    this.#over()
    this.#wakeUp()
  }
}
