import type { IncomingMessage } from 'node:http'
import { type BodyStream, bodyTooLarge, concatBytes, IopaError } from '@iopa/appbuilder'

/** The body of a request as it comes in: read whole, or chunk by chunk with back-pressure; at most `limit` bytes of it. */
export class RequestBody implements BodyStream {
  readonly #message: IncomingMessage
  readonly #limit: number
  readonly #begin: () => void
  readonly #waits: (waiting: boolean) => void
  #begun = false
  #read = 0
  #error: IopaError | null = null
  #wake: (() => void) | null = null

  /** `begin` is called when the body is asked for, `waits` when somebody begins and ends to wait for the peer. */
  constructor(message: IncomingMessage, limit: number, begin: () => void, waits: (waiting: boolean) => void) {
    this.#message = message
    this.#limit = limit
    this.#begin = begin
    this.#waits = waits
  }

  /** True when the rest of the body is of no use: it is too long, malformed or will not come. */
  get failed(): boolean {
    return this.#error !== null
  }

  /** All bytes. @throws IopaError 413 beyond `limit`, 400 when the body cannot be read to its end. */
  bytes(limit: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#start()
      if (this.#error !== null) return reject(this.#error)
      const message = this.#message
      const most = Math.min(limit, this.#limit)
      const chunks: Uint8Array[] = []
      const data = (chunk: Uint8Array): void => {
        if (this.#error !== null) return
        this.#read += chunk.length
        chunks.push(chunk)
        if (this.#read > most) this.fail(bodyTooLarge(most))
      }
      this.#waits(true)
      this.#wake = () => {
        this.#waits(false)
        if (this.#error === null) resolve(concatBytes(chunks, this.#read))
        else reject(this.#error)
      }
      message.on('data', data)
      message.on('end', () => this.#notify())
    })
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    this.#start()
    const message = this.#message
    message.on('readable', () => this.#notify())
    message.on('end', () => this.#notify())
    for (;;) {
      if (this.#error !== null) throw this.#error
      const chunk = message.read() as Uint8Array | null
      if (chunk !== null) {
        this.#read += chunk.length
        if (this.#read > this.#limit) this.fail(bodyTooLarge(this.#limit))
        else yield chunk
      } else if (message.readableEnded) return
      else await this.#more()
    }
  }

  /** Ends the reading with an error; whoever waits for a chunk gets it. */
  fail(error: IopaError): void {
    if (this.#error !== null || this.#message.readableEnded) return
    this.#error = error
    this.#notify()
  }

  #start(): void {
    if (this.#begun)
      throw new IopaError(
        500,
        'body-used',
        'The body is a stream that somebody has begun to read; use context.bytes(), text() or json(), which remember it.'
      )
    this.#begun = true
    this.#begin()
  }

  #more(): Promise<void> {
    this.#waits(true)
    return new Promise(resolve => {
      this.#wake = () => {
        this.#waits(false)
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
