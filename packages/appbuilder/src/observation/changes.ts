/** Paths that are remembered. */
const MOST_PATHS = 1000

/** Which paths have changed lately: who has begun to read before, and hears only afterwards where it has read, asks here. */
export class Changes {
  readonly #last = new Map<string, number>()
  /** How many changes there have been. */
  count = 0
  /** The newest change that has been forgotten. */
  #forgotten = 0

  add(path: string): void {
    this.#last.delete(path)
    this.#last.set(path, ++this.count)
    if (this.#last.size <= MOST_PATHS) return
    const [oldest, at] = this.#last.entries().next().value as [string, number]
    this.#last.delete(oldest)
    this.#forgotten = at
  }

  /** True when the path may have changed after the first `count` changes. */
  since(count: number, path: string): boolean {
    return this.#forgotten > count || (this.#last.get(path) ?? 0) > count
  }
}
