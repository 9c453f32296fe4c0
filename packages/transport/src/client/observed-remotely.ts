import type { LinkAnswer } from '@iopa/context'

type Next = IteratorResult<LinkAnswer, undefined>

const DONE: Next = { done: true, value: undefined }

/** Opens what is read: it ends when `signal` aborts, and calls `stop` when nothing more can come. */
type Open = (signal: AbortSignal, stop: () => void) => AsyncIterator<LinkAnswer>

/**
 * The answers of a peer, as a sequence that ends at once with its signal, or when it is left, also while an answer is awaited: an async generator
 * would wait for that answer first. Each iteration is a separate observation.
 */
export const observedRemotely = (given: AbortSignal | undefined, open: Open): AsyncIterable<LinkAnswer> => ({
  [Symbol.asyncIterator]: () => new RemoteAnswers(given, open)
})

class RemoteAnswers implements AsyncIterableIterator<LinkAnswer, undefined> {
  readonly #signal: AbortSignal | undefined
  readonly #open: Open
  readonly #stopping = new AbortController()
  #answers: AsyncIterator<LinkAnswer> | null = null
  /** Resolve the calls that wait. */
  readonly #waiting = new Set<(next: Next) => void>()
  #over = false

  constructor(signal: AbortSignal | undefined, open: Open) {
    this.#signal = signal
    this.#open = open
  }

  next(): Promise<Next> {
    if (this.#answers === null && !this.#over) this.#begin()
    const answers = this.#answers
    if (answers === null || this.#over) return Promise.resolve(DONE)
    return new Promise((resolve, reject) => {
      this.#waiting.add(resolve)
      answers.next().then(
        next => {
          this.#waiting.delete(resolve)
          if (next.done === true) this.#end()
          resolve(next.done === true || this.#over ? DONE : next)
        },
        (error: unknown) => {
          this.#waiting.delete(resolve)
          // A reader that has left gets no error.
          if (this.#over) resolve(DONE)
          else {
            this.#end()
            reject(error)
          }
        }
      )
    })
  }

  async return(): Promise<Next> {
    const answers = this.#answers
    const awaited = this.#waiting.size > 0
    this.#end()
    // A generator that awaits an answer ends with its signal; one that does not takes leave of the peer.
    const left = answers?.return?.().catch(() => undefined)
    if (!awaited) await left
    return DONE
  }

  async throw(error: unknown): Promise<Next> {
    await this.return()
    throw error
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #begin(): void {
    const signal = this.#signal
    if (signal?.aborted === true) {
      this.#over = true
      return
    }
    signal?.addEventListener('abort', this.#abort, { once: true })
    this.#answers = this.#open(this.#stopping.signal, () => this.#end())
  }

  readonly #abort = (): void => this.#end()

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#signal?.removeEventListener('abort', this.#abort)
    for (const resolve of this.#waiting) resolve(DONE)
    this.#waiting.clear()
    this.#stopping.abort(this.#signal?.reason)
  }
}
