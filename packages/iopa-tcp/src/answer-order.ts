import type { Context } from '@iopa/transport'

/** Requests whose answers leave in the order in which they arrived, whatever order they are finished in. */
export class AnswerOrder {
  // A map keeps the order of its keys; the value says whether the answer is there.
  readonly #requests = new Map<Context, boolean>()

  get empty(): boolean {
    return this.#requests.size === 0
  }

  add(request: Context, finished: boolean): void {
    this.#requests.set(request, finished)
  }

  /** False for a request that has no place in the order. */
  finish(request: Context): boolean {
    if (!this.#requests.has(request)) return false
    this.#requests.set(request, true)
    return true
  }

  /** The request whose turn it is, if its answer is there. */
  get next(): Context | undefined {
    for (const [request, finished] of this.#requests) return finished ? request : undefined
    return undefined
  }

  remove(request: Context): void {
    this.#requests.delete(request)
  }
}
