import { IopaError } from '@iopa/constants'
import type { LinkAnswer, SealedAnswer } from '@iopa/context'
import { type AnswerRecord, handOver, type RunContext } from '@iopa/context/host'
import type { Observation } from '@iopa/transport'
import { AnswerQueue, marked, NEWEST_ONLY } from '@iopa/transport/host'

type Next = IteratorResult<LinkAnswer, undefined>

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
  readonly #queue = new AnswerQueue(NEWEST_ONLY)
  #context: RunContext | null = null

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
    if (this.#context === null && !this.#queue.over) this.#begin()
    return this.#queue.next()
  }

  async return(): Promise<Next> {
    this.#queue.cut()
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
      this.#queue.end()
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
    context.defer(() => this.#queue.end())
    const signal = this.#signal
    if (signal !== undefined) {
      const abort = (): void => {
        this.#queue.cut()
        void context.end('unsubscribe')
      }
      signal.addEventListener('abort', abort, { once: true })
      context.defer(() => signal.removeEventListener('abort', abort))
    }
    this.#observe(context, answer => this.#deliver(answer)).catch((error: unknown) => this.#fail(error))
  }

  #deliver(answer: SealedAnswer): void {
    if (answer.ok) this.#queue.push(handOver(answer as AnswerRecord))
    else this.#fail(marked(answer.error ?? new IopaError(answer.status, 'refused', answer.reason), 'internal'))
  }

  #fail(error: unknown): void {
    if (this.#queue.over) return
    this.#queue.fail(error)
    void this.#context?.end('unsubscribe')
  }
}
