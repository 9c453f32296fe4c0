/** One page of a list. */
export interface PageOf<Item> {
  readonly items: readonly Item[]
  /** The `after` of the next page; missing on the last one. */
  readonly next?: string
}

/** The first items behind a place, in the order of their keys, out of any number that are offered in any order. */
export class Page<Item> {
  readonly #after: string
  readonly #limit: number
  readonly #keys: string[] = []
  readonly #items: Item[] = []
  #more = false

  constructor(after: string, limit: number) {
    this.#after = after
    this.#limit = limit
  }

  offer(key: string, item: Item): void {
    const keys = this.#keys
    if (key <= this.#after) return
    if (keys.length === this.#limit) {
      this.#more = true
      if (key > (keys[keys.length - 1] as string)) return
      keys.pop()
      this.#items.pop()
    }
    let low = 0
    for (let high = keys.length; low < high; ) {
      const middle = (low + high) >> 1
      if ((keys[middle] as string) < key) low = middle + 1
      else high = middle
    }
    keys.splice(low, 0, key)
    this.#items.splice(low, 0, item)
  }

  /** The page, each item as `view` shows it. */
  result<View>(view: (item: Item) => View): PageOf<View> {
    const items = this.#items.map(view)
    return this.#more ? { items, next: this.#keys[this.#keys.length - 1] as string } : { items }
  }
}
