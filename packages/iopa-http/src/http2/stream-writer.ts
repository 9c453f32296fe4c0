import type { ServerHttp2Stream } from 'node:http2'
import { silenceLimit } from '@iopa/transport'
import type { EventSink } from '../events/event-stream.ts'
import { GIVEN_UP } from '../server/body-writer.ts'
import type { PeerWatch } from '../server/peer-watch.ts'
import type { HttpRequest } from '../server/request.ts'
import type { Traffic } from './nuisance.ts'

/** Bytes of a body in memory that are handed over at once: what a peer that does not read costs, and what it must read within the idle limit. */
export const PART: number = 64 * 1024

/** Writes the body of one answer, as fast as the peer reads. */
export class StreamWriter implements EventSink {
  readonly #stream: ServerHttp2Stream
  readonly #watch: PeerWatch
  readonly #traffic: Traffic
  #source: AsyncIterator<Uint8Array> | null = null
  #wake: (() => void) | null = null

  constructor(stream: ServerHttp2Stream, watch: PeerWatch, traffic: Traffic) {
    this.#traffic = traffic
    this.#stream = stream
    this.#watch = watch
    stream.on('drain', () => this.#drain())
  }

  write(piece: string | Uint8Array): boolean {
    this.#traffic.sent(piece.length)
    return this.#stream.writable && this.#stream.write(piece)
  }

  drained(): Promise<void> {
    if (!this.#stream.writable || !this.#stream.writableNeedDrain) return Promise.resolve()
    this.#watch.wait('drain')
    return new Promise(resolve => {
      this.#wake = resolve
    })
  }

  /** The stream is gone: nothing more is written. */
  abandon(): void {
    this.#source?.return?.()?.catch(() => undefined)
    this.#source = null
    this.#drain()
  }

  /** Writes a body in memory. */
  async writeParts(request: HttpRequest, body: Uint8Array): Promise<void> {
    for (let at = 0; at < body.length && !request.over; at += PART) {
      if (!this.write(body.subarray(at, at + PART))) await this.drained()
    }
  }

  /** Writes a streamed body; `length` in bytes, null where it is not known. Rejects when the body is not what its head says. */
  async writeAll(request: HttpRequest, body: AsyncIterable<Uint8Array>, length: number | null): Promise<void> {
    const watched = silenceLimit(request.context?.response.type ?? '', 0) === 0
    let left = length ?? Number.POSITIVE_INFINITY
    const source = (this.#source = body[Symbol.asyncIterator]())
    for (;;) {
      if (watched) this.#watch.pull()
      const { done, value } = await source.next()
      this.#watch.pulled()
      if (request.over) return
      if (done === true) break
      left -= value.length
      if (left < 0) throw new Error(`The body is longer than the ${length} bytes that its head has promised.`)
      // Its source may use the array again.
      if (value.length > 0 && !this.write(Buffer.from(value))) await this.drained()
      if (request.over) return
    }
    // A body that was given up with its request must not look like a whole one.
    if (request.context?.ended === true) throw GIVEN_UP
    this.#source = null
    if (length !== null && left > 0) throw new Error(`The body is ${left} bytes shorter than its head has promised.`)
  }

  #drain(): void {
    this.#watch.waited('drain')
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}
