import {
  type ByteChannel,
  type ByteReceiver,
  type Clock,
  type Connection,
  type Counters,
  type EndReason,
  HeldBuffer,
  type Host,
  IopaError,
  isIopaError,
  Outbox
} from '@iopa/transport'
import { AnswerFlow } from './answer-flow.ts'
import type { FrameReader, Framing } from './framing.ts'
import { PeerWatch } from './peer-watch.ts'

/** What the sessions of one listener share. */
export interface SessionSettings {
  readonly host: Host
  readonly counters: Counters
  readonly clock: Clock
  readonly framing: Framing
  /** The longest frame, in bytes. */
  readonly frameLimit: number
  readonly scheme: string
  /** True once the listener is closing: what is in work is finished, nothing is begun. */
  closing: boolean
}

// Ignored before the next line, as white space is before any JSON text (RFC 8259 section 2).
const SPACE = Uint8Array.of(0x20)

/**
 * One connection of a listener: frames come in, requests run, answers leave. What was finished while a chunk was read
 * leaves in one write at its end, later answers with all others of the same turn of the event loop.
 */
export abstract class Session extends AnswerFlow implements ByteReceiver {
  protected readonly counters: Counters
  /** What has come of a frame, among the bodies in memory. */
  readonly #held: HeldBuffer
  protected readonly framing: Framing
  protected readonly counted: Connection
  readonly #settings: SessionSettings
  /** Most requests in work. */
  readonly #most: number
  readonly #channel: ByteChannel
  readonly #watch: PeerWatch
  readonly #reader: FrameReader
  readonly #chunks: Uint8Array[] = []
  #frames = 0
  #pumping = false
  #scheduled = false
  #paused = false
  /** The peer has finished sending. */
  #ended = false
  /** Nothing more is read: the stream has ended, or cannot be understood any more. */
  #stopped = false
  /** The peer has broken the framing, or has not ended a message in time: what it observes ends, too. */
  #broken = false
  #silent = true
  #leaving = false
  #reason: EndReason = 'disconnect'

  constructor(channel: ByteChannel, counted: Connection, settings: SessionSettings) {
    const { host, clock, framing } = settings
    super(host, new Outbox(channel, host.limits), {
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
    })
    this.framing = framing
    this.counted = counted
    this.#settings = settings
    this.counters = settings.counters
    this.#held = new HeldBuffer(host.scope.environment.bodies)
    this.#most = host.limits.inFlightPerConnection
    this.#channel = channel
    this.#watch = new PeerWatch(channel, clock, host.limits.idleTimeout)
    this.#reader = framing.reader(settings.frameLimit)
    if (Number.isFinite(host.limits.headerTimeout)) this.#watch.first(host.limits.headerTimeout, () => this.leave('timeout'))
    channel.open(this)
  }

  /** Takes one frame; an error that it throws ends the session. */
  protected abstract receive(frame: Uint8Array): void
  /** True while something beside requests in work keeps the session open. */
  protected abstract get occupied(): boolean

  data(chunk: Uint8Array): void {
    this.counted.touch()
    if (this.#silent) {
      this.#silent = false
      this.#watch.spoken()
    }
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
    this.#watch.moved()
    this.#pump()
  }

  close(): void {
    this.closed = true
    this.#held.free()
    this.#watch.close()
    this.user.close()
    this.outbox.onClose()
    this.counted.remove()
    void this.connection.end(this.#reason)
  }

  /** Ends the connection when everything written has left; `reason` is that of its scope. */
  leave(reason: EndReason): void {
    if (this.#leaving || this.closed) return
    this.#leaving = true
    this.#stopped = true
    this.#reason = reason
    this.outbox.flush()
    this.#channel.end()
    // The peer's end is only seen by reading on.
    if (this.#paused) this.#channel.resume()
    this.#watch.leave()
  }

  protected schedule(): void {
    if (this.#scheduled || this.#pumping) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  protected drained(): Promise<void> {
    this.#watchStall()
    return this.outbox.drained()
  }

  protected userEnded(error: IopaError): void {
    if (this.closed || this.#leaving) return
    this.#stop()
    this.unauthorized(error)
    this.schedule()
  }

  /** Says why the connection ends, where the framing has words for it. */
  protected unauthorized(_error: IopaError): void {}

  protected destroy(): void {
    this.#channel.destroy()
  }

  get #ready(): boolean {
    return !this.#stopped && !this.#settings.closing && this.inFlight < this.#most && this.outbox.writable
  }

  #pump(): void {
    if (this.#pumping || this.closed) return
    this.#pumping = true
    this.outbox.cork()
    this.sendFinished()
    try {
      this.#read()
    } catch (error) {
      this.#stop()
      this.#broken = true
      if (!isIopaError(error)) this.host.logger.error('iopa: a TCP session failed', error)
      this.refuse(isIopaError(error) ? error : new IopaError(500, 'internal-error'))
    }
    this.outbox.uncork()
    this.#pumping = false
    this.counted.busy(this.inFlight)
    if (!this.closed && !this.#leaving) this.#rest()
  }

  /** After all that could be done at once: waits for the peer, or leaves. */
  #rest(): void {
    if (this.#stopped && this.inFlight === 0) {
      if (this.#broken || !this.occupied) {
        this.leave('disconnect')
        return
      }
      this.#watch.probe(() => {
        if (this.outbox.writable) this.outbox.write(SPACE)
      })
    } else if (this.#paused && this.#chunks.length === 0 && this.#ready) {
      this.#paused = false
      this.#channel.resume()
    }
    if (this.#reader.pending > 0) this.#watchFrame()
    if (!this.outbox.writable) this.#watchStall()
  }

  #read(): void {
    while (this.#ready) {
      const frame = this.#reader.next()
      this.#held.resize(this.#reader.room ?? this.#reader.pending, this.connection)
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
    this.#held.free()
    this.#chunks.length = 0
  }

  /** A message that has begun must be whole within the time of a request, however slowly its bytes come. */
  #watchFrame(): void {
    const { requestTimeout } = this.host.limits
    const frames = this.#frames
    this.#watch.frame(requestTimeout, () => {
      if (this.#stopped || this.#reader.pending === 0) return
      if (frames !== this.#frames || this.#paused) return this.#watchFrame()
      this.#stop()
      this.#broken = true
      this.refuse(new IopaError(408, 'frame-timeout', `A message must be whole within ${requestTimeout} ms.`))
      this.#pump()
    })
  }

  #watchStall(): void {
    this.#watch.stall(() => {
      this.#reason = 'timeout'
    })
  }
}
