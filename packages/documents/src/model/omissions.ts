/** What a document cannot say, and why: the member `x-omitted` of each document. */
export interface Omission {
  /** What it is about, such as `GET /lights/{id}`. */
  readonly of: string
  readonly reason: string
}

/** Omissions that a document tells at most. */
const MOST = 1000

/** Collects the omissions of one document, each once. */
export class Omissions {
  readonly #known = new Map<string, Omission>()
  #further = 0

  add(of: string, reason: string): void {
    const key = `${of} ${reason}`
    if (this.#known.has(key)) return
    if (this.#known.size < MOST) this.#known.set(key, { of, reason })
    else this.#further++
  }

  /** The member of the document; nothing where all was said. */
  member(): { readonly 'x-omitted'?: readonly Omission[] } {
    if (this.#known.size === 0) return {}
    const further = this.#further === 0 ? [] : [{ of: 'the document', reason: `${this.#further} further omissions are not listed` }]
    return { 'x-omitted': [...this.#known.values(), ...further] }
  }
}
