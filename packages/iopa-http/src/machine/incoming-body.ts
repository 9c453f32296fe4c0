import { type BodyDecoder, type BodySink, ChunkedBody, SizedBody } from '../message/body-decoder.ts'
import type { HeadFields } from '../message/request-head.ts'

/** Bytes that have come and were not read yet: those of `chunk` from `at` on, and others behind them. */
export interface UnreadBytes {
  readonly chunk: Uint8Array
  readonly at: number
  /** The chunk has been read up to `at`. */
  advance(at: number): void
}

/** Who reads the body of the request in work. */
export interface BodyReader extends BodySink {
  /** True while it waits for more. */
  readonly wanted: boolean
  /** True when the rest of the body is of no use. */
  readonly failed: boolean
  /** The body is complete; names and values that came after it. */
  end(trailers: readonly string[]): void
}

/** Limits of what comes, in bytes. */
export interface IncomingLimits {
  /** A request body. */
  readonly body: number
  /** A head, and the trailers of a body. */
  readonly headerBytes: number
}

/** The body of the request in work: how much of it has come, and whether a request can follow it. */
export class IncomingBody {
  /** Reads the body; null before the app reads it. */
  reader: BodyReader | null = null
  /** True while the client waits for 100 Continue before it sends the body (RFC 9110 section 10.1.1). */
  expectsContinue = false
  /** True when the request is answered without having been looked at: its body is not either. */
  refused = false
  /** True when the body cannot be read any more. */
  broken = false
  readonly #limits: IncomingLimits
  #decoder: BodyDecoder | null = null
  #length = 0
  /** Bytes that may still be read over, framing included. */
  #discardable = 0

  constructor(limits: IncomingLimits) {
    this.#limits = limits
  }

  /** True when a part of the body is still to come, or was not read. */
  get unread(): boolean {
    return this.#decoder !== null && !this.#decoder.done
  }

  /** True when more of the body was read over than is worth its connection. */
  get overlong(): boolean {
    return this.#discardable < 0
  }

  /** A head has come that a body follows. */
  begin({ length, expectation }: HeadFields, minor: 0 | 1): void {
    this.expectsContinue = expectation !== '' && minor > 0
    this.refused = this.broken = false
    this.reader = null
    this.#length = length
    this.#discardable = 2 * this.#limits.body
    this.#decoder = length < 0 ? new ChunkedBody(this.#limits.headerBytes) : new SizedBody(length)
  }

  /** Hands the reader what has come; false when it wants nothing now. @throws IopaError 400, 413, 431. */
  feed(bytes: UnreadBytes): boolean {
    const { reader } = this
    const decoder = this.#decoder
    if (reader === null || decoder === null || decoder.done || !reader.wanted) return false
    bytes.advance(decoder.decode(bytes.chunk, bytes.at, reader))
    if (decoder.done) reader.end(decoder.trailers)
    return true
  }

  /** All of the body, when it has come in one piece and has at most `most` bytes; else null. */
  whole(bytes: UnreadBytes, most: number): Uint8Array | null {
    const { chunk, at } = bytes
    const length = this.#length
    if (this.#decoder === null || this.#decoder.done || length < 0 || length > most || chunk.length - at < length) return null
    bytes.advance(this.#decoder.decode(chunk, at, null))
    return chunk.subarray(at, at + length)
  }

  /** Reads over what has come of a body that is not read. @throws IopaError 400, 413, 431. */
  discard(bytes: UnreadBytes): void {
    const { at } = bytes
    const end = (this.#decoder as BodyDecoder).decode(bytes.chunk, at, null)
    this.#discardable -= end - at
    bytes.advance(end)
  }

  /** True when the rest of the body is lost, or may never come. */
  get spoilt(): boolean {
    // A client that was not asked for its body may send it or not (RFC 9110 section 10.1.1).
    return this.unread && (this.broken || this.expectsContinue || this.reader?.failed === true)
  }

  /**
   * True when the rest of the body may not be read over, so that no request can follow; reads over what has come in
   * chunks. `begun` says that the answer has left.
   */
  isUnfinishable(bytes: UnreadBytes, begun: boolean): boolean {
    if (!this.unread) return false
    if (this.spoilt || this.#length > this.#limits.body) return true
    if (this.#length >= 0) return false
    // The body of a refused request is not looked at again.
    if (this.refused) return true
    // All of a body in chunks may be there. A stream that has left did not say that it is the last answer.
    return !this.#skip(bytes, this.#decoder as BodyDecoder) && !begun
  }

  /** Reads over what has come; false when that is malformed, or more is to come. */
  #skip(bytes: UnreadBytes, decoder: BodyDecoder): boolean {
    try {
      while (bytes.at < bytes.chunk.length && !decoder.done) bytes.advance(decoder.decode(bytes.chunk, bytes.at, null))
      return decoder.done
    } catch {
      return false
    }
  }
}
