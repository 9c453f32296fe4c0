import {
  type ByteChannel,
  type Clock,
  type Connection,
  type Context,
  type Counters,
  type Host,
  IopaError,
  type SealedAnswer,
  silenceLimit
} from '@iopa/transport'
import { EventStream, eventStreamFields, type Heartbeats, lackingEventFields } from '../events/event-stream.ts'
import { asksToClose, fieldsOf, isBodyless, isEventStream, isObservable, lengthOf, statedLength, textLength } from '../message/answer-fields.ts'
import type { AnswerHead, AnswerHeads, Framing } from '../message/answer-head.ts'
import { Outflow } from './outflow.ts'
import type { PeerWatch } from './peer-watch.ts'
import type { HttpRequest } from './request.ts'

/** What answers need to know of their listener. */
export interface AnswerSettings {
  readonly host: Host
  readonly counters: Counters
  readonly clock: Clock
  readonly heads: AnswerHeads
  readonly heartbeats: Heartbeats
  /** Milliseconds, for the `retry` of event streams. */
  readonly retry: number
  /** True once the listener is closing: every answer is the last of its connection. */
  closing: boolean
}

// Bytes of a body in memory that are handed to the system at once. Where it does not take them all, the next part waits
// for the peer, so that one that reads slowly can be told from one that does not read at all. Whoever takes a part within
// a second gets larger ones, which cost less: the largest takes it four seconds then, far from any idle limit.
const PART = 256 * 1024
const LARGEST_PART = 1024 * 1024
const QUICK = 1000

/** The answers of one connection: one at a time, as fast as the peer reads. */
export abstract class AnswerFlow {
  protected readonly channel: ByteChannel
  protected readonly counted: Connection
  protected readonly outflow: Outflow
  protected abstract readonly watch: PeerWatch
  /** The request in work. */
  protected request: HttpRequest | null = null
  /** The peer has gone. */
  protected gone = false
  readonly #settings: AnswerSettings
  /** The body that is being written. */
  #source: AsyncIterator<Uint8Array> | null = null
  #wake: (() => void) | null = null
  /** Bytes of the next part of a long body. */
  #part = PART

  constructor(channel: ByteChannel, counted: Connection, settings: AnswerSettings) {
    this.channel = channel
    this.counted = counted
    this.outflow = new Outflow(channel)
    this.#settings = settings
  }

  /** True when the rest of the request's body may not be thrown away, so that no request can follow. */
  protected abstract unfinishable(request: HttpRequest): boolean
  /** An answer has been written, or given up. */
  protected abstract settled(request: HttpRequest): void
  /** An answer could not be written, and nothing of it has left. */
  protected abstract refuse(request: HttpRequest): void

  drain(): void {
    this.counted.touch()
    this.outflow.drained()
    this.watch.waited('drain')
    this.#wake?.()
  }

  protected write(request: HttpRequest, answer: SealedAnswer): void {
    try {
      this.#write(request, answer)
    } catch (error) {
      this.#fail(request, error)
    }
  }

  /** Renders an observing GET: its answers as events, or the first one as it is when there is nothing to observe. */
  protected observe(request: HttpRequest, context: Context): void {
    const { host, counters, heads, heartbeats, retry } = this.#settings
    context['iopa.Observe'] = true
    let events: EventStream | null = null
    const chunked = request.minor > 0
    const sink = { write: (text: string) => this.#send(chunked ? chunkOf(text) : text), drained: () => this.#drained() }
    context.defer(() => {
      events?.close()
      if (this.request !== request) return
      if (chunked && events !== null) this.outflow.text(LAST_CHUNK)
      this.settle(request)
    })
    const deliver = (answer: SealedAnswer): Promise<void> | void => {
      if (this.request !== request) return
      if (events === null) {
        if (!isObservable(answer)) return this.write(request, answer)
        if (!chunked || this.#settings.closing) request.closes = true
        try {
          this.outflow.head(heads.format(200, 'OK', eventStreamFields(fieldsOf(answer)), '', this.#framing(request, null)))
        } catch (error) {
          // A header that HTTP cannot carry.
          return this.#fail(request, error)
        }
        request.begun = request.endless = true
        if (!chunked) this.channel.resetUnlessEnded?.()
        events = new EventStream(sink, heartbeats)
        return events.begin(answer, retry, context['iopa.Headers'])
      }
      const delivered = events.deliver(answer)
      if (!answer.ok) void context.end()
      return delivered
    }
    counters.observed(context)
    host.observe(context, deliver, { passes: isEventStream }).catch((error: unknown) => this.#fail(request, error))
  }

  /** Ends a request whose answer is on its way to the peer, or will never be. */
  protected settle(request: HttpRequest, reason: 'finish' | 'reset' = 'finish'): void {
    if (this.unfinishable(request)) request.closes = true
    request.chunked = false
    this.request = null
    // Whoever still holds the body must not read into that of the next request.
    if (request.decoder !== null) request.break(OVER)
    if (request.context !== null) {
      void request.context.end(reason)
      this.counted.busy(0)
    }
    this.settled(request)
  }

  /** Breaks an answer off whose body does not come. */
  protected stall(limit: number): void {
    if (this.request !== null) this.#fail(this.request, new IopaError(500, 'body-stalled', `The body made no progress for ${limit} ms.`))
  }

  /** Gives up the body that is being written. */
  protected abandon(): void {
    this.#source?.return?.()?.catch(() => undefined)
    this.#source = null
    this.#wake?.()
  }

  #framing(request: HttpRequest, length: number | null, bodyless = false): Framing {
    const chunked = length === null && !bodyless && request.minor > 0
    return { length, chunked, connection: request.closes ? 'close' : request.minor === 0 ? 'keep-alive' : '' }
  }

  #head(request: HttpRequest, answer: SealedAnswer, length: number | null, bodyless = false): AnswerHead {
    const { status, reason, headerPairs, type } = answer
    return this.#settings.heads.format(status, reason, headerPairs, type, this.#framing(request, length, bodyless))
  }

  #streamHead(request: HttpRequest, answer: SealedAnswer, length: number | null): AnswerHead {
    const lacking = lackingEventFields(answer)
    if (lacking.length === 0) return this.#head(request, answer, length)
    const { status, reason, headerPairs, type } = answer
    return this.#settings.heads.format(status, reason, [...headerPairs, ...lacking], type, this.#framing(request, length))
  }

  #write(request: HttpRequest, answer: SealedAnswer): void {
    const { status, payload } = answer
    // A stream may be made of the body that is still to come, so what of that is left over is judged at its end.
    const unfinishable = answer.isStream ? request.unread && (request.expectation !== '' || request.failed) : this.unfinishable(request)
    if (unfinishable || this.#settings.closing || asksToClose(answer)) request.closes = true
    const isHead = request.method === 'HEAD'
    if (isHead || isBodyless(status)) {
      // A handler may answer HEAD, or 304, with the length of the body that it leaves out (RFC 9110 section 8.6).
      const length = isHead && payload !== null ? (lengthOf(payload) ?? statedLength(answer)) : status === 204 ? null : statedLength(answer)
      this.outflow.head(this.#head(request, answer, length, true))
      discard(answer)
    } else if (payload === null) this.outflow.head(this.#head(request, answer, 0))
    else if (typeof payload === 'string') {
      const length = textLength(payload)
      if (length > PART) {
        this.#begin(request, answer, length, answer.payloadBytes)
        return
      }
      this.outflow.head(this.#head(request, answer, length), payload)
    } else if (payload instanceof Uint8Array) {
      if (payload.length > PART) {
        this.#begin(request, answer, payload.length, payload)
        return
      }
      this.outflow.head(this.#head(request, answer, payload.length))
      if (payload.length > 0) this.outflow.bytes(payload)
    } else {
      const length = lengthOf(payload) ?? statedLength(answer)
      if (length === null && request.minor === 0) request.closes = true
      void this.#stream(request, payload, length, this.#streamHead(request, answer, length))
      return
    }
    request.begun = true
    this.settle(request)
  }

  #begin(request: HttpRequest, answer: SealedAnswer, length: number, body: Uint8Array): void {
    this.outflow.head(this.#head(request, answer, length))
    request.begun = true
    void this.#writeParts(request, body)
  }

  /** Writes a long body in memory: at once what the system takes, and the rest as the peer reads. */
  async #writeParts(request: HttpRequest, body: Uint8Array): Promise<void> {
    const { clock } = this.#settings
    for (let at = 0, end = 0; at < body.length; at = end) {
      const began = clock.elapsed()
      end = at + this.#part
      this.outflow.bytes(body.subarray(at, end))
      this.outflow.flush()
      if (this.channel.buffered > 0) await this.#drained()
      if (this.request !== request) return
      this.counted.touch()
      this.#part = clock.elapsed() - began < QUICK ? Math.min(2 * this.#part, LARGEST_PART) : PART
    }
    this.settle(request)
  }

  /** Writes a streamed body as fast as the peer reads it. */
  async #stream(request: HttpRequest, stream: AsyncIterable<Uint8Array>, length: number | null, head: AnswerHead): Promise<void> {
    const chunked = length === null && request.minor > 0
    let left = length ?? Number.POSITIVE_INFINITY
    request.begun = true
    this.outflow.head(head)
    // The head leaves with the first chunk where that is there already.
    const silence = setImmediate(() => this.outflow.flush())
    const watched = silenceLimit(request.context?.response.type ?? '', 0) === 0
    request.endless = !watched
    request.chunked = chunked
    // Where the body ends with the connection, one that is cut must not look like a whole one (RFC 9112 section 8).
    if (length === null && !chunked) this.channel.resetUnlessEnded?.()
    try {
      const source = (this.#source = stream[Symbol.asyncIterator]())
      for (;;) {
        if (watched) this.watch.pull()
        const { done, value } = await source.next()
        if (this.request !== request) return
        this.watch.pulled()
        if (done === true) {
          // A body that was given up with its request must not look like a whole one.
          if (request.context?.ended === true) throw GIVEN_UP
          break
        }
        left -= value.length
        if (left < 0) throw new Error(`The body is longer than the ${length} bytes that its head has promised.`)
        if (value.length > 0 && !this.#sendBytes(value, chunked)) await this.#drained()
        if (this.request !== request) return
        this.counted.touch()
      }
      this.#source = null
      if (length !== null && left > 0) throw new Error(`The body is ${left} bytes shorter than its head has promised.`)
      if (chunked) this.outflow.text(LAST_CHUNK)
      this.settle(request)
    } catch (error) {
      this.#fail(request, error)
    } finally {
      clearImmediate(silence)
    }
  }

  #sendBytes(bytes: Uint8Array, chunked: boolean): boolean {
    if (chunked) this.outflow.text(`${bytes.length.toString(16)}\r\n`)
    this.outflow.chunk(bytes)
    return this.#send(chunked ? '\r\n' : '')
  }

  #send(text: string): boolean {
    if (this.gone) return false
    this.outflow.text(text)
    this.outflow.flush()
    return this.outflow.writable
  }

  #drained(): Promise<void> {
    if (this.gone || this.outflow.writable) return Promise.resolve()
    this.watch.wait('drain')
    return new Promise(resolve => {
      this.#wake = () => {
        this.#wake = null
        resolve()
      }
    })
  }

  /** An answer that cannot be written: another one where nothing has left, else the end of the connection. */
  #fail(request: HttpRequest, error: unknown): void {
    if (this.request !== request) return
    if (error !== GIVEN_UP) this.#settings.host.logger.error(`iopa: the answer to ${request.method} ${request.target} could not be written`, error)
    this.abandon()
    if (request.begun) this.channel.destroy()
    else this.refuse(request)
    this.settle(request, 'reset')
  }
}

const OVER = new IopaError(400, 'request-over', 'The request has been answered; its body cannot be read any more.')
const GIVEN_UP = new Error('The request ended before its body.')
const LAST_CHUNK = '0\r\n\r\n'

const chunkOf = (text: string): string => `${textLength(text).toString(16)}\r\n${text}\r\n`

/** Gives up a streamed body that nobody will read. */
export const discard = (answer: SealedAnswer): void => {
  if (!answer.isStream) return
  const iterator = (answer.payload as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
  void iterator.return?.().catch(() => undefined)
}
