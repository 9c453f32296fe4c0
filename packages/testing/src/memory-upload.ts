import { IopaError } from '@iopa/transport'

type Step = IteratorResult<Uint8Array, undefined>

/** The streamed body of a request on its way to the handler, until its client gives it up. */
export class MemoryUpload implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #body: AsyncIterator<Uint8Array>
  readonly #cut: Promise<never>
  #reject: (error: IopaError) => void = () => undefined

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#body = body[Symbol.asyncIterator]()
    this.#cut = new Promise((_, reject) => {
      this.#reject = reject
    })
    this.#cut.catch(() => undefined)
  }

  /** The handler that reads gets an error, and the body is cancelled. */
  cut(): void {
    this.#reject(new IopaError(400, 'incomplete-request', 'The peer disconnected before its request was complete.'))
    void this.return()
  }

  next(): Promise<Step> {
    return Promise.race([this.#body.next() as Promise<Step>, this.#cut])
  }

  async return(): Promise<Step> {
    // A generator that waits for something returns when it has it, which may be never.
    this.#body.return?.().catch(() => undefined)
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
