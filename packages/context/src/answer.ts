import { type Capabilities, CodecTable, type HeadersInit, IopaError, MEDIA_TYPES, reasonPhrase, withOrigin } from '@iopa/constants'
import {
  type AnswerOwner,
  BAD_REASON,
  type Excerpt,
  hasNoContent,
  NOT_FOUND,
  type NotedMethods,
  type RareParts,
  REPRESENTATION_HEADERS,
  type ReceivedParts,
  rareParts,
  sealedError,
  statusOfError
} from './answer-parts.ts'
import { AnswerReading } from './answer-reading.ts'
import { applyKind } from './apply-value.ts'
import { asyncScope, inAsyncScope } from './async-scope.ts'
import { collectBytes } from './body.ts'
import { ANSWER } from './brands.ts'
import { checkMediaType, type Encoded, encodeKind, type Payload } from './encoding.ts'
import type { BodyHolder } from './environment.ts'
import { headTooLarge, isHeadTooLarge } from './head-check.ts'
import { assignHeaders, HeaderMap } from './header-map.ts'
import { abandonValue, HeldBodies } from './held-bodies.ts'
import { observed } from './observed.ts'
import { chunksOf, endingStream, PayloadStream, type Source } from './payload-stream.ts'
import { type Problem, problemIn, problemOf, problemText } from './problem.ts'
import { runCallbacks, type SendingCallback } from './sending-callbacks.ts'
import { KIND, type Kind, kindOf, kindOfObject, unsendable } from './value-kind.ts'

const OPEN = 0
const SEALED = 1
/** Sealed, and the payload is the problem, whose text is made when it is read. */
const SEALED_PROBLEM = 2

const utf8 = new TextEncoder()

/**
 * The answer of a context: status, reason phrase, headers, content type and body. Handlers write any value as body;
 * it is encoded once, when the answer is sealed, and transports read `payload`.
 */
export class Answer {
  /** What the handler returned, as it was; it reaches the caller of `app.invoke`. */
  value: unknown = undefined
  /** Set by the dispatcher that runs the pipeline for this answer: a mark, or what the run has to remember. Null before a run. */
  run: object | null = null
  /** Path of the resource that answered: path base and path where its route was called, in the router's canonical form; empty when no router says. */
  resource = ''
  /** The guards that the run has met, as the app keeps them; null where there are none. */
  guards: object | null = null
  readonly #owner: AnswerOwner | null
  #status = 0
  #type = ''
  #headers: HeaderMap | null = null
  #body: unknown = undefined
  #kind: Kind = KIND.Value
  #payload: Payload = null
  #error: IopaError | null = null
  #rare: RareParts | null = null
  #state: typeof OPEN | typeof SEALED | typeof SEALED_PROBLEM = OPEN

  /** `owner` is the context that this answers, null for one that came from a peer. */
  constructor(owner: AnswerOwner | null = null) {
    this.#owner = owner
  }

  /** An answer as it came from a peer: sealed, its payload as received; `codecs` are those of `json()`. */
  static received(status: number, parts: ReceivedParts = {}): Answer {
    const answer = new Answer()
    answer.#status = status
    if (parts.reason !== undefined) answer.#own.reason = parts.reason
    if (parts.codecs !== undefined) answer.#own.codecs = parts.codecs
    answer.#type = parts.type ?? ''
    answer.#headers = parts.headers ?? null
    answer.#payload = parts.payload ?? null
    answer.#body = answer.#payload
    answer.#state = SEALED
    return answer
  }

  /** Neutral status: the one that was set, otherwise the one that would be sent now. */
  get 'iopa.StatusCode'(): number {
    return this.#status === 0 ? this.#impliedStatus() : this.#status
  }
  set 'iopa.StatusCode'(status: number) {
    if (this.#state !== OPEN) throw sealedError()
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new IopaError(500, 'bad-status', `A handler set status ${status}; an answer has a status from 200 to 599.`)
    }
    this.#status = status
    this.#error = null
  }

  /** The reason phrase; that of the status unless one was set. */
  get 'iopa.ReasonPhrase'(): string {
    return this.#rare?.reason || reasonPhrase(this.status)
  }
  set 'iopa.ReasonPhrase'(reason: string) {
    if (this.#state !== OPEN) throw sealedError()
    if (BAD_REASON.test(reason)) throw new IopaError(500, 'bad-reason', 'A handler set a reason phrase with characters that no peer reads.')
    this.#own.reason = reason
  }

  get 'iopa.Headers'(): HeaderMap {
    if (this.#headers === null) {
      this.#headers = new HeaderMap()
      if (this.#state !== OPEN) this.#headers.freeze()
    }
    return this.#headers
  }
  set 'iopa.Headers'(headers: HeadersInit) {
    if (this.#state !== OPEN) throw sealedError()
    // A copy: an edit of this answer must not reach what other answers are given as well.
    this.#headers = HeaderMap.from(headers)
  }

  /** The content type of the body; once sealed, that under which it was encoded. */
  get 'iopa.ContentType'(): string {
    return this.#type
  }
  set 'iopa.ContentType'(type: string) {
    if (this.#state !== OPEN) throw sealedError()
    this.#type = type
  }

  /** The value that a handler set; undefined while none has. A web Response or another answer also sets headers, and the status where none is set. */
  get 'iopa.Body'(): unknown {
    return this.#body
  }
  set 'iopa.Body'(body: unknown) {
    if (typeof body === 'string' && this.#rare === null && this.#state === OPEN) {
      // As setBody, for the most frequent value.
      this.#body = body
      this.#kind = KIND.Text
    } else if (typeof body !== 'object' || body === null) this.setBody(body, kindOf(body))
    else {
      const kind = kindOfObject(body)
      if (kind === KIND.Reply || kind === KIND.Answer || kind === KIND.Response) {
        this.#assertOpen(body)
        applyKind(this, body, kind, false)
      } else this.setBody(body, kind)
    }
  }

  /** Those of the context that this answers. */
  get 'server.Capabilities'(): Capabilities {
    return this.#owner === null ? {} : this.#owner['server.Capabilities']
  }

  get status(): number {
    return this['iopa.StatusCode']
  }
  set status(status: number) {
    this['iopa.StatusCode'] = status
  }
  get reason(): string {
    return this['iopa.ReasonPhrase']
  }
  set reason(reason: string) {
    this['iopa.ReasonPhrase'] = reason
  }
  get headers(): HeaderMap {
    return this['iopa.Headers']
  }
  set headers(headers: HeadersInit) {
    this['iopa.Headers'] = headers
  }
  get type(): string {
    return this.#type
  }
  set type(type: string) {
    this['iopa.ContentType'] = type
  }
  get body(): unknown {
    return this.#body
  }
  set body(body: unknown) {
    this['iopa.Body'] = body
  }

  /** Sets a body of which the kind is known. */
  setBody(body: unknown, kind: Kind): void {
    this.#assertOpen(body)
    if (kind === KIND.Stream) this.#hold(body as Source)
    else if (kind === KIND.Items) this.#own.bodyScope = asyncScope()
    if (this.#rare?.lengthOfBody === true) {
      this.#rare.lengthOfBody = false
      this.#headers?.delete('content-length')
    }
    this.#body = body
    this.#kind = kind
  }

  /** Says that `content-length` is that of the present body, and goes when another one takes its place. */
  noteLength(): void {
    if (this.#headers?.has('content-length') === true) this.#own.lengthOfBody = true
  }

  /** True when a handler, or an error, has set the status. */
  get hasStatus(): boolean {
    return this.#status !== 0
  }

  /** True for a status from 200 to 299. */
  get ok(): boolean {
    const { status } = this
    return status >= 200 && status < 300
  }

  /** The error behind a status of 400 and more: thrown or refused here, or what a received answer says of it. */
  get error(): IopaError | null {
    if (this.#error === null && this.#owner === null && this.#state === SEALED) {
      this.#error = withOrigin(problemIn(this.#status, this.#type, this.#payload), 'upstream')
    }
    return this.#error
  }

  /** Puts an error in the place of the own one: the code that invoked this request is no peer. */
  setError(error: IopaError): void {
    this.#error = error
  }

  /** Status and error as problem details, for a transport that has a form of its own for them. */
  get problem(): Problem {
    return problemOf(this.status, this.error)
  }

  /** True when the body is the problem itself and nothing that a handler wrote. */
  get isProblem(): boolean {
    return this.#body === undefined && this.status >= 400
  }

  /** What the payload is a link to, where the body was too large for observers; null for an answer that is whole. */
  get excerpt(): Excerpt | null {
    return this.#rare?.excerpt ?? null
  }
  set excerpt(excerpt: Excerpt | null) {
    if (this.#state !== OPEN) throw sealedError()
    this.#own.excerpt = excerpt
  }

  /** True when the handler has judged the preconditions of its request itself. */
  get judged(): boolean {
    return this.#rare?.judged === true
  }
  set judged(judged: boolean) {
    this.#own.judged = judged
  }

  /** True once status, headers and body are fixed. */
  get sealed(): boolean {
    return this.#state !== OPEN
  }

  /** The headers' flat list of names and values, without making one where there is none. */
  get headerPairs(): readonly string[] {
    return this.#headers === null ? NO_PAIRS : this.#headers.pairs()
  }

  /** What goes over the wire; null for no body. Strings are UTF-8. Set when the answer is sealed. */
  get payload(): Payload {
    if (this.#state === SEALED_PROBLEM) {
      this.#state = SEALED
      this.#payload = problemText(this.#status, this.#error)
    }
    return this.#payload
  }

  /** The payload as bytes; a stream must have been collected. */
  get payloadBytes(): Uint8Array<ArrayBuffer> {
    const payload = this.payload
    if (payload === null) return NO_BYTES
    if (typeof payload === 'string') return (this.#payload = utf8.encode(payload))
    // The web takes bytes as a body by this type alone; memory that an app shares between threads is not told apart.
    if (payload instanceof Uint8Array) return payload as Uint8Array<ArrayBuffer>
    throw new IopaError(500, 'answer-not-collected', 'The payload is a stream; collect the answer first.')
  }

  /** True when the payload is a stream. */
  get isStream(): boolean {
    return this.#payload !== null && typeof this.#payload === 'object' && !(this.#payload instanceof Uint8Array)
  }

  /** Turns a stream into bytes, so that the answer can be read more than once; they count for `holder`. @throws IopaError 413 beyond `limit` bytes. */
  collect(limit: number, holder?: BodyHolder): Promise<void> {
    return observed(this.#collect(limit, holder))
  }

  async #collect(limit: number, holder?: BodyHolder): Promise<void> {
    if (this.isStream) this.#payload = await collectBytes(this.#payload as AsyncIterable<Uint8Array>, limit, holder, this)
  }

  /**
   * Calls `done` once a streamed payload has been read to its end, has failed or was given up. Reading ends at once with `signal`, and rejects with
   * what `failed` makes of the reason, or of what the stream fails with.
   */
  whenRead(done: () => void, signal?: AbortSignal, failed?: (error: unknown) => unknown): void {
    if (!this.isStream) return
    const received = this.#body === this.#payload
    this.#payload = endingStream(this.#payload as AsyncIterable<Uint8Array>, done, signal, failed)
    if (received) this.#body = this.#payload
  }

  /** The body as bytes: what a client reads, or what will be sent. A stream that has been read stays readable. */
  bytes(limit?: number): Promise<Uint8Array<ArrayBuffer>> {
    return observed(this.#reading.bytes(limit))
  }

  /** The body as text. */
  text(): Promise<string> {
    if (this.#state !== OPEN && typeof this.#payload === 'string') return Promise.resolve(this.#payload)
    return observed(this.#reading.text())
  }

  /** The body's value, by its content type; undefined where there is no content. @throws IopaError 400, 415, whose fault is its sender's. */
  json(codecs?: CodecTable): Promise<unknown> {
    return observed(this.#reading.json(codecs ?? this.#codecs))
  }

  /** Gives a received answer the codecs of the app for `json()`. */
  useCodecs(codecs: CodecTable): void {
    if (this.#owner === null) this.#own.codecs ??= codecs
  }

  /** Runs `callback` once before the first byte, last registered first; the head waits for a promise. */
  onSendingHeaders(callback: SendingCallback): void {
    if (this.#state !== OPEN) throw sealedError()
    this.#own.callbacks.push(inAsyncScope(callback))
  }

  /** The methods that routes and files on the way have for the path asked for; the end of the pipeline answers 405 or OPTIONS with them. */
  get noted(): NotedMethods | null {
    return this.#rare?.noted ?? null
  }

  /** Says that `path`, path base included, answers these methods; a note of another path is forgotten. */
  note(path: string, methods: Iterable<string>): void {
    const earlier = this.#rare?.noted
    this.#own.noted = { path, methods: new Set(earlier?.path === path ? [...earlier.methods, ...methods] : methods) }
  }

  /** Forgets status, body and error, so that another handler can answer; headers stay. */
  reset(): void {
    if (this.#state !== OPEN) throw sealedError()
    this.#status = 0
    if (this.#rare !== null) this.#rare.reason = ''
    this.#type = ''
    this.#body = undefined
    this.#kind = KIND.Value
    this.#error = null
    this.value = undefined
  }

  /** Answers with the error instead of what handlers have set; headers that do not describe that body stay. */
  fail(error: IopaError): void {
    if (this.#state !== OPEN) throw sealedError()
    this.#status = error.status
    if (this.#rare !== null) this.#rare.reason = ''
    this.#type = ''
    if (this.#body !== undefined) this.#giveUp()
    this.#body = undefined
    this.#kind = KIND.Value
    this.#error = error
    if (this.#headers !== null) for (const name of REPRESENTATION_HEADERS) this.#headers.delete(name)
    if (error.headers !== undefined) assignHeaders(this.headers, error.headers)
  }

  /**
   * Runs the callbacks, encodes the body and fixes the answer; a promise comes back only where a callback is asynchronous.
   * A second call does nothing. May throw or reject; then call `fail` and seal again, which cannot.
   */
  seal(codecs: CodecTable): void | Promise<void> {
    if (this.#state !== OPEN) return
    if (this.#rare !== null && this.#rare.callbacks.length > 0) {
      const running = runCallbacks(this.#rare.callbacks)
      if (running !== undefined) return running.then(() => this.#fix(codecs))
    }
    this.#fix(codecs)
  }

  /**
   * For a sealed answer: null when its head can be sent at once. Otherwise a promise of the first chunk, or of an open
   * file where no content follows; it rejects with the failure of the stream.
   */
  ready(): Promise<void> | null {
    if (!(this.#payload instanceof PayloadStream)) return null
    if (this.#status === 304 || this.#owner?.requestedMethod === 'HEAD') return this.#payload.opened()
    return this.#type.startsWith(MEDIA_TYPES.EventStream) ? null : this.#payload.ready()
  }

  /** Replaces a sealed answer, of which nothing has been sent, by the problem of an error. */
  refuse(error: IopaError, codecs: CodecTable): void {
    if (this.#payload instanceof PayloadStream) void this.#payload.return()
    this.#payload = null
    this.#state = OPEN
    if (this.#headers !== null) this.#headers = HeaderMap.from(this.#headers)
    this.fail(error)
    this.#fix(codecs)
  }

  #fix(codecs: CodecTable): void {
    // Other code may have sealed the answer while a callback was running.
    if (this.#state !== OPEN) return
    if (this.#status === 0) {
      const status = this.#impliedStatus()
      if (status === 404) this.fail(NOT_FOUND)
      else this.#status = status || 204
    }
    if (this.#headers !== null) this.#fixHeaders(this.#headers)
    if (this.#type !== '') checkMediaType(this.#type)
    if (hasNoContent(this.#status) || (this.#body === null && this.#status >= 300 && this.#status < 400)) this.#dropContent()
    else if (this.#body === undefined) {
      if (this.#status >= 400) {
        this.#type = MEDIA_TYPES.ProblemJson
        this.#state = SEALED_PROBLEM
      }
    } else if (this.#kind === KIND.Text && this.#type === '') {
      // As encodeKind, for the most frequent value.
      this.#payload = String(this.#body)
      this.#type = MEDIA_TYPES.Text
    } else {
      const encoded = this.#encode(this.#type, codecs)
      this.#payload = encoded.payload
      this.#type = encoded.type
    }
    if (this.#state === OPEN) this.#state = SEALED
    this.#headers?.freeze()
  }

  /** Moves the content type to its place, and keeps a head away that no peer can read. */
  #fixHeaders(headers: HeaderMap): void {
    const stated = headers.get('content-type')
    if (stated !== undefined) {
      this.#type = stated
      headers.delete('content-type')
    }
    if (!isHeadTooLarge(headers.pairs())) return
    // The problem that is sent instead could not be read with them either.
    this.#headers = null
    // A failure has been logged already.
    if (this.#error === null || this.#status < 500) throw headTooLarge()
  }

  #encode(type: string, codecs: CodecTable): Encoded {
    const body = this.#body
    if (this.#kind === KIND.Stream) {
      const stream = this.#hold(body as Source)
      if (stream.begun) throw unsendable(body)
      return { payload: stream, type: type || MEDIA_TYPES.OctetStream }
    }
    if (this.#kind !== KIND.Items) return encodeKind(this.#kind, body, type, codecs)
    const scope = this.#rare?.bodyScope ?? null
    return scope === null ? this.#encodeItems(type, codecs) : scope.runInAsyncScope(this.#encodeItems, this, type, codecs)
  }

  #encodeItems(type: string, codecs: CodecTable): Encoded {
    const body = this.#body
    // HEAD takes nothing out of a generator, not even the item that would tell its type.
    if (this.#owner?.requestedMethod === 'HEAD' && typeof (body as { next?: unknown }).next === 'function') {
      return { payload: chunksOf(body as Source), type }
    }
    const encoded = encodeKind(KIND.Items, body, type, codecs)
    if (encoded.payload instanceof PayloadStream) this.#hold(encoded.payload)
    return encoded
  }

  /** What 204 and 205 have to be without (RFC 9110 sections 15.3.5 and 15.3.6), and a redirect whose body is null. */
  #dropContent(): void {
    if (this.#body !== undefined && this.#body !== null) this.#giveUp()
    this.#type = ''
    this.#headers?.delete('content-length')
  }

  #giveUp(): void {
    if (this.#kind === KIND.Stream) void this.#hold(this.#body as Source).return()
    else abandonValue(this.#body)
  }

  /** The one reader of a stream; what was not read to its end is given up when the scope ends. */
  #hold(source: Source): PayloadStream {
    const rare = this.#own
    if (rare.held === null) {
      const held = new HeldBodies()
      rare.held = held
      this.#owner?.defer(() => held.giveUp())
    }
    return rare.held.hold(source)
  }

  #impliedStatus(): number {
    if (this.#body !== undefined) return this.#kind === KIND.Unsendable ? 500 : this.#kind === KIND.Error ? statusOfError(this.#body) : 200
    if (this.#owner === null) return 0
    const method = this.#owner['iopa.Method']
    return method === 'GET' || method === 'HEAD' ? 404 : 204
  }

  get #codecs(): CodecTable {
    return this.#rare?.codecs ?? this.#owner?.environment.codecs ?? DEFAULT_CODECS
  }

  get #reading(): AnswerReading {
    const owner = this.#owner
    return (this.#own.reading ??= new AnswerReading(
      this,
      () => this.#preview(),
      owner === null ? 'upstream' : 'internal',
      owner?.environment.bodyLimit ?? Number.MAX_SAFE_INTEGER
    ))
  }

  /** What sealing would send now. */
  #preview(): Encoded {
    if (this.#body !== undefined) return this.#encode(this.#headers?.get('content-type') || this.#type, this.#codecs)
    const { status } = this
    const error = this.#error ?? (this.#status === 0 ? NOT_FOUND : null)
    return { payload: status >= 400 ? problemText(status, error) : null, type: MEDIA_TYPES.ProblemJson }
  }

  #assertOpen(body: unknown): void {
    if (this.#state === OPEN) return
    abandonValue(body)
    throw sealedError()
  }

  get #own(): RareParts {
    return (this.#rare ??= rareParts())
  }

  toString(): string {
    return `Answer ${this.status}`
  }
}

Object.setPrototypeOf(Answer.prototype, null)
Object.defineProperty(Answer.prototype, ANSWER, { value: true })

const DEFAULT_CODECS = new CodecTable()
const NO_PAIRS: readonly string[] = Object.freeze([])
const NO_BYTES = new Uint8Array(0)
