import { type BodyHolder, type BodyStream, bodyTooLarge, holdBytes, IopaError } from '@iopa/transport'
import type { HttpMachine } from '../machine/http-machine.ts'
import type { BodyReader } from '../machine/incoming-body.ts'
import { ANSWERING_EARLY, RECEIVED, RECEIVING } from '../machine/transitions.ts'
import { informationalHead } from '../message/answer-head.ts'
import type { PeerWatch } from './peer-watch.ts'
import type { WriteBuffer } from './write-buffer.ts'

/** Where the body of a request comes from. */
export interface BodySource {
  /** `reader` begins to read. */
  begin(reader: BodyReader): void
  /** The whole body, when it has come already and has at most `most` bytes. */
  whole(most: number): Uint8Array | null
  /** More is wanted. */
  read(): void
  /** A reader begins or ends to wait for the peer. */
  waits(waiting: boolean): void
  /** Sends an informational answer, unless the final one has begun. @throws IopaError 500 for fields that HTTP cannot carry */
  inform(status: number, pairs: readonly string[]): boolean
}

/** The bodies of the requests of one connection of HTTP/1.1. */
export class BodyPort implements BodySource {
  readonly #machine: HttpMachine
  readonly #buffer: WriteBuffer
  readonly #watch: PeerWatch
  /** More is wanted: hands over what there is. */
  readonly read: () => void

  constructor(machine: HttpMachine, buffer: WriteBuffer, watch: PeerWatch, read: () => void) {
    this.#machine = machine
    this.#buffer = buffer
    this.#watch = watch
    this.read = read
  }

  /** `reader` begins to read the body of the request in work. */
  begin(reader: BodyReader): void {
    const { body, state } = this.#machine
    body.reader = reader
    // The client may wait with its body until it is asked for (RFC 9110 section 10.1.1).
    if (!body.expectsContinue || state >= ANSWERING_EARLY) return
    body.expectsContinue = false
    this.#buffer.text('HTTP/1.1 100 Continue\r\n\r\n')
    this.#buffer.flush()
  }

  /** The whole body, when it has come already and has at most `most` bytes. */
  whole(most: number): Uint8Array | null {
    return this.#machine.whole(most)
  }

  inform(status: number, pairs: readonly string[]): boolean {
    const { state } = this.#machine
    if (state !== RECEIVING && state !== RECEIVED) return false
    this.#buffer.bytes(informationalHead(status, pairs))
    this.#buffer.flush()
    return true
  }

  /** A reader begins or ends to wait for the peer. */
  waits(waiting: boolean): void {
    if (waiting) this.#watch.wait('body')
    else this.#watch.waited('body')
  }
}

/** The body of a request as it comes in: read whole, or chunk by chunk with back-pressure; at most `limit` bytes of it. */
export class RequestBody implements BodyStream, BodyReader {
  /** Names and values that came after it. */
  trailers: readonly string[] = []
  readonly #port: BodySource
  readonly #limit: number
  #begun = false
  #ended = false
  /** A reader waits for the next piece, or for all. */
  #wanted = false
  #read = 0
  #most: number
  #collector: ByteCollector | null = null
  #holder: BodyHolder | undefined
  readonly #pieces: Uint8Array[] = []
  #error: IopaError | null = null
  #wake: (() => void) | null = null

  constructor(port: BodySource, limit: number) {
    this.#port = port
    this.#limit = limit
    this.#most = limit
  }

  /** True when the rest of the body is of no use: it is too long, malformed or will not come. */
  get failed(): boolean {
    return this.#error !== null
  }

  /** True while a reader waits for more. */
  get wanted(): boolean {
    return this.#wanted && !this.#ended && this.#error === null
  }

  /** All bytes, at once where they have come; rejects with IopaError 413 beyond `limit`, 400 when the body cannot be read to its end. */
  bytes(limit: number, holder?: BodyHolder): Uint8Array | Promise<Uint8Array> {
    try {
      this.#begin()
      this.#holder = holder
      if (this.#error !== null) throw this.#error
      this.#most = Math.min(limit, this.#limit)
      const whole = this.#port.whole(this.#most)
      if (whole === null) return this.#collect(new ByteCollector())
      holdBytes(holder, whole.length)
      this.#ended = true
      return whole
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

  /** All of it has come; names and values that followed it. */
  end(trailers: readonly string[]): void {
    this.trailers = trailers
    this.#ended = true
    this.#notify()
  }

  /** Ends the reading with an error, which a waiting reader gets. */
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
        'The body is a stream that is being read already; use context.bytes(), text() or json(), which remember it.'
      )
    this.#begun = true
    // The port serves the request in work, which may be another one by now.
    if (this.#error === null) this.#port.begin(this)
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

// A piece that is shorter is copied at once: by itself it could cost more than its bytes.
const SMALL = 4096
const SMALLEST_BLOCK = 1024
const LARGEST_BLOCK = 16 * 1024

/**
 * Gathers bytes that come in pieces. A single piece stays a view, long ones are joined once, when all are there; many
 * small ones cost no more than their bytes.
 */
export class ByteCollector {
  /** Bytes gathered so far. */
  length = 0
  readonly #pieces: Uint8Array[] = []
  /** Holds small pieces: those from `from` to `to` are not among the pieces yet. */
  #block: Uint8Array | null = null
  #from = 0
  #to = 0

  add(piece: Uint8Array): void {
    if (piece.length >= SMALL || this.length === 0) {
      this.#endBlock()
      this.#pieces.push(piece)
    } else this.#copy(piece)
    this.length += piece.length
  }

  take(): Uint8Array {
    this.#endBlock()
    if (this.#pieces.length < 2) return this.#pieces[0] ?? new Uint8Array(0)
    // Every byte is written, so none has to be zero before. Not from the pool, which is shared.
    const all = new Uint8Array(Buffer.allocUnsafeSlow(this.length).buffer)
    let at = 0
    for (const piece of this.#pieces) {
      all.set(piece, at)
      at += piece.length
    }
    return all
  }

  #copy(piece: Uint8Array): void {
    if (this.#block === null || this.#block.length - this.#to < piece.length) {
      this.#endBlock()
      const size = Math.min(LARGEST_BLOCK, Math.max(SMALLEST_BLOCK, this.length))
      this.#block = Buffer.allocUnsafeSlow(Math.max(size, piece.length))
      this.#from = this.#to = 0
    }
    this.#block.set(piece, this.#to)
    this.#to += piece.length
  }

  #endBlock(): void {
    if (this.#block === null || this.#from === this.#to) return
    this.#pieces.push(this.#block.subarray(this.#from, this.#to))
    this.#from = this.#to
  }
}
