import type { Turns } from '../operation/turns.ts'
import type { Backpressure } from '../ports.ts'

/** Deliveries per unit of work: most of them only append to a send buffer. */
const IN_ONE_UNIT = 4

/** One message that is being forwarded to many recipients. */
interface FanOut {
  readonly topic: string
  readonly length: number
  readonly size: number
  readonly give: (index: number) => void
  readonly done: () => void
  at: number
}

/**
 * Forwards messages to many recipients in slices, one message after another, each topic in order. Meanwhile no further message is admitted,
 * except of users without running messages.
 */
export class FanOuts {
  readonly #turns: Turns
  readonly #pressure: Backpressure
  readonly #relieved: () => void
  readonly #queue: FanOut[] = []
  /** Number of messages under way by topic. */
  readonly #topics = new Map<string, number>()
  #walking = false
  /** Bytes that the queues of the remaining recipients may need. */
  bytes = 0

  /** It sets `pressure` while a message is under way; `relieved` is called when none is any more. */
  constructor(turns: Turns, pressure: Backpressure, relieved: () => void) {
    this.#pressure = pressure
    this.#turns = turns
    this.#relieved = relieved
  }

  get busy(): boolean {
    return this.#queue.length > 0
  }

  /** True while a message to this topic is under way: the next one must follow it. */
  has(topic: string): boolean {
    return this.#topics.has(topic)
  }

  /** Calls `give` for every index below `length`, after the messages added before, and then `done`; true if all of that was done at once. */
  add(topic: string, length: number, size: number, give: (index: number) => void, done: () => void): boolean {
    const fanOut: FanOut = { topic, length, size, give, done, at: 0 }
    this.#queue.push(fanOut)
    this.#pressure.forwarding = true
    this.#topics.set(topic, (this.#topics.get(topic) ?? 0) + 1)
    this.bytes += length * size
    if (!this.#walking) this.#walk()
    return fanOut.at === length
  }

  readonly #walk = (): void => {
    this.#walking = true
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      while (first.at < first.length) {
        if (!this.#turns.take()) {
          this.#turns.wait(this.#walk)
          return
        }
        const before = first.at
        const end = Math.min(first.length, before + IN_ONE_UNIT)
        while (first.at < end) first.give(first.at++)
        this.bytes -= (end - before) * first.size
      }
      this.#queue.shift()
      this.#pressure.forwarding = this.#queue.length > 0
      this.#forget(first.topic)
      first.done()
    }
    this.#walking = false
    this.#relieved()
  }

  #forget(topic: string): void {
    const left = (this.#topics.get(topic) as number) - 1
    if (left > 0) this.#topics.set(topic, left)
    else this.#topics.delete(topic)
  }
}
