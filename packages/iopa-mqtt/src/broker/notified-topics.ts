import { TopicTree } from '../topics/topic-tree.ts'

/** Topics of the states that have changed since the start, for subscriptions with wildcards; the oldest are forgotten beyond the bound. */
export class NotifiedTopics {
  readonly #tree = new TopicTree<string>()
  readonly #order = new Set<string>()
  readonly #max: number

  constructor(max: number) {
    this.#max = max
  }

  add(topic: string): void {
    if (this.#order.has(topic)) return
    if (this.#order.size >= this.#max) {
      const oldest = this.#order.values().next().value as string
      this.delete(oldest)
    }
    this.#order.add(topic)
    this.#tree.set(topic, topic)
  }

  delete(topic: string): void {
    if (this.#order.delete(topic)) this.#tree.delete(topic)
  }

  /** The topics that a filter matches, found one after another; null stands for a piece of the search that found none. */
  match(filter: string): Generator<string | null, void, undefined> {
    return this.#tree.match(filter)
  }
}
