import { IopaError } from '@iopa/constants'
import type { LinkAnswer, SealedAnswer } from '@iopa/context'
import { type AnswerRecord, handOver, type RunContext } from '@iopa/context/host'
import type { Observation } from '@iopa/transport'
import { marked } from '@iopa/transport/host'

type Next = IteratorResult<LinkAnswer, undefined>

interface Reader {
  readonly resolve: (next: Next) => void
  readonly reject: (error: unknown) => void
}

const DONE: Next = { done: true, value: undefined }

/**
 * The answers to an observation inside the process, as a sequence: the newest waits for the reader, those in between are skipped. Each iteration
 * observes by itself. It ends at once with its signal, or when it is left.
 */
export const observedAnswers = (
  signal: AbortSignal | undefined,
  open: () => RunContext,
  observe: (context: RunContext, deliver: (answer: SealedAnswer) => void) => Promise<Observation>
): AsyncIterable<LinkAnswer> => ({ [Symbol.asyncIterator]: () => new ObservedAnswers(signal, open, observe) })

class ObservedAnswers implements AsyncIterableIterator<LinkAnswer, undefined> {
  readonly #signal: AbortSignal | undefined
  readonly #open: () => RunContext
  readonly #observe: (context: RunContext, deliver: (answer: SealedAnswer) => void) => Promise<Observation>
  readonly #readers: Reader[] = []
  #context: RunContext | null = null
  #newest: LinkAnswer | null = null
  /** Thrown once, after what has come before. */
  #failure: { readonly error: unknown } | null = null
  #over = false

  constructor(
    signal: AbortSignal | undefined,
    open: () => RunContext,
    observe: (context: RunContext, deliver: (answer: SealedAnswer) => void) => Promise<Observation>
  ) {
    this.#signal = signal
    this.#open = open
    this.#observe = observe
  }

  next(): Promise<Next> {
    // The first read starts the observation: a sequence without a reader would never end.
    if (this.#context === null && !this.#over) this.#begin()
    const newest = this.#newest
    if (newest !== null) {
      this.#newest = null
      return Promise.resolve({ done: false, value: newest })
    }
    const failure = this.#failure
    if (failure !== null) {
      this.#failure = null
      return Promise.reject(failure.error)
    }
    if (this.#over) return Promise.resolve(DONE)
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  async return(): Promise<Next> {
    this.#newest = null
    this.#failure = null
    this.#end()
    await this.#context?.end('unsubscribe')
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
    if (this.#signal?.aborted) {
      this.#over = true
      return
    }
    let context: RunContext
    try {
      context = this.#context = this.#open()
    } catch (error) {
      this.#fail(error)
      return
    }
    if (context.ended) {
      this.#fail(marked(new IopaError(503, 'shutdown', 'The app is closed: observe before close().'), 'internal'))
      return
    }
    context.defer(() => this.#end())
    const signal = this.#signal
    if (signal !== undefined) {
      const abort = (): void => {
        this.#newest = null
        this.#end()
        void context.end('unsubscribe')
      }
      signal.addEventListener('abort', abort, { once: true })
      context.defer(() => signal.removeEventListener('abort', abort))
    }
    this.#observe(context, answer => this.#deliver(answer)).catch((error: unknown) => this.#fail(error))
  }

  #deliver(answer: SealedAnswer): void {
    if (this.#over) return
    if (!answer.ok) {
      this.#fail(marked(answer.error ?? new IopaError(answer.status, 'refused', answer.reason), 'internal'))
      return
    }
    const reader = this.#readers.shift()
    const received = handOver(answer as AnswerRecord)
    if (reader === undefined) this.#newest = received
    else reader.resolve({ done: false, value: received })
  }

  #fail(error: unknown): void {
    if (this.#over) return
    const reader = this.#readers.shift()
    if (reader === undefined) this.#failure = { error }
    else reader.reject(error)
    this.#end()
    void this.#context?.end('unsubscribe')
  }

  #end(): void {
    this.#over = true
    for (const reader of this.#readers.splice(0)) reader.resolve(DONE)
  }
}
