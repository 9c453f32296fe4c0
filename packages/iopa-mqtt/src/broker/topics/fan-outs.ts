import type { Turns } from '../operation/turns.ts'
import type { Backpressure } from '../ports.ts'

/** Deliveries that are one unit of work: most of them only append to what leaves anyway. */
const IN_ONE_UNIT = 4

/** One message on its way to many. */
interface FanOut {
  readonly topic: string
  readonly length: number
  readonly size: number
  readonly give: (index: number) => void
  readonly done: () => void
  at: number
}

/**
 * Messages for many recipients, in slices: one after another, each topic in order. While one is under way no further message begins, but
 * those of clients with nothing else at work: the others would only have to wait longer.
 */
export class FanOuts {
  readonly #turns: Turns
  readonly #pressure: Backpressure
  readonly #relieved: () => void
  #queue: FanOut[] = []
  /** How many of each topic are under way. */
  readonly #topics = new Map<string, number>()
  #walking = false
  /** Bytes that the queues of their recipients may yet need. */
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

  /** True while a message to this topic is under way: the next one comes after it. */
  has(topic: string): boolean {
    return this.#topics.has(topic)
  }

  /** Calls `give` for every index below `length`, after what was added before, and then `done`; true when all of that has been done at once. */
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
