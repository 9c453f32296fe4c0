import {
  Answer,
  type ByteChannel,
  type ByteReceiver,
  type Clock,
  type Connection,
  type Context,
  type Endpoint,
  type EndReason,
  type Host,
  IopaError,
  isIopaError,
  Outbox,
  type TimerHandle
} from '@iopa/appbuilder'
import { AnswerOrder } from './answer-order.ts'
import type { FrameReader, Framing } from './framing.ts'

/** What the sessions of one listener share. */
export interface SessionSettings {
  readonly host: Host
  readonly clock: Clock
  readonly framing: Framing
  /** The longest frame, in bytes. */
  readonly frameLimit: number
  readonly scheme: string
  /** True once the listener is closing: what is in work is finished, nothing is begun. */
  closing: boolean
}

// Beyond this many bytes the answers of one read leave before all of them are made, so that a slow reader is noticed.
const FLUSH_BYTES = 64 * 1024
// Ignored before the next line, as white space is before any JSON text (RFC 8259 section 2).
const SPACE = Uint8Array.of(0x20)
// How often a peer that has finished sending is asked for a sign of life at least, in milliseconds.
const PROBE = 30_000
// How long a connection that this side has ended waits for the other side, in milliseconds.
const LINGER = 1000

/**
 * One connection of a listener: frames come in, requests run, answers leave. What was finished while a chunk was read
 * leaves in one write at its end, later answers with all others of the same turn of the event loop.
 */
export abstract class Session implements ByteReceiver {
  protected readonly host: Host
  protected readonly framing: Framing
  protected readonly endpoint: Endpoint
  /** Parent of every request; keys that middleware sets on it are inherited. */
  protected readonly context: Context
  protected readonly outbox: Outbox
  protected readonly counted: Connection
  readonly #settings: SessionSettings
  /** Most requests in work. */
  readonly #most: number
  readonly #channel: ByteChannel
  readonly #reader: FrameReader
  readonly #chunks: Uint8Array[] = []
  readonly #order = new AnswerOrder()
  /** Finished requests that need no order and wait for the peer to read. */
  readonly #finished: Context[] = []
  /** Answers in the place of those that could not be collected. */
  readonly #substitutes = new Map<Context, Answer>()
  #running: Context | null = null
  #ordered = false
  #inFlight = 0
  #frames = 0
  #unflushed = 0
  #streaming = false
  #pumping = false
  #scheduled = false
  #paused = false
  /** The peer has finished sending. */
  #ended = false
  /** Nothing more is read: the stream has ended, or cannot be understood any more. */
  #stopped = false
  #leaving = false
  #closed = false
  #reason: EndReason = 'disconnect'
  #frameTimer: TimerHandle | null = null
  #stallTimer: TimerHandle | null = null
  #probeTimer: TimerHandle | null = null

  constructor(channel: ByteChannel, counted: Connection, settings: SessionSettings) {
    const { host, framing } = settings
    this.#settings = settings
    this.#most = host.limits.inFlightPerConnection
    this.#channel = channel
    this.counted = counted
    this.host = host
    this.framing = framing
    this.#reader = framing.reader(settings.frameLimit)
    this.outbox = new Outbox(channel, host.limits)
    this.endpoint = {
      scheme: settings.scheme,
      protocol: 'TCP/1.0',
      remoteAddress: channel.remoteAddress,
      remotePort: channel.remotePort,
      localAddress: channel.localAddress,
      localPort: channel.localPort,
      tls: channel.tls,
      sessionId: `${channel.localAddress}:${channel.localPort}-${channel.remoteAddress}:${channel.remotePort}`,
      rawTransport: channel.raw,
      bodyLimit: host.limits.body,
      clientCertificate: () => channel.clientCertificate?.()
    }
    this.context = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint: this.endpoint, source: null })
    // No pipeline runs for a connection, so there is nothing to wait for before its keys are inherited.
    this.context.response.status = 204
    this.context.response.seal(this.context.environment.codecs)
    channel.open(this)
  }

  /** Takes one frame. */
  protected abstract receive(frame: Uint8Array): void
  /** Writes an answer by `put`. */
  protected abstract write(answer: Answer, request: Context): void
  /** True while something beside requests in work keeps the session open. */
  protected abstract get occupied(): boolean
  /** True when an answer's stream is written piece by piece, as it comes. */
  protected abstract get streams(): boolean

  data(chunk: Uint8Array): void {
    this.counted.touch()
    if (this.#stopped) return
    if (!this.#ready && !this.#paused) {
      this.#paused = true
      this.#channel.pause()
    }
    this.#chunks.push(chunk)
    this.#pump()
  }

  end(): void {
    this.#ended = true
    this.#pump()
  }

  drain(): void {
    this.counted.touch()
    this.outbox.onDrain()
    if (!this.#leaving) this.#clearStall()
    this.#pump()
  }

  close(): void {
    this.#closed = true
    if (this.#frameTimer !== null) this.#settings.clock.clearTimeout(this.#frameTimer)
    if (this.#probeTimer !== null) this.#settings.clock.clearTimeout(this.#probeTimer)
    this.#clearStall()
    this.outbox.onClose()
    this.counted.remove()
    void this.context.end(this.#reason)
  }

  /** Ends the connection when everything written has left; `reason` is that of its scope. */
  leave(reason: EndReason): void {
    if (this.#leaving || this.#closed) return
    this.#leaving = true
    this.#stopped = true
    this.#reason = reason
    this.outbox.flush()
    this.#channel.end()
    // The peer's end is only seen by reading on.
    if (this.#paused) this.#channel.resume()
    this.#watchStall(LINGER)
  }

  /** Runs a request; `ordered` says that its answer has to wait for its turn. */
  protected run(request: Context, ordered: boolean): void {
    this.#enter(request, ordered)
    this.host.run(request, this.#done)
    if (this.#running === request) {
      this.#running = null
      if (ordered) this.#order.add(request, false)
    }
  }

  /** Answers with an error what never became a request. */
  protected refuse(error: IopaError, seq?: number | string): void {
    const request = this.host.create({ method: 'GET', path: '/', query: '', rawPath: '/', endpoint: this.endpoint, source: null }, this.context)
    request['iopa.Seq'] = seq
    request.response.fail(error)
    this.answer(request)
  }

  /** Sends an answer that is there without the pipeline, in its turn. */
  protected answer(request: Context): void {
    request.response.seal(request.environment.codecs)
    this.#enter(request, request['iopa.Seq'] === undefined)
    this.#done(request)
  }

  /** Counts an observation in until its first answer has been sent. */
  protected enterObservation(): void {
    this.#inFlight++
  }

  protected leaveObservation(): void {
    this.#inFlight--
    this.schedule()
  }

  /** Writes bytes with all others of this turn. */
  protected put(bytes: Uint8Array): void {
    this.outbox.write(bytes)
    this.#unflushed += bytes.length
  }

  /** To be called between whole messages. */
  protected flushMany(): void {
    if (this.#unflushed < FLUSH_BYTES) return
    this.#unflushed = 0
    this.outbox.flush()
  }

  /** Resolves when the peer reads again, or the connection is gone: one that never reads is dropped. */
  protected drained(): Promise<void> {
    this.#watchStall(this.host.limits.idleTimeout)
    return this.outbox.drained()
  }

  /** Sends what is finished, and reads on, at the end of this turn. */
  protected schedule(): void {
    if (this.#scheduled || this.#pumping) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  /** The connection cannot go on, and the peer cannot be told. */
  protected destroy(): void {
    this.#channel.destroy()
  }

  #enter(request: Context, ordered: boolean): void {
    this.#inFlight++
    this.#running = request
    this.#ordered = ordered
  }

  readonly #done = (request: Context): void => {
    const immediate = request === this.#running
    if (immediate) this.#running = null
    if (this.#closed) return void request.end('disconnect')
    if (request.response.isStream && !this.streams) {
      if (immediate && this.#ordered) this.#order.add(request, false)
      void this.#collect(request)
    } else if (!immediate) this.#settle(request)
    else if (this.#ordered) {
      if (!this.#order.empty || !this.#send(request)) this.#order.add(request, true)
    } else if (this.#finished.length > 0 || !this.#send(request)) this.#finished.push(request)
  }

  #settle(request: Context): void {
    if (!this.#order.finish(request)) this.#finished.push(request)
    this.schedule()
  }

  async #collect(request: Context): Promise<void> {
    try {
      await request.response.collect(this.host.limits.body)
    } catch (cause) {
      const error = isIopaError(cause)
        ? new IopaError(500, 'answer-too-large', `The answer has more than ${this.host.limits.body} bytes; ask for a part of it.`)
        : new IopaError(500, 'internal-error', '', { cause })
      this.host.logger.error(`iopa: the body of ${request} could not be read`, cause)
      const substitute = new Answer(request)
      substitute.fail(error)
      substitute.seal(request.environment.codecs)
      this.#substitutes.set(request, substitute)
    }
    if (!this.#closed) this.#settle(request)
  }

  get #ready(): boolean {
    return !this.#stopped && !this.#settings.closing && this.#inFlight < this.#most && this.outbox.writable
  }

  #pump(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    this.outbox.cork()
    this.#sendFinished()
    try {
      this.#read()
    } catch (error) {
      this.#stop()
      if (!isIopaError(error)) this.host.logger.error('iopa: a TCP session failed', error)
      this.refuse(isIopaError(error) ? error : new IopaError(500, 'internal-error'))
    }
    this.#unflushed = 0
    this.outbox.uncork()
    this.#pumping = false
    this.counted.busy(this.#inFlight)
    if (this.#closed || this.#leaving) return
    if (this.#stopped && this.#inFlight === 0) {
      if (!this.occupied) this.leave('disconnect')
      else if (this.#probeTimer === null) this.#probe(LINGER)
    } else if (this.#paused && this.#chunks.length === 0 && this.#ready) {
      this.#paused = false
      this.#channel.resume()
    }
    if (this.#reader.pending > 0) this.#watchFrame()
    if (!this.outbox.writable) this.#watchStall(this.host.limits.idleTimeout)
  }

  #read(): void {
    while (this.#ready) {
      const frame = this.#reader.next()
      if (frame !== null) {
        this.#frames++
        this.receive(frame)
        continue
      }
      const chunk = this.#chunks.shift()
      if (chunk !== undefined) this.#reader.push(chunk)
      else {
        if (!this.#ended) return
        this.#stop()
        const last = this.#reader.end()
        if (last !== null) this.receive(last)
      }
    }
  }

  #stop(): void {
    this.#stopped = true
    this.#chunks.length = 0
  }

  #sendFinished(): void {
    for (let request = this.#order.next; request !== undefined && this.#send(request); request = this.#order.next) this.#order.remove(request)
    let sent = 0
    while (sent < this.#finished.length && this.#send(this.#finished[sent]!)) sent++
    if (sent > 0) this.#finished.splice(0, sent)
  }

  /** False while the answer has to wait: the peer does not read, or a stream is on its way. */
  #send(request: Context): boolean {
    if (!this.outbox.writable || this.#streaming) return false
    const answer = this.#substitutes.size === 0 ? request.response : this.#substitute(request)
    if (answer.isStream) {
      this.#streaming = true
      void this.#stream(request, answer.payload as AsyncIterable<Uint8Array>)
      return true
    }
    try {
      this.write(answer, request)
    } catch (error) {
      this.host.logger.error(`iopa: the answer to ${request} could not be written`, error)
      this.destroy()
    }
    this.flushMany()
    this.#inFlight--
    void request.end()
    return true
  }

  #substitute(request: Context): Answer {
    const answer = this.#substitutes.get(request) ?? request.response
    this.#substitutes.delete(request)
    return answer
  }

  async #stream(request: Context, payload: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of payload) {
        this.put(chunk)
        this.flushMany()
        if (!this.outbox.writable) await this.drained()
        if (this.#closed) break
      }
    } catch (error) {
      if (!this.#closed) this.host.logger.error(`iopa: the body of ${request} could not be read`, error)
      // Its end must not look like the end of the answer.
      this.destroy()
    }
    this.#streaming = false
    this.#inFlight--
    void request.end()
    this.schedule()
  }

  /** A message that has begun must be whole within the time of a request, however slowly its bytes come. */
  #watchFrame(): void {
    const { limits } = this.host
    if (this.#frameTimer !== null) return
    const frames = this.#frames
    this.#frameTimer = this.#settings.clock.setTimeout(() => {
      this.#frameTimer = null
      if (this.#stopped || this.#reader.pending === 0) return
      if (frames !== this.#frames || this.#paused) return this.#watchFrame()
      this.#stop()
      this.refuse(new IopaError(408, 'frame-timeout', `A message must be whole within ${limits.requestTimeout} ms.`))
      this.#pump()
    }, limits.requestTimeout)
  }

  /** A peer that has finished sending and one that has gone look the same until something is written to them, twice. */
  #probe(time: number): void {
    if (this.outbox.writable) {
      this.outbox.write(SPACE)
      this.outbox.flush()
    }
    this.#probeTimer = this.#settings.clock.setTimeout(() => this.#probe(Math.min(PROBE, this.host.limits.idleTimeout / 2)), time)
  }

  /** Drops a peer that takes nothing of what was written for `time` ms, and one that was left and has everything. */
  #watchStall(time: number): void {
    if (this.#stallTimer !== null && !this.#leaving) return
    this.#clearStall()
    this.#stallTimer = this.#settings.clock.setTimeout(() => {
      this.#stallTimer = null
      if (!this.#leaving) this.#reason = 'timeout'
      if (this.#leaving && time === LINGER && this.#channel.buffered > 0) this.#watchStall(this.host.limits.idleTimeout)
      else this.#channel.destroy()
    }, time)
  }

  #clearStall(): void {
    if (this.#stallTimer === null) return
    this.#settings.clock.clearTimeout(this.#stallTimer)
    this.#stallTimer = null
  }
}
