import { HeaderMap, IopaError, type Trailers } from '@iopa/transport'
import { mayFollowBody } from '../message/answer-fields.ts'
import { checkField } from '../message/answer-head.ts'

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
  readonly #values = new Map<string, string | (() => string | Promise<string>)>()

  constructor(request: TrailedRequest) {
    this.#request = request
  }

  get received(): HeaderMap {
    return new HeaderMap([...this.#request.received])
  }

  set(name: string, value: string | (() => string | Promise<string>)): boolean {
    checkField(name, typeof value === 'string' ? value : '')
    const lower = name.toLowerCase()
    if (!mayFollowBody(lower)) throw new IopaError(500, 'bad-header-name', `'${name}' must come before the body: set it as a header of the answer.`)
    if (!this.#request.open) return false
    this.#values.set(lower, value)
    return true
  }

  /** The names that are sent, for the field Trailer; empty for none. */
  get names(): string {
    return [...this.#values.keys()].join(', ')
  }

  /** Names and values, by turns. @throws IopaError 500 for a value that HTTP cannot carry, and what a function throws */
  async fields(): Promise<string[]> {
    const fields: string[] = []
    for (const [name, value] of this.#values) {
      const text = typeof value === 'string' ? value : await value()
      checkField(name, text)
      fields.push(name, text)
    }
    return fields
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
