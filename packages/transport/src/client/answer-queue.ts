import type { LinkAnswer } from '@iopa/context'

type Next = IteratorResult<LinkAnswer, undefined>

interface Reader {
  readonly resolve: (next: Next) => void
  readonly reject: (error: unknown) => void
}

/** Bounds of a queue. */
export interface AnswerQueueLimits {
  readonly queueMessages: number
  /** Bytes of the bodies; the newest answer is always kept. */
  readonly queueBytes: number
}

/** Keeps the newest answer alone. */
export const NEWEST_ONLY: AnswerQueueLimits = { queueMessages: 1, queueBytes: Number.POSITIVE_INFINITY }

const DONE: Next = { done: true, value: undefined }

/** Answers of an observation on their way to the loop that reads them. Where the loop is slow the oldest go: the newest state is never lost. */
export class AnswerQueue {
  readonly #limits: AnswerQueueLimits
  readonly #answers: LinkAnswer[] = []
  readonly #readers: Reader[] = []
  #bytes = 0
  #over = false
  /** Thrown once, after what has come before. */
  #failure: { readonly error: unknown } | null = null

  constructor(limits: AnswerQueueLimits) {
    this.#limits = limits
  }

  /** True once no further answer is taken. */
  get over(): boolean {
    return this.#over
  }

  push(answer: LinkAnswer): void {
    if (this.#over) return
    const reader = this.#readers.shift()
    if (reader !== undefined) {
      reader.resolve({ done: false, value: answer })
      return
    }
    this.#answers.push(answer)
    this.#bytes += this.#sizeOf(answer)
    while (this.#answers.length > 1 && (this.#answers.length > this.#limits.queueMessages || this.#bytes > this.#limits.queueBytes)) {
      this.#bytes -= this.#sizeOf(this.#answers.shift() as LinkAnswer)
    }
  }

  /** Drops what waits: an answer that comes now is newer than all of it. */
  clear(): void {
    this.#answers.length = 0
    this.#bytes = 0
  }

  /** No further answer comes. What waits is still given out. */
  end(): void {
    this.#over = true
    for (const { resolve } of this.#readers.splice(0)) resolve(DONE)
  }

  /** As `end`; then one reader gets the error. */
  fail(error: unknown): void {
    if (this.#over) return
    const reader = this.#readers.shift()
    if (reader === undefined) this.#failure = { error }
    else reader.reject(error)
    this.end()
  }

  /** Ends at once, without what waits. */
  cut(): void {
    this.clear()
    this.#failure = null
    this.end()
  }

  next(): Promise<Next> {
    const answer = this.#answers.shift()
    if (answer !== undefined) {
      this.#bytes -= this.#sizeOf(answer)
      return Promise.resolve({ done: false, value: answer })
    }
    const failure = this.#failure
    if (failure !== null) {
      this.#failure = null
      return Promise.reject(failure.error)
    }
    if (this.#over) return Promise.resolve(DONE)
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }))
  }

  /** 0 where bytes do not count: a body is not encoded for that. */
  #sizeOf(answer: LinkAnswer): number {
    return this.#limits.queueBytes === Number.POSITIVE_INFINITY || answer.isStream ? 0 : answer.payloadBytes.length
  }
}
