import { type Capabilities, CodecTable, decodeText, type HeadersInit, IopaError, reasonPhrase } from '@iopa/constants'
import { collectBytes, decodeJson } from './body.ts'
import { encodeBody, type Payload } from './encoding.ts'
import { assignHeaders, HeaderMap } from './header-map.ts'
import { abandonBody, endingStream } from './payload-stream.ts'
import { type Problem, problemOf, problemText } from './problem.ts'

/** What an answer to an observer stands for, when the body is larger than observers may be sent: the answer is a link to it then. */
export interface Excerpt {
  /** Content type of the body. */
  readonly type: string
  /** Bytes of the whole body. */
  readonly size: number
  /** Its first 1,024 bytes; none when they could not be read, for the body has changed again, and that is told next. */
  readonly start: Uint8Array
}

/** What few answers have. */
interface Rare {
  /** Empty for that of the status. */
  reason: string
  excerpt: Excerpt | null
  readonly callbacks: (() => void)[]
  noted: NotedMethods | null
}

/** What a path answers although no route has answered the request. */
export interface NotedMethods {
  /** Path base and path. */
  readonly path: string
  readonly methods: ReadonlySet<string>
}

const OPEN = 0
const SEALED = 1
/** Sealed, and the payload is the problem, whose text is made when it is read. */
const SEALED_PROBLEM = 2

const sealedError = (): IopaError => new IopaError(500, 'answer-sent', 'The answer has been sent; set status and body before the handler returns.')

const utf8 = new TextEncoder()

/**
 * The answer of a context: status, reason phrase, headers, content type and body. Handlers write any value as body;
 * it is encoded once, when the answer is sealed, and transports read `payload`.
 */
export class Answer {
  /** What the handler returned, as it was; it reaches the caller of `app.invoke`. */
  value: unknown = undefined
  /** The promise that a handler returned, until it is fulfilled. */
  pending: Promise<unknown> | null = null
  /** Path of the resource that answered: path base and path where its route was called, in the router's canonical form; empty when no router says. */
  resource = ''
  readonly #owner: { readonly 'server.Capabilities': Capabilities } | null
  #status = 0
  #type = ''
  #headers: HeaderMap | null = null
  #body: unknown = undefined
  #payload: Payload = null
  #error: IopaError | null = null
  #rare: Rare | null = null
  #state: typeof OPEN | typeof SEALED | typeof SEALED_PROBLEM = OPEN

  /** `owner` is the context that this answers, null for one that came from a peer. */
  constructor(owner: { readonly 'server.Capabilities': Capabilities } | null = null) {
    this.#owner = owner
  }

  /** An answer as it came from a peer: sealed, its payload as received. */
  static received(status: number, parts: { headers?: HeaderMap; type?: string; payload?: Payload; reason?: string } = {}): Answer {
    const answer = new Answer()
    answer.#status = status
    if (parts.reason !== undefined) answer.#own.reason = parts.reason
    answer.#type = parts.type ?? ''
    answer.#headers = parts.headers ?? null
    answer.#payload = parts.payload ?? null
    answer.#body = answer.#payload
    answer.#state = SEALED
    return answer
  }

  /** Neutral status; 0 while nothing has set it. */
  get 'iopa.StatusCode'(): number {
    return this.#status
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
    return this.#rare?.reason || reasonPhrase(this.#status)
  }
  set 'iopa.ReasonPhrase'(reason: string) {
    if (this.#state !== OPEN) throw sealedError()
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
    // Those of an answer that was sent cannot be edited; this one's can.
    this.#headers = headers instanceof HeaderMap && !headers.frozen ? headers : HeaderMap.from(headers)
  }

  /** The content type of the body; once sealed, that under which it was encoded. */
  get 'iopa.ContentType'(): string {
    return this.#type
  }
  set 'iopa.ContentType'(type: string) {
    if (this.#state !== OPEN) throw sealedError()
    this.#type = type
  }

  /** The value that a handler set; undefined while none has. */
  get 'iopa.Body'(): unknown {
    return this.#body
  }
  set 'iopa.Body'(body: unknown) {
    if (this.#state !== OPEN) throw sealedError()
    this.#body = body
  }

  /** Those of the context that this answers. */
  get 'server.Capabilities'(): Capabilities {
    return this.#owner === null ? {} : this.#owner['server.Capabilities']
  }

  get status(): number {
    return this.#status
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

  /** True for a status from 200 to 299. */
  get ok(): boolean {
    return this.#status >= 200 && this.#status < 300
  }

  /** The error behind a status of 400 and more, where one was thrown or refused. */
  get error(): IopaError | null {
    return this.#error
  }

  /** Status and error as problem details, for a transport that has a form of its own for them. */
  get problem(): Problem {
    return problemOf(this.#status, this.#error)
  }

  /** True when the body is the problem itself and nothing that a handler wrote. */
  get isProblem(): boolean {
    return this.#body === undefined && this.#status >= 400
  }

  /** What the payload is a link to, where the body was too large for observers; null for an answer that is whole. */
  get excerpt(): Excerpt | null {
    return this.#rare?.excerpt ?? null
  }
  set excerpt(excerpt: Excerpt | null) {
    if (this.#state !== OPEN) throw sealedError()
    this.#own.excerpt = excerpt
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
  get payloadBytes(): Uint8Array {
    const payload = this.payload
    if (payload === null) return NO_BYTES
    if (typeof payload === 'string') return (this.#payload = utf8.encode(payload))
    if (payload instanceof Uint8Array) return payload
    throw new IopaError(500, 'answer-not-collected', 'The payload is a stream; collect the answer first.')
  }

  /** True when the payload is a stream. */
  get isStream(): boolean {
    return this.#payload !== null && typeof this.#payload === 'object' && !(this.#payload instanceof Uint8Array)
  }

  /** Turns a stream into bytes, so that the answer can be read more than once. @throws IopaError 413 beyond `limit` bytes. */
  async collect(limit: number): Promise<void> {
    if (this.isStream) this.#payload = await collectBytes(this.#payload as AsyncIterable<Uint8Array>, limit)
  }

  /** Calls `done` once a streamed payload has been read to its end, has failed or was given up. */
  whenRead(done: () => void): void {
    if (this.isStream) this.#payload = endingStream(this.#payload as AsyncIterable<Uint8Array>, done)
  }

  /** The body as bytes: what a client reads. */
  async bytes(limit: number = Number.MAX_SAFE_INTEGER): Promise<Uint8Array> {
    await this.collect(limit)
    return this.payloadBytes
  }

  /** The body as text. */
  async text(): Promise<string> {
    return typeof this.payload === 'string' ? this.payload : decodeText(await this.bytes())
  }

  /** The body's value, by its content type. @throws IopaError 400, 415. */
  async json(codecs?: CodecTable): Promise<unknown> {
    return decodeJson(await this.bytes(), this.#type, codecs ?? DEFAULT_CODECS)
  }

  /** Runs `callback` once before the first byte, last registered first. */
  onSendingHeaders(callback: () => void): void {
    if (this.#state !== OPEN) throw sealedError()
    this.#own.callbacks.push(callback)
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
    this.#error = null
    this.value = undefined
  }

  /** Answers with the error instead of what handlers have set; headers that do not describe that body stay. */
  fail(error: IopaError): void {
    if (this.#state !== OPEN) throw sealedError()
    this.#status = error.status
    if (this.#rare !== null) this.#rare.reason = ''
    this.#type = ''
    if (this.#body !== undefined) abandonBody(this.#body)
    this.#body = undefined
    this.#error = error
    if (this.#headers !== null) for (const name of REPRESENTATION_HEADERS) this.#headers.delete(name)
    if (error.headers !== undefined) assignHeaders(this.headers, error.headers)
  }

  /** Runs the callbacks, encodes the body and fixes the answer. A second call does nothing. May throw; then call `fail` and seal again, which cannot. */
  seal(codecs: CodecTable): void {
    if (this.#state !== OPEN) return
    if (this.#rare !== null) runAll(this.#rare.callbacks)
    if (this.#headers !== null) {
      const type = this.#headers.get('content-type')
      if (type !== undefined) {
        this.#type = type
        this.#headers.delete('content-type')
      }
    }
    if (this.#body === undefined) {
      if (this.#status >= 400) {
        this.#type = 'application/problem+json'
        this.#state = SEALED_PROBLEM
      }
    } else {
      const encoded = encodeBody(this.#body, this.#type, codecs)
      this.#payload = encoded.payload
      this.#type = encoded.type
    }
    if (this.#state === OPEN) this.#state = SEALED
    this.#headers?.freeze()
  }

  get #own(): Rare {
    return (this.#rare ??= { reason: '', excerpt: null, callbacks: [], noted: null })
  }

  toString(): string {
    return `Answer ${this.#status}`
  }
}

Object.setPrototypeOf(Answer.prototype, null)

// They describe the body that an error takes the place of (RFC 9110 section 8, RFC 9111).
const REPRESENTATION_HEADERS = [
  'content-type',
  'content-length',
  'content-encoding',
  'content-language',
  'content-location',
  'content-range',
  'etag',
  'last-modified',
  'cache-control',
  'expires',
  'location'
]

/** Runs every callback, the last first; throws what the first one threw that failed. */
const runAll = (callbacks: (() => void)[]): void => {
  const failures: unknown[] = []
  for (let callback = callbacks.pop(); callback !== undefined; callback = callbacks.pop()) {
    try {
      callback()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}

const DEFAULT_CODECS = new CodecTable()
const NO_PAIRS: readonly string[] = Object.freeze([])
const NO_BYTES = new Uint8Array(0)
