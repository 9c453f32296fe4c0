import type { Outbox } from './outbox.ts'

/**
 * Writes the outboxes once what is being done now is done: at the end of the read that is being handled, or when something else, such as
 * a handler that took its time, had an answer. Where many handlers end in one turn of the event loop, the first has its bytes written at
 * once, and those of the others leave together.
 */
export class Flusher {
  #waiting: Outbox[] = []
  #depth = 0
  #queued = false
  /** True when something was written in this turn, outside of a read. */
  #written = false
  readonly #flush = (): void => {
    this.#queued = false
    this.flush()
  }
  readonly #turn = (): void => {
    this.#written = false
    if (this.#queued) this.#flush()
  }

  readonly add = (outbox: Outbox): void => {
    this.#waiting.push(outbox)
    if (this.#depth > 0 || this.#queued) return
    this.#queued = true
    if (this.#written) return
    this.#written = true
    queueMicrotask(this.#flush)
    setImmediate(this.#turn)
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
