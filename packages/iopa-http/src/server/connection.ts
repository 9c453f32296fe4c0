import {
  Answer,
  type ByteChannel,
  type ByteReceiver,
  type Connection,
  ConnectionUser,
  type Context,
  IopaError,
  isIopaError,
  type Scope
} from '@iopa/appbuilder'
import type { BodyDecoder } from '../message/body-decoder.ts'
import { HeadReader } from '../message/head-reader.ts'
import { answerTo } from '../message/refusal.ts'
import type { RequestHead } from '../message/request-head.ts'
import { acceptsEventStream } from '../message/request-target.ts'
import { Admission, type AdmissionRules, isUnusual } from './admission.ts'
import { AnswerFlow, type AnswerSettings, discard } from './answer-flow.ts'
import { Inflow } from './inflow.ts'
import { PeerWatch } from './peer-watch.ts'
import { HttpRequest } from './request.ts'
import type { BodyPort } from './request-body.ts'

/** What the connections of one listener share. */
export interface ConnectionSettings extends AdmissionRules, AnswerSettings {}

const DISCONNECTED = new IopaError(400, 'disconnected', 'The peer has gone before its request was complete.')
const INCOMPLETE = new IopaError(400, 'incomplete-request', 'The connection ended within a request.')
const SERVER_OPTIONS = Answer.received(204)

// How long a connection that this side has ended takes in what the peer still sends, in milliseconds. Closing at once
// would reset it, and the peer could lose the answer that says why (RFC 9112 section 9.6).
export const LINGER = 1000

/**
 * One connection: its requests are answered one after another, those that were pipelined wait unread behind the one in
 * work. What is answered at once leaves in one write, however many requests one read has brought.
 */
export class HttpConnection extends AnswerFlow implements ByteReceiver, BodyPort {
  protected readonly watch: PeerWatch
  readonly #settings: ConnectionSettings
  readonly #admission: Admission
  readonly #context: Context
  /** Parent of the requests: they inherit the keys that middleware sets on the connection, but not from one that a proxy shares out. */
  readonly #parent: Context | Scope
  readonly #user: ConnectionUser
  readonly #inflow: Inflow
  readonly #heads: HeadReader
  readonly #closed: () => void
  readonly #done = (context: Context): void => this.#answered(context)
  /** The rest of the last body, that nobody wants. */
  #discarded: BodyDecoder | null = null
  #reading = false
  #flushing: ReturnType<typeof setImmediate> | null = null
  /** This side has ended the connection. */
  #left = false

  /** `closed` is called when the connection is gone. */
  constructor(channel: ByteChannel, counted: Connection, settings: ConnectionSettings, closed: () => void) {
    super(channel, counted, settings)
    this.#settings = settings
    this.#admission = new Admission(channel, settings)
    this.#context = settings.host.create(this.#admission.connection())
    this.#parent = this.#admission.proxied ? settings.host.scope : this.#context
    this.#user = new ConnectionUser(settings.host, this.#context, () => {
      // The next request on a new connection has to say who it is.
      if (this.request === null) this.#leave()
      else this.request.closes = true
    })
    this.#inflow = new Inflow(channel)
    this.#heads = new HeadReader(settings.limits.headerBytes)
    this.#closed = closed
    this.watch = new PeerWatch(settings.clock.now())
    channel.open(this)
  }

  data(chunk: Uint8Array): void {
    if (this.#left || this.gone) return
    this.#inflow.push(chunk)
    this.read()
  }

  end(): void {
    const { request } = this
    this.#vanish()
    if (this.#left) return
    if (request === null && this.#heads.begun) this.#leaveWith(INCOMPLETE)
    else this.#leave()
  }

  override drain(): void {
    super.drain()
    this.read()
  }

  close(): void {
    this.#vanish()
    this.#user.close()
    if (this.#flushing !== null) clearImmediate(this.#flushing)
    this.counted.remove()
    this.#closed()
  }

  /** Ends the connection when nothing is in work on it. */
  finish(): void {
    if (this.request === null) this.#leave()
  }

  /** Ends an observation: nobody will tell the observer of changes any more. */
  endEvents(): void {
    if (this.request?.context?.['iopa.Observe'] === true) void this.request.context.end('shutdown')
  }

  /** Drops a connection whose peer keeps others waiting: it does not read, or does not send what it has begun to. */
  sweep(now: number): void {
    const { limits } = this.#settings
    if (this.watch.idle && (!this.outflow.writable || (this.#left && this.channel.buffered > 0))) this.watch.wait('drain')
    if (this.watch.stalled(now, limits.idleTimeout, this.#inflow.received, this.channel.buffered)) this.channel.destroy()
    else if (this.watch.silent(now, limits.idleTimeout, this.#inflow.received)) this.stall(limits.idleTimeout)
    else if (this.#left) {
      if (this.watch.lingered(now, LINGER, this.channel.buffered)) this.channel.destroy()
    } else if (this.request === null) this.#await(now, limits.headerTimeout)
  }

  begin(): void {
    const { request } = this
    // The client may wait with its body until it is asked for (RFC 9110 section 10.1.1).
    if (request === null || request.expectation === '' || request.begun) return
    request.expectation = ''
    this.outflow.text('HTTP/1.1 100 Continue\r\n\r\n')
    this.outflow.flush()
  }

  whole(most: number): Uint8Array | null {
    const decoder = this.request?.decoder
    const length = this.request?.fields.length ?? -1
    const { chunk, at } = this.#inflow
    if (decoder === undefined || decoder === null || length < 0 || length > most || chunk.length - at < length) return null
    this.#inflow.advance(decoder.decode(chunk, at, null))
    return chunk.subarray(at, at + length)
  }

  waits(waiting: boolean): void {
    if (waiting) this.watch.wait('body')
    else this.watch.waited('body')
  }

  /** Goes on with what has come, as far as it can be answered or is wanted. */
  read(): void {
    if (this.#reading || this.gone) return
    this.#reading = true
    try {
      while (!this.#inflow.empty && !this.#left && this.#step());
    } catch (error) {
      this.#malformed(error)
    }
    this.#reading = false
    if (this.#left) return
    if (this.request === null || !this.outflow.pending) this.outflow.flush()
    // Others that were pipelined are in work: their answers may be there before the next turn.
    else this.#flushing ??= setImmediate(this.#flushLate)
    this.#inflow.regulate()
  }

  /** False when nothing more can be done with what has come. */
  #step(): boolean {
    const inflow = this.#inflow
    if (this.request !== null) return this.#feed(this.request)
    if (this.#discarded !== null) {
      inflow.advance(this.#discarded.decode(inflow.chunk, inflow.at, null))
      if (this.#discarded.done) this.#discarded = null
      return true
    }
    if (!this.outflow.writable) return false
    const heads = this.#heads
    inflow.advance(heads.read(inflow.chunk, inflow.at))
    if (heads.head !== null) this.#start(heads.head)
    return true
  }

  /** Hands the body in work what has come of it. */
  #feed({ stream, decoder }: HttpRequest): boolean {
    if (stream === null || decoder === null || !stream.wanted) return false
    const inflow = this.#inflow
    inflow.advance(decoder.decode(inflow.chunk, inflow.at, stream))
    if (decoder.done) stream.end()
    return true
  }

  #start(head: RequestHead): void {
    const { host, limits } = this.#settings
    this.counted.touch()
    this.watch.begin()
    const request = new HttpRequest(head, limits.body, limits.headerBytes, this)
    this.request = request
    const context = this.#admit(request)
    if (context === null) return
    request.context = context
    const { accept } = request.fields
    if (accept !== '' && request.method === 'GET' && acceptsEventStream(accept)) this.observe(request, context)
    else host.run(context, this.#done)
    if (this.request === request) this.counted.busy(1)
  }

  /** The context of a request; null when it has been answered without one. */
  #admit(request: HttpRequest): Context | null {
    try {
      const init = this.#admission.admit(request)
      if (init.path !== '*') return this.#settings.host.create(init, this.#parent)
      this.write(request, SERVER_OPTIONS)
    } catch (error) {
      if (isUnusual(request)) request.closes = true
      this.write(request, answerTo(isIopaError(error) ? error : new IopaError(500, 'internal-error')))
    }
    return null
  }

  #answered(context: Context): void {
    const { request } = this
    if (request === null || request.context !== context) discard(context.response)
    else this.write(request, context.response)
  }

  protected unfinishable(request: HttpRequest): boolean {
    if (!request.unread) return false
    // A client that was not asked for its body may send it or not (RFC 9110 section 10.1.1).
    if (request.failed || request.expectation !== '' || request.fields.length > this.#settings.limits.body) return true
    if (request.fields.length >= 0) return false
    // What was refused is not looked at again.
    if (request.context === null) return true
    // All of a chunked body may be there.
    const inflow = this.#inflow
    const decoder = request.decoder as BodyDecoder
    try {
      while (!inflow.empty && !decoder.done) inflow.advance(decoder.decode(inflow.chunk, inflow.at, null))
    } catch {
      return true
    }
    return !decoder.done
  }

  protected settled(request: HttpRequest): void {
    if (request.context !== null) this.#user.look(request.context)
    if (request.closes) this.#leave()
    else {
      if (request.unread) this.#discarded = request.decoder
      this.read()
    }
  }

  protected refuse(request: HttpRequest): void {
    request.closes = true
    this.outflow.bytes(this.#settings.heads.last(answerTo(new IopaError(500, 'internal-error')), request.method === 'HEAD'))
  }

  #malformed(error: unknown): void {
    const { request } = this
    const fault = isIopaError(error) ? error : new IopaError(500, 'internal-error')
    if (!isIopaError(error)) this.#settings.host.logger.error('iopa: an HTTP connection failed', error)
    if (request === null) this.#leaveWith(fault)
    else request.break(fault)
  }

  readonly #flushLate = (): void => {
    this.#flushing = null
    this.outflow.flush()
  }

  /** Says why, and ends the connection. */
  #leaveWith(error: IopaError): void {
    if (this.#left) return
    this.outflow.bytes(this.#settings.heads.last(answerTo(error)))
    this.#leave()
  }

  /** Ends the connection after what was written; what the peer still sends is thrown away. */
  #leave(): void {
    if (this.#left) return
    this.#left = true
    this.outflow.flush()
    this.channel.end()
    this.#inflow.discard()
  }

  /** Ends the wait for the rest of a header or of a body. */
  #await(now: number, limit: number): void {
    const { begun } = this.#heads
    const owing = begun || this.#inflow.received === 0 || this.#discarded !== null
    if (!owing) this.#heads.forget()
    if (!this.watch.late(now, limit, owing)) return
    if (begun && this.outflow.writable) {
      this.#leaveWith(new IopaError(408, 'header-timeout', `The header of the request did not come within ${limit} ms.`))
    } else this.channel.destroy()
  }

  /** The peer has gone: what is in work for it ends. */
  #vanish(): void {
    if (this.gone) return
    this.gone = true
    const { request } = this
    this.request = null
    this.abandon()
    const reason = this.#settings.closing ? 'shutdown' : 'disconnect'
    request?.break(DISCONNECTED)
    void request?.context?.end(reason)
    void this.#context.end(reason)
  }
}
