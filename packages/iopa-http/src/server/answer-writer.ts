import { type ByteChannel, type Context, type Counters, type Host, IopaError, type SealedAnswer } from '@iopa/transport'
import { EventStream, eventStreamFields, type Heartbeats, lackingEventFields } from '../events/event-stream.ts'
import { type HttpMachine, NO_LENGTH, UNKNOWN_LENGTH } from '../machine/http-machine.ts'
import { ANSWER_CUT } from '../machine/transitions.ts'
import {
  asksToClose,
  discard,
  fieldsOf,
  isBodyless,
  isEventStream,
  isObservable,
  lengthLeftOut,
  lengthOf,
  statedLength,
  textLength
} from '../message/answer-fields.ts'
import { type AnswerHeads, LAST_CHUNK, lastChunk } from '../message/answer-head.ts'
import { answerTo } from '../message/refusal.ts'
import { type BodyWriter, GIVEN_UP, PART } from './body-writer.ts'
import type { HttpRequest } from './request.ts'
import { inOnePiece, type RequestTrailers, trailed } from './trailers.ts'
import type { WriteBuffer } from './write-buffer.ts'

/** What answers need to know of their listener. */
export interface AnswerSettings {
  readonly host: Host
  readonly counters: Counters
  readonly heads: AnswerHeads
  readonly heartbeats: Heartbeats
  /** Milliseconds, for the `retry` of event streams. */
  readonly retry: number
  /** True once the listener is closing: every answer is the last of its connection. */
  closing: boolean
}

/** What an answer writer works with. */
export interface AnswerPorts {
  readonly channel: ByteChannel
  readonly machine: HttpMachine
  readonly buffer: WriteBuffer
  readonly bodies: BodyWriter
  readonly settings: AnswerSettings
  /** The answer to a request is written, or given up; the state of the machine says what may follow. */
  readonly settle: (request: HttpRequest, reason: 'finish' | 'reset') => void
}

/** Writes the answers of one connection: what is in memory at once, the rest by the body writer. */
export class AnswerWriter {
  readonly #channel: ByteChannel
  readonly #machine: HttpMachine
  readonly #buffer: WriteBuffer
  readonly #bodies: BodyWriter
  readonly #settings: AnswerSettings
  readonly #settle: (request: HttpRequest, reason: 'finish' | 'reset') => void

  constructor({ channel, machine, buffer, bodies, settings, settle }: AnswerPorts) {
    this.#channel = channel
    this.#machine = machine
    this.#buffer = buffer
    this.#bodies = bodies
    this.#settings = settings
    this.#settle = settle
  }

  /** Writes an answer; where that fails, the request fails. */
  write(request: HttpRequest, answer: SealedAnswer): void {
    try {
      this.#write(request, answer)
    } catch (error) {
      this.fail(request, error)
    }
  }

  /** An answer that cannot be written: another one where nothing of it has left, else the connection is cut. */
  fail(request: HttpRequest, error: unknown): void {
    if (request.over) return
    const machine = this.#machine
    const { host, heads } = this.#settings
    if (error !== GIVEN_UP) host.logger.error(`iopa: the answer to ${request.method} ${request.target} could not be written`, error)
    this.#bodies.abandon()
    if (machine.may(ANSWER_CUT)) {
      machine.cut()
      this.#channel.destroy()
    } else {
      machine.closes = true
      this.#buffer.bytes(heads.last(answerTo(new IopaError(500, 'internal-error')), request.method === 'HEAD'))
      machine.complete()
    }
    this.#settle(request, 'reset')
  }

  /** Renders an observing GET: its answers as events, or the first one as it is when there is nothing to observe. */
  observe(request: HttpRequest, context: Context): void {
    const { host, counters, heartbeats, retry } = this.#settings
    context['iopa.Observe'] = true
    let events: EventStream | null = null
    const bodies = this.#bodies
    const chunked = request.minor > 0
    context.defer(() => {
      events?.close()
      if (request.over) return
      if (events === null && this.#machine.may(ANSWER_CUT)) return this.fail(request, GIVEN_UP)
      // Without any answer the connection ends: the client would wait for one.
      if (events === null) this.#machine.closes = true
      this.#complete(request, chunked && events !== null)
    })
    const deliver = (answer: SealedAnswer): Promise<void> | void => {
      if (request.over) return
      if (events === null) {
        if (!isObservable(answer)) return this.write(request, answer)
        try {
          this.#beginEvents(request, answer)
        } catch (error) {
          // A header that HTTP cannot carry.
          return this.fail(request, error)
        }
        events = new EventStream(bodies.eventSink(chunked), heartbeats)
        return events.begin(answer, retry, context['iopa.Headers'])
      }
      const delivered = events.deliver(answer)
      if (events.over) void context.end()
      return delivered
    }
    counters.observed(context)
    host.observe(context, deliver, { passes: isEventStream }).catch((error: unknown) => this.fail(request, error))
  }

  #beginEvents(request: HttpRequest, answer: SealedAnswer): void {
    if (this.#settings.closing) this.#machine.closes = true
    const head = this.#machine.respond(200, 'OK', eventStreamFields(fieldsOf(answer)), '', UNKNOWN_LENGTH, true)
    this.#buffer.head(head, this.#machine.ascii)
    request.endless = true
    if (request.minor === 0) this.#channel.resetUnlessEnded?.()
  }

  #write(request: HttpRequest, answer: SealedAnswer): void {
    const machine = this.#machine
    const { payload, isStream, status, reason, headerPairs, type } = answer
    if (this.#settings.closing || (headerPairs.length > 0 && asksToClose(answer))) machine.closes = true
    const trailers = request.begin()
    if (trailers !== null && !isBodyless(status)) {
      this.#trail(request, answer, trailers)
      return
    }
    if (request.method === 'HEAD' || isBodyless(status)) {
      const length = lengthLeftOut(request.method, answer) ?? NO_LENGTH
      const head = machine.respond(status, reason, headerPairs, type, length, isStream)
      machine.complete()
      this.#buffer.head(head, machine.ascii)
      discard(answer)
    } else if (typeof payload === 'string') {
      const length = textLength(payload)
      const head = machine.respond(status, reason, headerPairs, type, length)
      if (length > PART) {
        this.#writeLong(request, head, answer.payloadBytes)
        return
      }
      machine.complete()
      this.#buffer.head(head, machine.ascii, payload)
    } else if (payload === null) {
      const head = machine.respond(status, reason, headerPairs, type, 0)
      machine.complete()
      this.#buffer.head(head, machine.ascii)
    } else if (payload instanceof Uint8Array) {
      const head = machine.respond(status, reason, headerPairs, type, payload.length)
      if (payload.length > PART) {
        this.#writeLong(request, head, payload)
        return
      }
      machine.complete()
      this.#buffer.head(head, machine.ascii)
      if (payload.length > 0) this.#buffer.bytes(payload)
    } else {
      this.#stream(request, answer, payload)
      return
    }
    this.#settle(request, 'finish')
  }

  #writeLong(request: HttpRequest, head: string, body: Uint8Array): void {
    this.#buffer.head(head, this.#machine.ascii)
    void this.#bodies.writeParts(request, body).then(() => this.#complete(request, false))
  }

  #stream(request: HttpRequest, answer: SealedAnswer, body: AsyncIterable<Uint8Array>): void {
    const machine = this.#machine
    const { status, reason, headerPairs, type } = answer
    const length = lengthOf(body) ?? statedLength(answer)
    const lacking = lackingEventFields(answer)
    const pairs = lacking.length === 0 ? headerPairs : [...headerPairs, ...lacking]
    this.#buffer.head(machine.respond(status, reason, pairs, type, length ?? UNKNOWN_LENGTH, true), machine.ascii)
    this.#bodies.stream(request, body, length).then(
      () => this.#complete(request, machine.chunked),
      (error: unknown) => this.fail(request, error)
    )
  }

  /** Writes an answer that fields follow: in chunks, whatever its length. */
  #trail(request: HttpRequest, answer: SealedAnswer, trailers: RequestTrailers): void {
    const machine = this.#machine
    const { status, reason, headerPairs, type, payload } = answer
    let fields: readonly string[] = []
    const body = answer.isStream ? (payload as AsyncIterable<Uint8Array>) : inOnePiece(answer.payloadBytes)
    this.#buffer.head(machine.respond(status, reason, headerPairs, type, UNKNOWN_LENGTH, true, trailers.names), machine.ascii)
    const whole = trailed(body, trailers, made => {
      fields = made
    })
    this.#bodies.stream(request, whole, null).then(
      () => {
        if (request.over) return
        // A value in Latin-1 leaves as that (RFC 9110 section 5.5).
        this.#buffer.bytes(Buffer.from(lastChunk(fields), 'latin1'))
        this.#complete(request, false)
      },
      (error: unknown) => this.fail(request, error)
    )
  }

  /** Ends a request whose body has left; not one that was given up meanwhile. */
  #complete(request: HttpRequest, chunked: boolean): void {
    if (request.over) return
    if (chunked) this.#buffer.text(LAST_CHUNK)
    this.#machine.complete()
    this.#settle(request, 'finish')
  }
}
