import { type BodyHolder, type BodyStream, bodyTooLarge, holdBytes, IopaError } from '@iopa/transport'
import type { BodySink } from '../message/body-decoder.ts'
import { ByteCollector } from './byte-collector.ts'

/** Where the body of the request in work comes from. */
export interface BodyPort {
  /** Somebody begins to read the body. */
  begin(): void
  /** The whole body, when it has come already and is no longer than `most`. */
  whole(most: number): Uint8Array | null
  /** More is wanted: hands over what there is. */
  read(): void
  /** Somebody begins or ends to wait for the peer. */
  waits(waiting: boolean): void
}

/** The body of a request as it comes in: read whole, or chunk by chunk with back-pressure; at most `limit` bytes of it. */
export class RequestBody implements BodyStream, BodySink {
  readonly #port: BodyPort
  readonly #limit: number
  #begun = false
  #ended = false
  /** Somebody waits for the next piece, or for all. */
  #wanted = false
  #read = 0
  #most: number
  #collector: ByteCollector | null = null
  #holder: BodyHolder | undefined
  readonly #pieces: Uint8Array[] = []
  #error: IopaError | null = null
  #wake: (() => void) | null = null

  constructor(port: BodyPort, limit: number) {
    this.#port = port
    this.#limit = limit
    this.#most = limit
  }

  /** True when the rest of the body is of no use: it is too long, malformed or will not come. */
  get failed(): boolean {
    return this.#error !== null
  }

  /** True while somebody waits for more. */
  get wanted(): boolean {
    return this.#wanted && !this.#ended && this.#error === null
  }

  /** All bytes. @throws IopaError 413 beyond `limit`, 400 when the body cannot be read to its end. */
  bytes(limit: number, holder?: BodyHolder): Promise<Uint8Array> {
    try {
      this.#begin()
      this.#holder = holder
      if (this.#error !== null) throw this.#error
      this.#most = Math.min(limit, this.#limit)
      const whole = this.#port.whole(this.#most)
      if (whole === null) return this.#collect(new ByteCollector())
      holdBytes(holder, whole.length)
      this.#ended = true
      return Promise.resolve(whole)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    this.#begin()
    for (;;) {
      if (this.#error !== null) throw this.#error
      const piece = this.#pieces.shift()
      if (piece !== undefined) {
        yield piece
        continue
      }
      if (this.#ended) return
      this.#wanted = true
      this.#port.read()
      if (this.#pieces.length === 0 && !this.#ended && this.#error === null) await this.#more()
    }
  }

  /** Takes what has come; true when more is wanted. */
  push(piece: Uint8Array): boolean {
    if (this.#error !== null) return false
    this.#read += piece.length
    if (this.#read > this.#most) this.fail(bodyTooLarge(this.#most))
    else if (this.#collector !== null) this.#add(piece, this.#collector)
    else {
      this.#pieces.push(piece)
      this.#wanted = false
      this.#notify()
    }
    return this.wanted
  }

  /** All of it has come. */
  end(): void {
    this.#ended = true
    this.#notify()
  }

  /** Ends the reading with an error; whoever waits for a chunk gets it. */
  fail(error: IopaError): void {
    if (this.#error !== null || this.#ended) return
    this.#error = error
    this.#notify()
  }

  #add(piece: Uint8Array, collector: ByteCollector): void {
    try {
      holdBytes(this.#holder, this.#read)
      collector.add(piece)
    } catch (error) {
      // What has been collected is of no use.
      this.#collector = new ByteCollector()
      this.fail(error as IopaError)
    }
  }

  async #collect(collector: ByteCollector): Promise<Uint8Array> {
    this.#collector = collector
    this.#wanted = true
    this.#port.read()
    while (!this.#ended && this.#error === null) await this.#more()
    if (this.#error !== null) throw this.#error
    return collector.take()
  }

  #begin(): void {
    if (this.#begun)
      throw new IopaError(
        500,
        'body-used',
        'The body is a stream that somebody has begun to read; use context.bytes(), text() or json(), which remember it.'
      )
    this.#begun = true
    this.#port.begin()
  }

  #more(): Promise<void> {
    this.#port.waits(true)
    return new Promise(resolve => {
      this.#wake = () => {
        this.#port.waits(false)
        resolve()
      }
    })
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}
