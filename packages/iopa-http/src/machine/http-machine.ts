import type { AnswerHeads, Framing } from '../message/answer-head.ts'
import { HeadReader } from '../message/head-reader.ts'
import type { RequestHead } from '../message/request-head.ts'
import { IncomingBody, type IncomingLimits, type UnreadBytes } from './incoming-body.ts'
import {
  ANSWER,
  ANSWER_CUT,
  ANSWER_END,
  ANSWERING_EARLY,
  BODY_END,
  DISCARDING,
  EVENTS,
  type Event,
  HALF_CLOSED,
  HEAD,
  HEAD_PART,
  IDLE,
  LAST_ANSWER_END,
  LINGERING,
  RECEIVING,
  REFUSED,
  REQUEST,
  REQUEST_WITH_BODY,
  refusal,
  type State,
  TRANSITIONS
} from './transitions.ts'

/** Nothing can be done before more bytes come, or before the request in work is answered. */
export const PAUSED = 0
/** `head` is the next request. */
export const NEXT_REQUEST = 1
/** The body whose rest is read over is too long for that. */
export const OVERLONG = 2

/** In place of a length: the answer says nothing of it. */
export const NO_LENGTH = -1
/** In place of a length: it is not known, and the end of the body is marked by chunks, or by the end of the connection. */
export const UNKNOWN_LENGTH = -2

// What a connection keeps unread: beyond it the peer has to wait.
const MOST_BYTES = 16 * 1024
const MOST_CHUNKS = 16

const NOTHING = new Uint8Array(0)

/** Of the head that is being made: filled in and read at once, so that all machines share it. */
const FRAMING: { -readonly [key in keyof Framing]: Framing[key] } = { length: 0, chunked: false, connection: '', trailer: '' }

/**
 * The server side of one HTTP/1.1 connection without input and output: bytes go in, requests and parts of bodies come
 * out; answers go in, the text of their heads comes out, and what may follow. What may happen when is in `transitions.ts`.
 */
export class HttpMachine implements UnreadBytes {
  state: State = IDLE
  /** Bytes that have come so far. */
  received = 0
  /** Requests that have come so far. */
  requests = 0
  /** True while so much is unread that the peer has to wait. */
  full = false
  /** The request in work; the next one overwrites it. */
  readonly head: RequestHead
  /** The body of the request in work, or the one that is read over. */
  readonly body: IncomingBody
  /** True when the answer to the request in work is the last of the connection. */
  closes = false
  /** True when the answer in work is in chunks. */
  chunked = false
  /** True when the head of the answer in work is ASCII. */
  ascii = true
  chunk: Uint8Array = NOTHING
  at = 0
  readonly #later: Uint8Array[] = []
  #laterBytes = 0
  readonly #heads: HeadReader
  readonly #answers: AnswerHeads

  /** `answers` makes the heads of answers; many machines share it. */
  constructor(answers: AnswerHeads, limits: IncomingLimits) {
    this.#answers = answers
    this.#heads = new HeadReader(limits.headerBytes)
    this.head = this.#heads.head
    this.body = new IncomingBody(limits)
  }

  /** True when the event may happen now. */
  may(event: Event): boolean {
    return TRANSITIONS[this.state * EVENTS + event] !== REFUSED
  }

  /** Something has happened. @throws Error when it must not happen now: a fault of this package. */
  step(event: Event): void {
    const next = TRANSITIONS[this.state * EVENTS + event] as number
    if (next === REFUSED) throw refusal(this.state, event)
    this.state = next as State
  }

  /** True when everything that has come is read. */
  get empty(): boolean {
    return this.at === this.chunk.length
  }

  /** Takes bytes in, to be read by `next`. */
  push(chunk: Uint8Array): void {
    this.received += chunk.length
    if (this.state >= LINGERING) return
    if (this.at === this.chunk.length && this.#later.length === 0) {
      this.chunk = chunk
      this.at = 0
    } else if (chunk.length > 0) {
      this.#later.push(chunk)
      this.#laterBytes += chunk.length
    }
  }

  /** As `push`, then `next`. */
  receive(chunk: Uint8Array, begin: boolean): number {
    this.push(chunk)
    return this.next(begin)
  }

  /**
   * Reads on up to the next thing that the connection must know: PAUSED, NEXT_REQUEST or OVERLONG. The reader of the body
   * gets what there is and it wants. Without `begin` no further request is read. @throws IopaError 400, 413, 431, 505
   * for bytes that are not HTTP.
   */
  next(begin: boolean): number {
    while (this.at < this.chunk.length) {
      switch (this.state) {
        case IDLE:
        case HEAD: {
          if (!begin) return this.#pause()
          const heads = this.#heads
          this.advance(heads.read(this.chunk, this.at))
          if (heads.complete) {
            this.#begin(heads.head)
            return NEXT_REQUEST
          }
          // Empty lines before a head are no part of it.
          if (heads.begun) this.step(HEAD_PART)
          break
        }
        case RECEIVING:
        case ANSWERING_EARLY:
        case HALF_CLOSED:
          if (!this.body.feed(this)) return this.#pause()
          if (!this.body.unread) this.step(BODY_END)
          break
        case DISCARDING:
          this.body.discard(this)
          if (!this.body.unread) this.step(BODY_END)
          else if (this.body.overlong) return OVERLONG
          break
        default:
          return this.#pause()
      }
    }
    return this.#pause()
  }

  /** All of the request body, when it has come in one piece and has at most `most` bytes; else null. */
  whole(most: number): Uint8Array | null {
    const bytes = this.body.whole(this, most)
    if (bytes !== null) this.step(BODY_END)
    return bytes
  }

  /**
   * The text of the head of the answer to the request in work; `chunked` and `closes` say from now on what follows it.
   * `length` is that of the body in bytes, or one of the constants above; `streamed` says that the body may be made of
   * the rest of the request's; `trailer` has the names of fields after the body. @throws IopaError 500 for fields that HTTP cannot carry.
   */
  respond(status: number, reason: string, pairs: readonly string[], type: string, length: number, streamed = false, trailer = ''): string {
    const { minor } = this.head
    if (this.state === RECEIVING && (streamed ? this.body.spoilt : this.#isUnfinishable(false))) this.closes = true
    const chunked = length === UNKNOWN_LENGTH && minor > 0
    // Without chunks the body ends with the connection (RFC 9112 section 6.3).
    if (length === UNKNOWN_LENGTH && minor === 0) this.closes = true
    FRAMING.length = length
    FRAMING.chunked = chunked
    FRAMING.trailer = trailer
    FRAMING.connection = this.closes ? 'close' : minor === 0 ? 'keep-alive' : ''
    const text = this.#answers.format(status, reason, pairs, type, FRAMING)
    this.ascii = this.#answers.ascii
    this.chunked = chunked
    this.step(ANSWER)
    return text
  }

  /** The answer to the request in work is complete. */
  complete(): void {
    if (this.state === ANSWERING_EARLY && this.#isUnfinishable(true)) this.closes = true
    this.chunked = false
    this.body.reader = null
    this.step(this.closes ? LAST_ANSWER_END : ANSWER_END)
  }

  /** The answer to the request in work cannot be completed: the connection must be cut. */
  cut(): void {
    this.step(ANSWER_CUT)
    this.abandon()
    this.drop()
  }

  /** The answer in work and the body have no reader any more. */
  abandon(): void {
    this.chunked = false
    this.body.reader = null
  }

  /** Forgets what is unread; nothing more is read. */
  drop(): void {
    this.chunk = NOTHING
    this.at = 0
    this.#later.length = 0
    this.#laterBytes = 0
    this.full = false
  }

  /** Takes what is unread: from here on it is no HTTP. */
  takeRest(): Uint8Array {
    const rest = Buffer.concat([this.chunk.subarray(this.at), ...this.#later])
    this.drop()
    return rest
  }

  /** Forgets what makes the next request cheaper: to be called when none is expected soon. */
  forget(): void {
    this.#heads.forget()
  }

  /** Counts what is unread. */
  measure(): void {
    this.full = this.chunk.length - this.at + this.#laterBytes > MOST_BYTES || this.#later.length >= MOST_CHUNKS
  }

  advance(at: number): void {
    this.at = at
    if (at < this.chunk.length) return
    const next = this.#later.shift()
    if (next !== undefined) this.#laterBytes -= next.length
    this.chunk = next ?? NOTHING
    this.at = 0
  }

  #pause(): number {
    this.measure()
    return PAUSED
  }

  #begin({ fields, minor }: RequestHead): void {
    this.requests++
    this.closes = fields.closes || (minor === 0 && !fields.keepsAlive)
    if (fields.length === 0) this.step(REQUEST)
    else {
      this.body.begin(fields, minor)
      this.step(REQUEST_WITH_BODY)
    }
  }

  #isUnfinishable(begun: boolean): boolean {
    const unfinishable = this.body.isUnfinishable(this, begun)
    // What has come in chunks was read over, which may have been all.
    if (!this.body.unread) this.step(BODY_END)
    return unfinishable
  }
}
