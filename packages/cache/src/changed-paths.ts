/** Paths that are remembered while GETs are under way. */
const MOST_PATHS = 1000

/** Which paths have changed while GETs were under way, so that what they have read before is not kept. */
export class ChangedPaths {
  readonly #last = new Map<string, number>()
  #count = 0
  #forgotten = 0
  #running = 0

  /** A GET begins: the moment that `since` takes. */
  begin(): number {
    this.#running++
    return this.#count
  }

  /** A GET is over. */
  end(): void {
    if (--this.#running === 0) this.#last.clear()
  }

  add(path: string): void {
    if (this.#running === 0) return
    this.#last.delete(path)
    this.#last.set(path, ++this.#count)
    if (this.#last.size <= MOST_PATHS) return
    const [oldest, at] = this.#last.entries().next().value as [string, number]
    this.#last.delete(oldest)
    this.#forgotten = at
  }

  /** True when the path may have changed after this moment. */
  since(moment: number, path: string): boolean {
    return this.#forgotten > moment || (this.#last.get(path) ?? 0) > moment
  }
}
