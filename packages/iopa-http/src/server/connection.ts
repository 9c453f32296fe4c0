import {
  type ByteChannel,
  type ByteReceiver,
  type Connection,
  ConnectionUser,
  type Context,
  IopaError,
  isIopaError,
  receivedAnswer,
  type Scope
} from '@iopa/transport'
import { acceptsEventStream } from '../message/accept.ts'
import type { BodyDecoder } from '../message/body-decoder.ts'
import { HeadReader } from '../message/head-reader.ts'
import { answerTo, DISCONNECTED, headerTimeout, INCOMPLETE } from '../message/refusal.ts'
import type { RequestHead } from '../message/request-head.ts'
import { Admission, type AdmissionRules, isUnusual } from './admission.ts'
import { AnswerFlow, type AnswerSettings, discard } from './answer-flow.ts'
import { DiscardedBody } from './discarded-body.ts'
import { HalfClosedPeer } from './half-closed-peer.ts'
import { Inflow } from './inflow.ts'
import type { Linger, Lingering } from './lingering.ts'
import { PeerWatch } from './peer-watch.ts'
import { HttpRequest } from './request.ts'
import type { BodyPort } from './request-body.ts'

/** What the connections of one listener share. */
export interface ConnectionSettings extends AdmissionRules, AnswerSettings {
  readonly lingering: Lingering
}

const SERVER_OPTIONS = receivedAnswer(204)

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
  #discarded: DiscardedBody | null = null
  #reading = false
  #flushing: ReturnType<typeof setImmediate> | null = null
  /** Since this side has ended the connection; null before that. */
  #linger: Linger | null = null
  /** The peer has ended its side, and the answer that has begun still leaves. */
  #halfClosed: HalfClosedPeer | null = null

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
    this.watch = new PeerWatch(settings.clock.elapsed())
    channel.open(this)
  }

  data(chunk: Uint8Array): void {
    if (this.gone) return
    if (this.#linger !== null) {
      this.#inflow.received += chunk.length
      return
    }
    this.#inflow.push(chunk)
    this.read()
  }

  end(): void {
    const { request } = this
    // An answer that has begun leaves as a whole. Events have no end that the peer could wait for: it has gone.
    if (request?.begun === true && !request.endless) {
      request.closes = true
      this.#halfClosed = new HalfClosedPeer(request, this.#inflow, this.outflow)
      return
    }
    this.#vanish()
    if (this.#linger !== null) return
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
    this.#linger?.end()
    this.counted.remove()
    this.#closed()
  }

  /** Ends the connection when nothing is in work on it. */
  finish(): void {
    if (this.request === null) this.#leave(this.#discarded !== null)
  }

  /** Ends an observation: nobody will tell the observer of changes any more. */
  endEvents(): void {
    if (this.request?.context?.['iopa.Observe'] === true) void this.request.context.end('shutdown')
  }

  /** Drops a connection whose peer keeps others waiting: it does not read, or does not send what it has begun to. */
  sweep(now: number): void {
    const { limits } = this.#settings
    const { received } = this.#inflow
    const { buffered } = this.channel
    if (!this.outflow.writable || (this.#linger !== null && buffered > 0)) this.watch.ensureDrain()
    this.#halfClosed?.probe()
    if (this.watch.stalled(now, limits.idleTimeout, received, buffered)) this.channel.destroy()
    else if (this.request !== null && this.#halfClosed?.gone(now, this.watch, received) === true) this.channel.destroy()
    else if (this.watch.silent(now, limits.idleTimeout, received)) this.stall(limits.idleTimeout)
    else if (this.#linger !== null) {
      if (this.#linger.over(now, received, buffered)) this.channel.destroy()
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
    const decoder = this.request?.decoder ?? null
    const length = this.request?.fields.length ?? -1
    return decoder === null || length < 0 || length > most ? null : this.#inflow.whole(decoder, length)
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
      while (!this.#inflow.empty && this.#linger === null && this.#step());
    } catch (error) {
      this.#malformed(error)
    }
    this.#reading = false
    this.#halfClosed?.starve(this.#inflow)
    if (this.#linger !== null) return
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
      this.counted.touch()
      this.#discarded.take(inflow)
      if (this.#discarded.done) this.#discarded = null
      else if (this.#discarded.tooLong) this.#leave(true)
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
    if (request?.context !== context) {
      discard(context.response)
      return
    }
    // A deadline that ran out while the body came is no early answer: the rest has no more time.
    if (request.unread && context.response.error?.code === 'timeout') request.closes = request.late = true
    this.write(request, context.response)
  }

  protected unfinishable(request: HttpRequest): boolean {
    return request.isUnfinishable(this.#inflow)
  }

  protected settled(request: HttpRequest): void {
    this.#admission.leave(request)
    if (request.context !== null) this.#user.look(request.context)
    if (request.closes) this.#leave(request.unread, request.late)
    else {
      if (request.unread) this.#discarded = new DiscardedBody(request.decoder as BodyDecoder, 2 * this.#settings.limits.body)
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
    // There is nothing to say within a body whose request has been answered.
    if (this.#discarded !== null) this.#leave(true)
    else if (request === null) this.#leaveWith(fault)
    else request.break(fault)
  }

  readonly #flushLate = (): void => {
    this.#flushing = null
    this.outflow.flush()
  }

  /** Says why, and ends the connection. */
  #leaveWith(error: IopaError): void {
    if (this.#linger !== null) return
    this.outflow.bytes(this.#settings.heads.last(answerTo(error)))
    this.#leave()
  }

  /** Ends the connection after what was written; what the peer still sends is thrown away. */
  #leave(owing = false, late = false): void {
    if (this.#linger !== null) return
    this.#linger = this.#settings.lingering.begin(owing, late)
    this.outflow.flush()
    this.channel.end()
    this.#inflow.discard()
  }

  /** Ends the wait for the rest of a header or of a body. */
  #await(now: number, limit: number): void {
    const { begun } = this.#heads
    const { received } = this.#inflow
    const discarding = this.#discarded !== null
    const owing = begun || received === 0 || discarding
    if (!owing) this.#heads.forget()
    // A header has its time in all. The rest of a body that nobody reads may take long, as long as it comes.
    if (!this.watch.late(now, limit, owing, discarding ? received : 0)) return
    if (begun && this.outflow.writable) {
      this.#leaveWith(headerTimeout(limit))
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
    if (request !== null) {
      this.#admission.leave(request)
      request.chunked = false
      request.break(DISCONNECTED)
      void request.context?.end(reason)
    }
    void this.#context.end(reason)
  }
}
