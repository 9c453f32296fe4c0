import type { ServerHttp2Stream } from 'node:http2'
import type { BodyReader } from '../machine/incoming-body.ts'
import type { PeerWatch } from '../server/peer-watch.ts'
import type { BodySource } from '../server/request-body.ts'
import { fieldBlock } from './answer-block.ts'
import type { Traffic } from './nuisance.ts'

/** The body of a request as its stream brings it: node:http2 lets the client send what fits into the window, and more as it is read. */
export class StreamBody implements BodySource {
  /** Bytes that have been read. */
  received = 0
  /** The client waits for 100 Continue before it sends the body (RFC 9110 section 10.1.1). */
  expectsContinue = false
  readonly #stream: ServerHttp2Stream
  readonly #watch: PeerWatch
  readonly #traffic: Traffic

  constructor(stream: ServerHttp2Stream, watch: PeerWatch, traffic: Traffic) {
    this.#traffic = traffic
    this.#stream = stream
    this.#watch = watch
  }

  begin(reader: BodyReader): void {
    const stream = this.#stream
    if (this.expectsContinue && !stream.headersSent && !stream.destroyed) stream.additionalHeaders({ ':status': 100 })
    this.expectsContinue = false
    stream.on('data', (chunk: Uint8Array) => {
      this.received += chunk.length
      this.#traffic.received(chunk.length)
      if (!reader.push(chunk)) stream.pause()
    })
    let trailers: readonly string[] = []
    stream.on('trailers', (_headers, _flags, raw: readonly string[] = []) => {
      trailers = raw
    })
    stream.on('end', () => reader.end(trailers))
  }

  inform(status: number, pairs: readonly string[]): boolean {
    const stream = this.#stream
    if (stream.headersSent || stream.destroyed || stream.closed) return false
    stream.additionalHeaders(fieldBlock(status, pairs))
    return true
  }

  whole(): null {
    return null
  }

  read(): void {
    this.#stream.resume()
  }

  waits(waiting: boolean): void {
    if (waiting) this.#watch.wait('body')
    else this.#watch.waited('body')
  }
}
