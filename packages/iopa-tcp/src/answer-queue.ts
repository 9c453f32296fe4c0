import type { LinkAnswer } from '@iopa/transport'

/** Bounds of a queue. */
export interface QueueLimits {
  readonly queueMessages: number
  readonly queueBytes: number
}

/**
 * Answers of an observation on their way to the loop that reads them. When the loop is slow the oldest ones go: an
 * observer is owed the newest state, not those in between.
 */
export class AnswerQueue implements AsyncIterableIterator<LinkAnswer> {
  readonly #limits: QueueLimits
  readonly #answers: LinkAnswer[] = []
  #bytes = 0
  #waiting: { resolve: (result: IteratorResult<LinkAnswer>) => void; reject: (error: unknown) => void } | null = null
  #over = false
  #error: unknown

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  push(answer: LinkAnswer): void {
    if (this.#over) return
    if (this.#waiting !== null) {
      this.#waiting.resolve({ done: false, value: answer })
      this.#waiting = null
      return
    }
    this.#answers.push(answer)
    this.#bytes += answer.payloadBytes.length
    while (this.#answers.length > 1 && (this.#answers.length > this.#limits.queueMessages || this.#bytes > this.#limits.queueBytes)) {
      this.#bytes -= this.#answers.shift()!.payloadBytes.length
    }
  }

  /** Ends the iteration when what is queued has been read; with an error it throws then. */
  end(error?: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#error = error
    const waiting = this.#waiting
    this.#waiting = null
    if (error !== undefined) waiting?.reject(error)
    else waiting?.resolve({ done: true, value: undefined })
  }

  /** Ends the iteration at once. */
  cut(): void {
    this.#answers.length = 0
    this.end()
    this.#error = undefined
  }

  next(): Promise<IteratorResult<LinkAnswer>> {
    const answer = this.#answers.shift()
    if (answer !== undefined) {
      this.#bytes -= answer.payloadBytes.length
      return Promise.resolve({ done: false, value: answer })
    }
    if (!this.#over) return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }))
    const error = this.#error
    this.#error = undefined
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error)
  }

  return(): Promise<IteratorResult<LinkAnswer>> {
    this.cut()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
