import type { Outbox } from './outbox.ts'

/**
 * Writes the outboxes once what is being done now is done: at the end of the read that is being handled, or of the current turn
 * when something else, such as a handler that took its time, had an answer.
 */
export class Flusher {
  #waiting: Outbox[] = []
  #depth = 0
  #queued = false
  readonly #flush = (): void => {
    this.#queued = false
    this.flush()
  }

  readonly add = (outbox: Outbox): void => {
    this.#waiting.push(outbox)
    if (this.#depth > 0 || this.#queued) return
    this.#queued = true
    queueMicrotask(this.#flush)
  }

  /** Runs `work` and then writes all it produced. */
  batch(work: () => void): void {
    this.begin()
    try {
      work()
    } finally {
      this.end()
    }
  }

  begin(): void {
    this.#depth++
  }

  end(): void {
    if (--this.#depth === 0) this.flush()
  }

  flush(): void {
    while (this.#waiting.length > 0) {
      const outboxes = this.#waiting
      this.#waiting = []
      for (const outbox of outboxes) outbox.flush()
    }
  }
}
