import type { Answer, Context } from '@iopa/context'

/** One observer: it gets the newest answer when the delivery before has finished, and skips those in between. */
export class Observer<Group = unknown> {
  readonly context: Context
  readonly path: string
  readonly #deliver: (answer: Answer) => Promise<void> | void
  readonly #remove: () => void
  #busy = false
  #newest: Answer | null = null
  /** A change came while the first answer was on its way. */
  dirty = false
  removed = false
  /** Those with whom it shares runs. */
  group: Group | null = null

  constructor(context: Context, path: string, deliver: (answer: Answer) => Promise<void> | void, remove: () => void) {
    this.context = context
    this.path = path
    this.#deliver = deliver
    this.#remove = remove
  }

  /** Delivers the answer to the observing request itself. */
  async deliverFirst(answer: Answer): Promise<void> {
    try {
      await this.#deliver(answer)
    } catch (error) {
      this.#failed(error)
    }
  }

  /** Delivers a notification, or keeps it until the delivery before has finished. One that is not 2xx is the last. */
  push(answer: Answer): void {
    if (this.#busy) {
      this.#newest = answer
      return
    }
    if (!answer.ok) this.#remove()
    let delivered: Promise<void> | void
    try {
      delivered = this.#deliver(answer)
    } catch (error) {
      this.#failed(error)
      return
    }
    if (delivered === undefined) return
    this.#busy = true
    delivered.then(
      () => this.#next(),
      (error: unknown) => this.#failed(error)
    )
  }

  #next(): void {
    this.#busy = false
    const newest = this.#newest
    this.#newest = null
    if (newest !== null && !this.removed) this.push(newest)
  }

  #failed(error: unknown): void {
    this.#remove()
    if (!this.context.ended) this.context['server.Logger'].error(`iopa: an observer of ${this.path} could not be told`, error)
    void this.context.end('disconnect')
  }
}
