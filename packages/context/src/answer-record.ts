import { type Capabilities, type CodecTable, type HeadersInit, IopaError, reasonPhrase, type SendingOptions, withOrigin } from '@iopa/constants'
import type { Answer, Excerpt, SealedAnswer } from './answer.ts'
import {
  type AnswerFields,
  type AnswerOwner,
  BAD_REASON,
  OPEN,
  type RareParts,
  rareOf,
  SEALED,
  SEALED_PROBLEM,
  sealedError
} from './answer-fields.ts'
import { addAnswerKeys } from './answer-keys.ts'
import { AnswerReading } from './answer-reading.ts'
import { applyKind, applyValue } from './apply-value.ts'
import { asyncScope, inAsyncScope } from './async-scope.ts'
import { collectBytes } from './body.ts'
import { ANSWER } from './brands.ts'
import { streamOf } from './byte-body.ts'
import { HeaderMap } from './header-map.ts'
import { abandonValue } from './held-bodies.ts'
import type { BodyHolder } from './held-bytes.ts'
import { observed } from './observed.ts'
import type { Payload } from './payload-stream.ts'
import { type Problem, problemIn, problemOf, problemText } from './problem.ts'
import { codecsOf, failAnswer, holdStream, impliedStatus, preview } from './sealing.ts'
import { addCallback, type SendingCallback } from './sending-callbacks.ts'
import type { Source } from './source-streams.ts'
import { KIND, type Kind, kindOf, kindOfObject } from './value-kind.ts'

const utf8 = new TextEncoder()
const NO_PAIRS: readonly string[] = Object.freeze([])
const NO_BYTES = new Uint8Array(0)

/**
 * Everything about one answer: one object behind the three types that handlers, transports and clients see, for its shape decides the speed of a
 * request. Handlers write any value as body; it is encoded once, when the answer is sealed.
 */
export class AnswerRecord implements AnswerFields, Answer, SealedAnswer {
  declare 'iopa.StatusCode': number
  declare 'iopa.ReasonPhrase': string
  declare 'iopa.Headers': HeaderMap
  declare 'iopa.ContentType': string
  declare 'iopa.Body': unknown
  declare readonly 'server.Capabilities': Capabilities
  /** What the handler returned, as it was. */
  value: unknown = undefined
  /** Set by the runner of the pipeline: a mark, or what the run has to remember. Null before a run. */
  run: object | null = null
  /** Path of the resource that answered: path base and path where its route was called, in the router's canonical form; and its pattern. Empty when no router says. */
  resource = ''
  route = ''
  /** The guards that the run has met, as the app keeps them; null where there are none. */
  guards: object | null = null
  readonly owner: AnswerOwner | null
  code = 0
  mediaType = ''
  fields: HeaderMap | null = null
  content: unknown = undefined
  kind: Kind = KIND.Value
  wire: Payload = null
  failure: IopaError | null = null
  rare: RareParts | null = null
  state: AnswerFields['state'] = OPEN
  /** A client has it: its body is a stream of bytes, whatever a handler returned. */
  received = false

  /** `owner` is the context that this answers, null for one that came from a peer. */
  constructor(owner: AnswerOwner | null = null) {
    this.owner = owner
  }

  get status(): number {
    return this.code === 0 ? impliedStatus(this) : this.code
  }
  set status(status: number) {
    if (this.state !== OPEN) throw sealedError()
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new IopaError(500, 'bad-status', `A handler set status ${status}; an answer has a status from 200 to 599.`)
    }
    this.code = status
    this.failure = null
  }

  get reason(): string {
    return this.rare?.reason || reasonPhrase(this.code || impliedStatus(this))
  }
  set reason(reason: string) {
    if (this.state !== OPEN) throw sealedError()
    if (BAD_REASON.test(reason)) throw new IopaError(500, 'bad-reason', 'A handler set a reason phrase with characters that no peer reads.')
    rareOf(this).reason = reason
  }

  get headers(): HeaderMap {
    if (this.fields === null) {
      this.fields = new HeaderMap()
      if (this.state !== OPEN) this.fields.freeze()
    }
    return this.fields
  }
  set headers(headers: HeadersInit) {
    if (this.state !== OPEN) throw sealedError()
    // A copy: an edit of this answer must not reach what other answers are given as well.
    this.fields = HeaderMap.from(headers)
  }

  get type(): string {
    return this.mediaType
  }
  set type(type: string) {
    if (this.state !== OPEN) throw sealedError()
    this.mediaType = type
  }

  get body(): unknown {
    return this.received ? streamOf(this.payload) : this.content
  }
  set body(body: unknown) {
    if (typeof body === 'string' && this.rare === null && this.state === OPEN) {
      // As setBody, for the most frequent value.
      this.content = body
      this.kind = KIND.Text
    } else if (typeof body !== 'object' || body === null) this.setBody(body, kindOf(body))
    else {
      const kind = kindOfObject(body)
      if (kind === KIND.Reply || kind === KIND.Answer || kind === KIND.Response) {
        this.#assertOpen(body)
        applyKind(this, body, kind, false)
      } else this.setBody(body, kind)
    }
  }

  /**
   * Writes what a handler returned, once: what passes outward unchanged is not written again. False where the answer is sealed already.
   * @throws what the value is, where that is an Error
   */
  take(value: unknown): boolean {
    // The answer itself comes back from a run within this one.
    if (value === undefined || value === this.value || value === this) return true
    if (this.state !== OPEN) return false
    this.value = value
    if (typeof value === 'string') this.body = value
    else applyValue(this, value)
    return true
  }

  /** Sets a body of which the kind is known. */
  setBody(body: unknown, kind: Kind): void {
    this.#assertOpen(body)
    if (kind === KIND.Stream) holdStream(this, body as Source)
    else if (kind === KIND.Items) rareOf(this).bodyScope = asyncScope()
    if (this.rare?.lengthOfBody === true) {
      this.rare.lengthOfBody = false
      this.fields?.delete('content-length')
    }
    this.content = body
    this.kind = kind
  }

  /** Says that `content-length` is that of the present body, and goes when another one takes its place. */
  noteLength(): void {
    if (this.fields?.has('content-length') === true) rareOf(this).lengthOfBody = true
  }

  get ok(): boolean {
    const { owner } = this
    // As impliedStatus, for a change whose handler set nothing.
    if (this.code === 0 && this.content === undefined && owner !== null) return owner['iopa.Method'] !== 'GET' && owner['iopa.Method'] !== 'HEAD'
    const status = this.code || impliedStatus(this)
    return status >= 200 && status < 300
  }

  get error(): IopaError | null {
    if (this.failure === null && this.owner === null && this.state === SEALED) {
      this.failure = withOrigin(problemIn(this.code, this.mediaType, this.wire), 'upstream')
    }
    return this.failure
  }

  get problem(): Problem {
    return problemOf(this.status, this.error)
  }

  get isProblem(): boolean {
    return this.content === undefined && this.status >= 400
  }

  get encoded(): boolean {
    return typeof this.content !== 'string'
  }

  get excerpt(): Excerpt | null {
    return this.rare?.excerpt ?? null
  }
  set excerpt(excerpt: Excerpt | null) {
    if (this.state !== OPEN) throw sealedError()
    rareOf(this).excerpt = excerpt
  }

  get sealed(): boolean {
    return this.state !== OPEN
  }

  get headerPairs(): readonly string[] {
    return this.fields === null ? NO_PAIRS : this.fields.pairs()
  }

  get payload(): Payload {
    if (this.state === SEALED_PROBLEM) {
      this.state = SEALED
      this.wire = problemText(this.code, this.failure)
    }
    return this.wire
  }

  get payloadBytes(): Uint8Array<ArrayBuffer> {
    const payload = this.payload
    if (payload === null) return NO_BYTES
    if (typeof payload === 'string') return (this.wire = utf8.encode(payload))
    // The web takes bytes as a body by this type alone; memory that an app shares between threads is not told apart.
    if (payload instanceof Uint8Array) return payload as Uint8Array<ArrayBuffer>
    throw new IopaError(500, 'answer-not-collected', 'The payload is a stream; collect the answer first.')
  }

  get isStream(): boolean {
    return this.wire !== null && typeof this.wire === 'object' && !(this.wire instanceof Uint8Array)
  }

  collect(limit: number, holder?: BodyHolder): Promise<void> {
    return observed(this.#collect(limit, holder))
  }

  async #collect(limit: number, holder?: BodyHolder): Promise<void> {
    if (this.isStream) this.wire = await collectBytes(this.wire as AsyncIterable<Uint8Array>, limit, holder, this)
  }

  bytes(limit?: number): Promise<Uint8Array<ArrayBuffer>> {
    return observed(this.#reading.bytes(limit))
  }

  text(): Promise<string> {
    if (this.state !== OPEN && typeof this.wire === 'string') return Promise.resolve(this.wire)
    return observed(this.#reading.text())
  }

  json(codecs?: CodecTable): Promise<unknown> {
    return observed(this.#reading.json(codecs ?? codecsOf(this)))
  }

  onSendingHeaders(callback: SendingCallback, options?: SendingOptions): void {
    if (this.state !== OPEN) throw sealedError()
    addCallback(rareOf(this).callbacks, inAsyncScope(callback), options)
  }

  reset(): void {
    if (this.state !== OPEN) throw sealedError()
    this.code = 0
    if (this.rare !== null) this.rare.reason = ''
    this.mediaType = ''
    this.content = undefined
    this.kind = KIND.Value
    this.failure = null
    this.value = undefined
  }

  fail(error: IopaError): void {
    failAnswer(this, error)
  }

  get #reading(): AnswerReading {
    const { owner } = this
    return (rareOf(this).reading ??= new AnswerReading(
      this,
      () => preview(this),
      owner === null ? 'upstream' : 'internal',
      owner?.environment.bodyLimit ?? Number.MAX_SAFE_INTEGER
    ))
  }

  #assertOpen(body: unknown): void {
    if (this.state === OPEN) return
    abandonValue(body)
    throw sealedError()
  }

  toString(): string {
    return `Answer ${this.status}`
  }
}

addAnswerKeys(AnswerRecord.prototype)
Object.setPrototypeOf(AnswerRecord.prototype, null)
Object.defineProperty(AnswerRecord.prototype, ANSWER, { value: true })
// As for a context: loggers print this line instead of the fields.
Object.defineProperty(AnswerRecord.prototype, Symbol.for('nodejs.util.inspect.custom'), {
  value(this: AnswerRecord): string {
    return `${this.toString()} ${this.mediaType}`.trimEnd()
  }
})
