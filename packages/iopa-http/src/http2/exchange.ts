import { constants, type ServerHttp2Stream, type ServerStreamResponseOptions } from 'node:http2'
import { type Context, IopaError, isIopaError, type SealedAnswer } from '@iopa/transport'
import { acceptsEventStream, EventStream, eventStreamFields, lackingEventFields } from '../events/event-stream.ts'
import { discard, fieldsOf, isBodyless, isEventStream, isObservable, lengthLeftOut, lengthOf, statedLength } from '../message/answer-fields.ts'
import { answerTo, bodyStalled, DISCONNECTED, OVER } from '../message/refusal.ts'
import type { Admission } from '../server/admission.ts'
import { GIVEN_UP } from '../server/body-writer.ts'
import { PeerWatch } from '../server/peer-watch.ts'
import { HttpRequest } from '../server/request.ts'
import type { ConnectionSettings } from '../server/served-connection.ts'
import { inOnePiece, trailed } from '../server/trailers.ts'
import { answerBlock, trailerBlock } from './answer-block.ts'
import type { Traffic } from './nuisance.ts'
import { requestHead } from './request-fields.ts'
import { StreamBody } from './stream-body.ts'
import { PART, StreamWriter } from './stream-writer.ts'

const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants

/** What an exchange works with. */
export interface ExchangePorts {
  readonly settings: ConnectionSettings
  readonly admission: Admission
  readonly traffic: Traffic
  /** A handler begins to work on the request. */
  readonly begun: () => void
  /** It has ended. */
  readonly rested: () => void
  /** The answer is written, or given up. */
  readonly settled: (context: Context) => void
}

/** The answer has no body. */
const ENDED: ServerStreamResponseOptions = { endStream: true }
/** Its body is written at once. */
const WHOLE: ServerStreamResponseOptions = {}
/** Only this end of a body is ours to write: where a stream is closed early, Node would end it as if its body were whole. */
const IN_PIECES: ServerStreamResponseOptions = { waitForTrailers: true }

/** One request and its answer: a stream of HTTP/2 (RFC 9113 section 8). */
export class Exchange {
  readonly #stream: ServerHttp2Stream
  readonly #ports: ExchangePorts
  readonly #watch: PeerWatch
  readonly #body: StreamBody
  readonly #writer: StreamWriter
  #request: HttpRequest | null = null
  /** A handler works on it. */
  #working = false
  /** The body of the answer is written in pieces. */
  #inPieces = false
  /** What follows it. */
  #trailers: readonly string[] = []
  /** It is complete. */
  #whole = false
  /** Nothing more is written, and nothing of it reaches the app. */
  over = false

  constructor(stream: ServerHttp2Stream, ports: ExchangePorts) {
    this.#stream = stream
    this.#ports = ports
    this.#watch = new PeerWatch(ports.settings.clock.elapsed())
    this.#body = new StreamBody(stream, this.#watch, ports.traffic)
    this.#writer = new StreamWriter(stream, this.#watch, ports.traffic)
    // What went wrong is seen from how the stream closes.
    stream.on('error', () => undefined)
    stream.on('wantTrailers', () => {
      if (!this.#whole || stream.closed || stream.destroyed) return
      // Without trailers this is an empty frame that ends the stream.
      stream.sendTrailers(trailerBlock(this.#trailers))
      setImmediate(() => this.#stopUpload())
    })
  }

  /** Bytes of the answer that wait for the peer. */
  get unread(): number {
    return this.#stream.writableLength
  }

  /** Bytes of either body in memory. */
  get held(): number {
    return this.#stream.writableLength + this.#stream.readableLength
  }

  /** Runs the request through the app, or answers it without a context. */
  start(raw: readonly string[]): void {
    const { settings, admission } = this.#ports
    const { host, limits } = settings
    const { endAfterHeaders } = this.#stream
    let request: HttpRequest
    try {
      const { head, authority } = requestHead(raw, endAfterHeaders)
      request = this.#request = new HttpRequest(head, limits.body, this.#body)
      request.addressed = authority
      this.#body.expectsContinue = head.fields.expectation !== '' && !endAfterHeaders
    } catch (error) {
      this.#answer(admission.refuse(isIopaError(error) ? error : new IopaError(500, 'internal-error')), 'GET')
      return
    }
    const context = admission.admit(request)
    if ('sealed' in context) {
      this.#write(request, context)
      return
    }
    request.context = context
    this.#working = true
    this.#ports.begun()
    const { accept } = request.fields
    if (accept !== '' && request.method === 'GET' && acceptsEventStream(accept)) this.#observe(request, context)
    else host.run(context, this.#done)
  }

  /** Ends an observation: the observer hears of no further change. */
  endEvents(): void {
    const context = this.#request?.context
    if (context?.['iopa.Observe'] === true) void context.end('shutdown')
  }

  /** The stream is gone. */
  close(): void {
    const request = this.#request
    if (!this.over) {
      this.over = true
      this.#writer.abandon()
      if (request !== null) {
        request.over = true
        request.break(DISCONNECTED)
        void request.context?.end(this.#ports.settings.closing ? 'shutdown' : 'disconnect')
      }
    }
    if (request !== null) this.#ports.admission.leave(request)
  }

  /** Ends an exchange in which one side makes no progress. */
  sweep(now: number): void {
    const { idleTimeout } = this.#ports.settings.limits
    const { writableLength } = this.#stream
    if (writableLength > 0 || this.over) this.#watch.ensureDrain()
    if (this.#watch.stalled(now, idleTimeout, this.#body.received, writableLength)) this.#reset(NGHTTP2_CANCEL)
    else if (!this.over && this.#watch.silent(now, idleTimeout, this.#body.received)) this.#fail(bodyStalled(idleTimeout))
  }

  readonly #done = (context: Context): void => {
    const { response } = context
    if (this.over) discard(response)
    else this.#write(this.#request as HttpRequest, response)
    this.#rest()
  }

  #rest(): void {
    if (!this.#working) return
    this.#working = false
    this.#ports.rested()
  }

  /** Writes an answer; where that fails, the request fails. */
  #write(request: HttpRequest, answer: SealedAnswer): void {
    try {
      this.#answer(answer, request.method)
    } catch (error) {
      this.#fail(error)
    }
  }

  #answer(answer: SealedAnswer, method: string): void {
    const { payload, isStream, status } = answer
    const trailers = this.#request?.begin() ?? null
    if (trailers !== null && !isBodyless(status)) {
      const body = isStream ? (payload as AsyncIterable<Uint8Array>) : inOnePiece(answer.payloadBytes)
      const made = (fields: readonly string[]): void => {
        this.#trailers = fields
      }
      this.#pass(answer, trailed(body, trailers, made), trailers.names)
    } else if (method === 'HEAD' || isBodyless(status)) {
      this.#respond(answer, answer.headerPairs, lengthLeftOut(method, answer), ENDED)
      discard(answer)
      this.#settle('finish')
      this.#stopUpload()
    } else if (isStream) this.#pass(answer, payload as AsyncIterable<Uint8Array>)
    else {
      const length = lengthOf(payload) as number
      this.#respond(answer, answer.headerPairs, length, length === 0 ? ENDED : length <= PART ? WHOLE : IN_PIECES)
      if (length <= PART) this.#finish(length === 0 ? null : (payload as string | Uint8Array))
      else void this.#writer.writeParts(this.#request as HttpRequest, answer.payloadBytes).then(() => this.#finish(null))
    }
  }

  #respond(
    { status, type }: SealedAnswer,
    pairs: readonly string[],
    length: number | null,
    options: ServerStreamResponseOptions,
    trailer = ''
  ): void {
    if (this.#stream.destroyed || this.#stream.closed) return
    this.#inPieces = options === IN_PIECES
    const block = answerBlock(this.#ports.settings.heads, status, pairs, type, length)
    if (trailer !== '') block['trailer'] = trailer
    this.#stream.respond(block, options)
  }

  #pass(answer: SealedAnswer, body: AsyncIterable<Uint8Array>, trailer = ''): void {
    const length = trailer === '' ? (lengthOf(body) ?? statedLength(answer)) : null
    this.#respond(answer, [...answer.headerPairs, ...lackingEventFields(answer)], length, IN_PIECES, trailer)
    this.#writer.writeAll(this.#request as HttpRequest, body, length).then(
      () => this.#finish(null),
      (error: unknown) => this.#fail(error)
    )
  }

  /** Renders an observing GET: its answers as events, or the first one as it is when there is nothing to observe. */
  #observe(request: HttpRequest, context: Context): void {
    const { host, counters, heartbeats, retry, heads } = this.#ports.settings
    context['iopa.Observe'] = true
    let events: EventStream | null = null
    context.defer(() => {
      events?.close()
      this.#rest()
      if (this.over) return
      if (events === null) this.#fail(GIVEN_UP)
      else this.#finish(null)
    })
    const deliver = (answer: SealedAnswer): Promise<void> | void => {
      if (this.over) return
      if (events === null) {
        if (!isObservable(answer)) {
          this.#rest()
          return this.#write(request, answer)
        }
        try {
          this.#inPieces = true
          this.#stream.respond(answerBlock(heads, 200, eventStreamFields(fieldsOf(answer)), '', null), IN_PIECES)
        } catch (error) {
          return this.#fail(error)
        }
        events = new EventStream(this.#writer, heartbeats)
        this.#rest()
        return events.begin(answer, retry, context['iopa.Headers'])
      }
      const delivered = events.deliver(answer)
      if (events.over) void context.end()
      return delivered
    }
    counters.observed(context)
    host.observe(context, deliver, { passes: isEventStream }).catch((error: unknown) => this.#fail(error))
  }

  /** Writes the last of the answer. */
  #finish(last: string | Uint8Array | null): void {
    if (this.over) return
    const stream = this.#stream
    this.#whole = true
    if (last === null) stream.end()
    else stream.end(last)
    this.#settle('finish')
    if (!this.#inPieces) this.#stopUpload()
  }

  #settle(reason: 'finish' | 'reset'): void {
    this.over = true
    const request = this.#request
    if (request !== null) {
      request.over = true
      request.break(OVER)
      const { context } = request
      if (context !== null) {
        void context.end(reason)
        this.#ports.settled(context)
      }
    }
  }

  /** The client need not send the rest of a body that is not read (RFC 9113 section 8.1). */
  #stopUpload(): void {
    const stream = this.#stream
    if (!stream.endAfterHeaders && !stream.readableEnded && !stream.destroyed) stream.close(NGHTTP2_NO_ERROR)
  }

  /** An answer that cannot be written: another one where nothing of it has left, else the stream is reset. */
  #fail(error: unknown): void {
    if (this.over) return
    const { method = '', target = '' } = this.#request ?? {}
    const { logger } = this.#ports.settings.host
    if (error !== GIVEN_UP) logger.error(`iopa: the answer to ${method} ${target} could not be written`, error)
    this.#writer.abandon()
    if (this.#stream.headersSent) this.#reset(NGHTTP2_INTERNAL_ERROR)
    else this.#answer(answerTo(new IopaError(500, 'internal-error')), method)
  }

  #reset(code: number): void {
    if (!this.over) this.#settle('reset')
    this.#writer.abandon()
    this.#stream.close(code)
  }
}
