import type { Context } from '@iopa/appbuilder'
import { type CollectionQuery, cursorOf } from './collection-query.ts'
import type { Params } from './document-keys.ts'
import type { Kept } from './documents.ts'
import type { ItemHost } from './item-handlers.ts'
import type { Served } from './served-resources.ts'

/** Documents that one page looks at: it ends before it is full where few of them fit. */
const MOST_SCANNED = 10_000
/** Documents that one page asks the app about, times its length. */
const ASKED_TIMES = 10
/** Documents that the app is asked about at the same time. */
const AT_ONCE = 16

/** One page of a collection. */
export interface Page {
  readonly items: readonly unknown[]
  /** The cursor of the next page; missing on the last one. */
  readonly next?: string
}

/** Makes the pages of a collection: documents that its path names, that fit the query, and that the user may GET. */
export class CollectionPages {
  readonly #host: ItemHost
  readonly #served: Served
  readonly #item: (document: Kept) => unknown
  /** How many parameters of the collection are the first ones of its documents, which then stand together; 0 where they do not. */
  readonly #leading: number

  constructor(host: ItemHost, served: Served, item: (document: Kept) => unknown) {
    const { names } = host.keys
    this.#host = host
    this.#served = served
    this.#item = item
    this.#leading = names.slice(0, served.names.length).every(name => served.names.includes(name)) ? served.names.length : 0
  }

  async page(params: Params, query: CollectionQuery, context: Context): Promise<Page> {
    const { keys } = this.#host
    const items: unknown[] = []
    const scan = this.#scan(params, query)
    let last = query.after
    let asked = 0
    for (;;) {
      const group: (readonly [Kept, boolean | Promise<boolean>])[] = []
      let next = scan.next()
      while (next.done !== true) {
        group.push([next.value, this.#served.host.mayGet(keys.pathOf(next.value.key), context)])
        if (group.length === AT_ONCE) break
        next = scan.next()
      }
      for (const [document, verdict] of group) {
        const isVisible = typeof verdict === 'boolean' ? verdict : await verdict
        if (isVisible && items.length >= query.limit) return { items, next: cursorOf(last) }
        if (isVisible) items.push(this.#item(document))
        last = document.key
        if (typeof verdict !== 'boolean' && ++asked >= query.limit * ASKED_TIMES) return { items, next: cursorOf(last) }
      }
      if (next.done === true) return next.value === undefined ? { items } : { items, next: cursorOf(next.value) }
    }
  }

  /** The documents that fit; returns the key of the last one that it has looked at where it ends early. */
  *#scan(params: Params, { after, fits }: CollectionQuery): Generator<Kept, string | undefined> {
    const { documents, represent } = this.#host
    let scanned = 0
    let last = after
    for (const document of documents.list(this.#prefix(params), after)) {
      if (++scanned > MOST_SCANNED) return last
      last = document.key
      if (this.#isWithin(params, document.key) && fits(() => represent(document))) yield document
    }
    return undefined
  }

  #prefix(params: Params): string {
    return this.#leading === 0 ? '' : this.#host.keys.leading(params, this.#leading)
  }

  #isWithin(params: Params, key: string): boolean {
    const { names } = this.#served
    if (names.length === this.#leading) return true
    const own = this.#host.keys.paramsOf(key)
    return names.every(name => own[name] === String(params[name]))
  }
}
