import type { IncomingMessage } from 'node:http'
import {
  type Body,
  type BodyHolder,
  type BodyStream,
  bodyTooLarge,
  collectBytes,
  hasPreconditionField,
  IopaError,
  type RequestSource
} from '@iopa/transport'

/** A request of a Node server as the source of a context. */
export class NodeRequest implements RequestSource {
  readonly #request: IncomingMessage
  readonly #authority: string
  readonly #limit: number

  constructor(request: IncomingMessage, authority: string, limit: number) {
    this.#request = request
    this.#authority = authority
    this.#limit = limit
  }

  headers(): string[] {
    const { rawHeaders } = this.#request
    // Those of HTTP/2 that begin with a colon are its request line (RFC 9113 section 8.3).
    return rawHeaders.filter((_, at) => !(rawHeaders[at - (at % 2)] as string).startsWith(':'))
  }

  hasPrecondition(): boolean {
    return hasPreconditionField(this.#request.rawHeaders)
  }

  authority(): string {
    return this.#authority
  }

  body(): Body {
    const request = this.#request
    const parsed = parsedBody(request)
    if (parsed !== null) return parsed
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers
    if (request.httpVersionMajor === 1 && coding === undefined && (length === undefined || length === '0')) return null
    return new NodeBody(request, this.#limit)
  }
}

/** What the server around has read of the body, and has put where its parsers put it; null where the body is not read yet. */
const parsedBody = (request: IncomingMessage): Uint8Array | null => {
  const { rawBody, body } = request as { readonly rawBody?: unknown; readonly body?: unknown }
  if (!request.readableEnded && !request.destroyed) return null
  if (rawBody instanceof Uint8Array) return rawBody
  if (body instanceof Uint8Array) return body
  if (typeof body === 'string') return Buffer.from(body)
  const isJson = /^application\/(?:[^;]*\+)?json\b/i.test(request.headers['content-type'] ?? '')
  return isJson && body !== undefined ? Buffer.from(JSON.stringify(body)) : null
}

/** The body of a request, at most `limit` bytes of it. */
class NodeBody implements BodyStream {
  readonly #request: IncomingMessage
  readonly #limit: number
  #begun = false

  constructor(request: IncomingMessage, limit: number) {
    this.#request = request
    this.#limit = limit
  }

  bytes(limit: number, holder?: BodyHolder): Promise<Uint8Array> {
    return collectBytes(this, Math.min(limit, this.#limit), holder)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    if (this.#begun || this.#request.readableEnded) {
      throw new IopaError(
        500,
        'body-used',
        'The body has been read already: use context.bytes(), text() or json(), or let the server around not parse it.'
      )
    }
    this.#begun = true
    let length = 0
    try {
      // To give the request up would end the connection before its answer.
      for await (const chunk of this.#request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
        length += chunk.length
        if (length > this.#limit) throw bodyTooLarge(this.#limit)
        yield chunk
      }
    } catch (error) {
      throw this.#request.errored == null && !this.#request.destroyed
        ? error
        : new IopaError(400, 'incomplete-request', 'The peer has gone before its request was complete.', { cause: error })
    }
  }
}
