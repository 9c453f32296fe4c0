import type { LinkAnswer } from '@iopa/context'
import { collectBytes, withPayload } from '@iopa/context/host'
import type { Call } from './call.ts'
import { marked } from './upstream.ts'

type Step = IteratorResult<Uint8Array, undefined>

/** The streamed body of an answer: each part has a deadline, it ends at once with its call, and gives the link back at its end. */
class AnswerBody implements AsyncIterableIterator<Uint8Array, undefined> {
  readonly #parts: AsyncIterator<Uint8Array>
  readonly #call: Call
  readonly #timeout: number
  readonly #release: () => void
  #over = false

  constructor(parts: AsyncIterable<Uint8Array>, call: Call, timeout: number, release: () => void) {
    this.#parts = parts[Symbol.asyncIterator]()
    this.#call = call
    this.#timeout = timeout
    this.#release = release
  }

  async next(): Promise<Step> {
    if (this.#over) return { done: true, value: undefined }
    try {
      this.#call.await(this.#timeout)
      const step = await this.#call.run(() => this.#parts.next())
      this.#call.rest()
      if (step.done !== true) return step
      this.#end()
      return { done: true, value: undefined }
    } catch (error) {
      const reason: unknown = this.#call.aborted ? this.#call.signal.reason : error
      void this.return()
      // The rest of an answer fails like the answer itself: it is no error of the one who reads it.
      throw this.#call.left ? reason : marked(reason, 'upstream')
    }
  }

  async return(): Promise<Step> {
    // A generator that waits for something returns when it has it, which may be never.
    this.#parts.return?.()?.then(undefined, () => undefined)
    this.#call.abort(undefined)
    this.#end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#release()
  }
}

/**
 * An answer whose body is still to come, within the deadlines of its call; `release` is called at its end. A body that says that it is no longer than
 * `limit` bytes is awaited.
 */
export const awaitedAnswer = async (answer: LinkAnswer, call: Call, timeout: number, limit: number, release: () => void): Promise<LinkAnswer> => {
  const body = new AnswerBody(answer.payload as AsyncIterable<Uint8Array>, call, timeout, release)
  const short = Number(answer.headers.get('content-length') ?? Number.NaN) <= limit
  return withPayload(answer, short ? await collectBytes(body, limit) : body)
}
