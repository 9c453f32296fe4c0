import { type ByteChannel, type Clock, type Connection, silenceLimit } from '@iopa/transport'
import type { EventSink } from '../events/event-stream.ts'
import type { HttpMachine } from '../machine/http-machine.ts'
import { LINGERING } from '../machine/transitions.ts'
import { textLength } from '../message/answer-fields.ts'
import { chunkSize } from '../message/answer-head.ts'
import type { PeerWatch } from './peer-watch.ts'
import type { HttpRequest } from './request.ts'
import type { WriteBuffer } from './write-buffer.ts'

/** What a body writer works with. */
export interface BodyPorts {
  readonly channel: ByteChannel
  readonly counted: Connection
  readonly machine: HttpMachine
  readonly buffer: WriteBuffer
  readonly watch: PeerWatch
  readonly clock: Clock
}

/**
 * Bytes of a body in memory that are handed to the system at once. Where it does not take them all, the next part waits
 * for the peer, so that one that reads slowly can be told from one that does not read at all. A peer that takes a part
 * within a second gets larger ones, which cost less: the largest takes it four seconds then, far from any idle limit.
 */
export const PART: number = 256 * 1024
const LARGEST_PART = 1024 * 1024
const QUICK = 1000

/** The request has ended before its body: no fault of the handler. */
export const GIVEN_UP: Error = new Error('The request ended before its body.')

/** Writes the bodies that leave in more than one piece, as fast as the peer reads. */
export class BodyWriter {
  readonly #channel: ByteChannel
  readonly #counted: Connection
  readonly #machine: HttpMachine
  readonly #buffer: WriteBuffer
  readonly #watch: PeerWatch
  readonly #clock: Clock
  /** The body that is being written. */
  #source: AsyncIterator<Uint8Array> | null = null
  #wake: (() => void) | null = null
  /** Bytes of the next part of a long body. */
  #part = PART

  constructor({ channel, counted, machine, buffer, watch, clock }: BodyPorts) {
    this.#channel = channel
    this.#counted = counted
    this.#machine = machine
    this.#buffer = buffer
    this.#watch = watch
    this.#clock = clock
  }

  /** Where the events of a stream are written. */
  eventSink(chunked: boolean): EventSink {
    const buffer = this.#buffer
    return {
      write: text => {
        if (this.#machine.state >= LINGERING) return false
        // The size is written as by chunkSize.
        buffer.text(chunked ? `${textLength(text).toString(16)}\r\n${text}\r\n` : text)
        buffer.flush()
        return !buffer.blocked
      },
      drained: () => this.drained()
    }
  }

  /** Writes text; false when the caller should wait for `drained`. */
  #send(text: string): boolean {
    if (this.#machine.state >= LINGERING) return false
    this.#buffer.text(text)
    this.#buffer.flush()
    return !this.#buffer.blocked
  }

  /** Resolves when the peer reads again, or has gone. */
  drained(): Promise<void> {
    if (this.#machine.state >= LINGERING || !this.#buffer.blocked) return Promise.resolve()
    this.#watch.wait('drain')
    return new Promise(resolve => {
      this.#wake = () => {
        this.#wake = null
        resolve()
      }
    })
  }

  /** The peer reads again. */
  drain(): void {
    this.#wake?.()
  }

  /** Gives up the body that is being written. */
  abandon(): void {
    this.#source?.return?.()?.catch(() => undefined)
    this.#source = null
    this.#wake?.()
  }

  /** Writes a long body in memory: at once what the system takes, and the rest as the peer reads. */
  async writeParts(request: HttpRequest, body: Uint8Array): Promise<void> {
    for (let at = 0, end = 0; at < body.length; at = end) {
      const began = this.#clock.elapsed()
      end = at + this.#part
      this.#buffer.bytes(body.subarray(at, end))
      this.#buffer.flush()
      if (this.#channel.buffered > 0) await this.drained()
      if (request.over) return
      this.#counted.touch()
      this.#part = this.#clock.elapsed() - began < QUICK ? Math.min(2 * this.#part, LARGEST_PART) : PART
    }
  }

  /** Writes a streamed body; `length` in bytes, null where it is not known. Rejects when the body is not what its head says. */
  async stream(request: HttpRequest, body: AsyncIterable<Uint8Array>, length: number | null): Promise<void> {
    const { chunked } = this.#machine
    let left = length ?? Number.POSITIVE_INFINITY
    // The head leaves with the first chunk where that is there already.
    const silence = setImmediate(() => this.#buffer.flush())
    const watched = silenceLimit(request.context?.response.type ?? '', 0) === 0
    request.endless = !watched
    // Where the body ends with the connection, one that is cut must not look like a whole one (RFC 9112 section 8).
    if (length === null && !chunked) this.#channel.resetUnlessEnded?.()
    try {
      const source = (this.#source = body[Symbol.asyncIterator]())
      for (;;) {
        if (watched) this.#watch.pull()
        const { done, value } = await source.next()
        if (request.over) return
        this.#watch.pulled()
        if (done === true) break
        left -= value.length
        if (left < 0) throw new Error(`The body is longer than the ${length} bytes that its head has promised.`)
        if (value.length > 0 && !this.#sendChunk(value, chunked)) await this.drained()
        if (request.over) return
        this.#counted.touch()
      }
      // A body that was given up with its request must not look like a whole one.
      if (request.context?.ended === true) throw GIVEN_UP
      this.#source = null
      if (length !== null && left > 0) throw new Error(`The body is ${left} bytes shorter than its head has promised.`)
    } finally {
      clearImmediate(silence)
    }
  }

  #sendChunk(bytes: Uint8Array, chunked: boolean): boolean {
    if (chunked) this.#buffer.text(chunkSize(bytes.length))
    this.#buffer.chunk(bytes)
    return this.#send(chunked ? '\r\n' : '')
  }
}
