import { PassThrough } from 'node:stream'
import type { Context } from '@iopa/appbuilder'
import type { NodeRequest } from './request.ts'
import { type HeaderSource, ResponseHeaders } from './response-headers.ts'

/** Who writes the answer. */
const UNDECIDED = 0
const MIDDLEWARE = 1
const APP = 2
/** The app's answer goes through functions of this response that middleware has replaced. */
const PASSING = 3

type Callback = (error?: Error | null) => void
type Settled = (error?: unknown) => void

/** The answer of the app as Node, Connect and Express show one. Header fields are those of the answer from the first on. */
export class NodeResponse extends ResponseHeaders {
  readonly req: NodeRequest
  readonly locals: Record<string, unknown> = {}
  statusMessage = ''
  sendDate = true
  /** The answer of the app is to pass through this response. */
  passes = false
  #status = 200
  #stated = false
  #sent = false
  #writer: typeof UNDECIDED | typeof MIDDLEWARE | typeof APP | typeof PASSING = UNDECIDED
  #stream: PassThrough | null = null
  /** The body, where `end` was given all of it. */
  #whole: string | Uint8Array | null = null
  #finished: Callback | null = null
  /** Called once when the middleware answers by itself, and when the context ends; with an error where it cannot answer. */
  #settled: Settled | null = null
  /** The context has ended. */
  #over = false

  constructor(context: Context, req: NodeRequest) {
    super(context)
    this.req = req
  }

  get statusCode(): number {
    return this.#status
  }
  set statusCode(status: number) {
    this.#status = status
    this.#stated = true
  }
  get headersSent(): boolean {
    return this.#sent
  }
  /** Truthy once the head is made; middleware looks for it. */
  get _header(): string | null {
    return this.#sent ? `HTTP/1.1 ${this.#status}` : null
  }
  get finished(): boolean {
    return this.writableEnded
  }
  get socket(): NodeRequest['socket'] {
    return this.req.socket
  }
  get connection(): NodeRequest['socket'] {
    return this.req.socket
  }
  /** True once the answer is that of the middleware. */
  get answers(): boolean {
    return this.#writer === MIDDLEWARE
  }

  /** The middleware that runs now answers by itself, or calls on: `settled` is called where it does not call on. */
  awaitAnswer(settled: Settled): void {
    this.#settled = settled
    if (this.#writer === APP) this.#writer = UNDECIDED
  }

  /** The middleware has called on: the app answers. False where the middleware has answered before. */
  callOn(): boolean {
    if (this.#writer === MIDDLEWARE) return false
    this.#settled = null
    if (this.#stated) {
      this.context.response.status = this.#status
      this.#stated = false
    }
    this.#writer = APP
    return true
  }

  /** The app's answer, with this status, is to go through what middleware has replaced. */
  pass(status: number): void {
    this.#status = status
    this.#writer = PASSING
  }

  /** Middleware has seen the head of the app's answer. */
  passed(): void {
    this.#answer(undefined)
  }

  writeHead(status: number, reason?: string | HeaderSource, headers?: HeaderSource): this {
    if (this.#sent) throw sent('write the head')
    this.statusCode = status
    if (typeof reason === 'string') this.statusMessage = reason
    this.assign(typeof reason === 'string' ? headers : (reason ?? headers))
    this.#sent = true
    return this
  }

  /** Node's name of what makes the head where nothing has called `writeHead`; middleware calls it. */
  _implicitHeader(): void {
    if (!this.#sent) this.writeHead(this.statusCode)
  }
  flushHeaders(): void {
    this._implicitHeader()
  }
  writeContinue(): void {}
  writeProcessing(): void {}
  setTimeout(): this {
    return this
  }

  override write(chunk: unknown, encoding?: unknown, callback?: unknown): boolean {
    this._implicitHeader()
    return super.write(chunk, encoding as BufferEncoding, callback as Callback)
  }

  override end(chunk?: unknown, encoding?: unknown, callback?: unknown): this {
    if (typeof chunk === 'function') return this.end(undefined, undefined, chunk)
    if (typeof encoding === 'function') return this.end(chunk, undefined, encoding)
    // What is the whole body stays so: a text has the type of text, and bytes their length.
    if (this.#stream === null && this.writableLength === 0 && this.#writer !== APP && !this.writableEnded) this.#whole = wholeOf(chunk, encoding)
    this._implicitHeader()
    super.end(this.#whole === null ? chunk : undefined, encoding as BufferEncoding, callback as Callback)
    return this
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    if (this.#writer === APP) {
      callback()
      return
    }
    if (this.#stream === null) {
      // Where it did not become the body, nothing listens to it.
      this.#stream = new PassThrough().on('error', () => undefined)
      this.#answer(this.#stream)
    }
    this.#stream.write(chunk, callback)
  }

  override _final(callback: Callback): void {
    if (this.#stream === null) {
      if (this.#writer !== APP) this.#answer(this.#whole ?? undefined)
    } else this.#stream.end()
    this.#finished = callback
  }

  override _destroy(error: Error | null, callback: Callback): void {
    const fault = error ?? new Error('The middleware gave its answer up.')
    if (this.#stream !== null && !this.#stream.writableEnded) this.#stream.destroy(fault)
    this.#settle(this.#over ? undefined : fault)
    callback(this.listenerCount('error') === 0 ? null : error)
  }

  /** Head and body become the answer of the context. */
  #answer(body: unknown): void {
    const { response } = this.context
    let fault: unknown
    try {
      // To set a status forgets the error that it came from.
      if (this.#writer !== PASSING || this.#status !== response.status) response.status = this.#status
      if (this.statusMessage !== '') response.reason = this.statusMessage
      if (body !== undefined) response.body = body
    } catch (error) {
      // A status that none can be, or an answer that has been sent.
      fault = error
      if (this.#settled === null) this.context['server.Logger'].error(`iopa: ${this.context}: a Connect middleware could not answer`, error)
    }
    if (this.#writer === UNDECIDED) this.#writer = MIDDLEWARE
    this.#settle(fault)
  }

  #settle(fault: unknown): void {
    const settled = this.#settled
    this.#settled = null
    settled?.(fault)
  }

  /** The context has ended: its answer has left, or never will. */
  over(finished: boolean): void {
    this.#over = true
    if (finished && this.listenerCount('finish') > 0) {
      if (this.#writer === APP) this.#status = this.context.response.status
      this.#sent = true
      if (!this.writableEnded) super.end()
    }
    if (finished && this.#finished !== null) this.#finished()
    else if (this.#finished !== null || this.#stream !== null || this.listenerCount('close') > 0 || this.#settled !== null) this.destroy()
  }
}

const wholeOf = (chunk: unknown, encoding: unknown): string | Uint8Array | null => {
  if (chunk instanceof Uint8Array) return chunk
  if (typeof chunk !== 'string') return null
  return encoding === undefined || encoding === null || /^utf-?8$/i.test(String(encoding)) ? chunk : Buffer.from(chunk, encoding as BufferEncoding)
}

const sent = (what: string): Error => Object.assign(new Error(`Cannot ${what} after the head has been sent`), { code: 'ERR_HTTP_HEADERS_SENT' })
