/** A stream of bytes whose first chunk comes and whose second never does. */
export class StalledStream implements AsyncIterableIterator<Uint8Array, undefined> {
  #asked = 0
  #returned = false

  /** True once its reader waits for the second chunk. */
  get stalls(): boolean {
    return this.#asked > 1
  }

  /** True once its reader has given it up. */
  get returned(): boolean {
    return this.#returned
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.#asked++ === 0 ? Promise.resolve({ done: false, value: new TextEncoder().encode('part ') }) : new Promise(() => undefined)
  }

  return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.#returned = true
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
