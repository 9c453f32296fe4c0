import { type Body, type BodyHolder, type BodyStream, bodyTooLarge, collectBytes, IopaError, type RequestSource } from '@iopa/transport'

/** A web request as the source of a context. */
export class FetchRequest implements RequestSource {
  readonly #request: Request
  readonly #authority: string
  readonly #limit: number

  constructor(request: Request, authority: string, limit: number) {
    this.#request = request
    this.#authority = authority
    this.#limit = limit
  }

  headers(): string[] {
    const pairs: string[] = []
    this.#request.headers.forEach((value, name) => {
      pairs.push(name, value)
    })
    return pairs
  }

  hasPrecondition(): boolean {
    const { headers } = this.#request
    return headers.has('if-none-match') || headers.has('if-match') || headers.has('if-modified-since') || headers.has('if-unmodified-since')
  }

  authority(): string {
    return this.#authority
  }

  body(): Body {
    return this.#request.body === null ? null : new FetchBody(this.#request, this.#limit)
  }
}

/** The body of a web request, at most `limit` bytes of it. */
class FetchBody implements BodyStream {
  readonly #request: Request
  readonly #limit: number

  constructor(request: Request, limit: number) {
    this.#request = request
    this.#limit = limit
  }

  bytes(limit: number, holder?: BodyHolder): Promise<Uint8Array> {
    return collectBytes(this, Math.min(limit, this.#limit), holder)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    if (this.#request.bodyUsed || this.#request.body === null) {
      throw new IopaError(500, 'body-used', 'The body is being read already; use context.bytes(), text() or json(), which remember it.')
    }
    const reader = this.#request.body.getReader()
    let length = 0
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        length += next.value.length
        if (length > this.#limit) throw bodyTooLarge(this.#limit)
        yield next.value
      }
    } finally {
      await reader.cancel().catch(() => undefined)
    }
  }
}
