import type { BodyDecoder } from '../message/body-decoder.ts'
import type { Inflow } from './inflow.ts'

/** The rest of a body that nobody reads, before the next request of its connection. */
export class DiscardedBody {
  readonly #decoder: BodyDecoder
  #left: number

  /** At most `most` bytes are read over, framing included. */
  constructor(decoder: BodyDecoder, most: number) {
    this.#decoder = decoder
    this.#left = most
  }

  get done(): boolean {
    return this.#decoder.done
  }

  get tooLong(): boolean {
    return this.#left < 0
  }

  /** Reads over what has come. @throws IopaError for chunks that are none. */
  take(inflow: Inflow): void {
    const { at } = inflow
    const end = this.#decoder.decode(inflow.chunk, at, null)
    this.#left -= end - at
    inflow.advance(end)
  }
}
