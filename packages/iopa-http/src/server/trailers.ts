import { HeaderMap, type Trailers } from '@iopa/transport'
import { checkedName, OutgoingTrailers, type TrailerValue } from '../message/outgoing-trailers.ts'

/** What trailers need to know of their request. */
export interface TrailedRequest {
  /** Names and values that came after its body, once that was read. */
  readonly received: readonly string[]
  /** True while the head of an answer with trailers can still be written. */
  readonly open: boolean
}

/** The fields after the body of a request, and those after the body of its answer. */
export class RequestTrailers implements Trailers {
  readonly #request: TrailedRequest
  readonly #outgoing = new OutgoingTrailers()

  constructor(request: TrailedRequest) {
    this.#request = request
  }

  get received(): HeaderMap {
    return new HeaderMap([...this.#request.received])
  }

  set(name: string, value: TrailerValue): boolean {
    checkedName(name, value)
    if (this.#request.open) this.#outgoing.set(name, value)
    return this.#request.open
  }

  /** The names that are sent, for the field Trailer; empty for none. */
  get names(): string {
    return this.#outgoing.names
  }

  /** Names and values, by turns. @throws IopaError 500 for a value that HTTP cannot carry, and what a function throws */
  fields(): Promise<string[]> {
    return this.#outgoing.fields()
  }
}

/** A body that ends when its trailers are made. */
export async function* trailed(
  body: AsyncIterable<Uint8Array>,
  trailers: RequestTrailers,
  made: (fields: readonly string[]) => void
): AsyncGenerator<Uint8Array> {
  yield* body
  made(await trailers.fields())
}

/** A body in memory as a stream. */
export async function* inOnePiece(body: Uint8Array): AsyncGenerator<Uint8Array> {
  if (body.length > 0) yield body
}
