import { type ByteChannel, type ByteReceiver, type Clock, type Limits, Outbox, type TimerHandle } from '@iopa/transport'
import type { ReceivedMessage } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import { encodeFrame, type Frame, FrameReader } from '../codec/stream-codec.ts'
import { USUAL_TOKEN } from '../codec/token-length.ts'
import { abort, type Capabilities, ping, pong, release, Signalling } from './signalling.ts'

/** The protocol to offer in TLS (RFC 8323 section 8.2). */
export const ALPN: readonly string[] = ['coap']

const NOTHING = new Uint8Array(0)
/** Beyond this many bytes the answers of one read leave before all of them are made, so that a slow reader is noticed. */
const FLUSH_BYTES = 64 * 1024
/** How long a connection that this side has ended waits for the other side, in milliseconds. */
const LINGER = 1000

/** What a side of a connection does with what arrives. None of these may throw. */
export interface StreamHandlers {
  /** The peer has said what it can do; messages may follow. */
  opened(): void
  message(message: ReceivedMessage): void
  /** A message over the size that was agreed; its body was skipped. */
  oversized(code: number, token: Uint8Array): void
  /** The peer closes: it has sent a Release (RFC 8323 section 5.5), or has finished sending. */
  closing(finished: boolean): void
  /** False while no further message is to be taken; `resume` says that it is again. */
  ready(): boolean
  /** Calls `work` when everything that was received before has been answered. */
  whenAnswered(work: () => void): void
  /** The peer has answered a ping. */
  ponged(): void
  /** What the peer has sent is no message, or not one that may come now. */
  refused?(): void
  /** Last call; `reason` says what was wrong, empty when nothing was. */
  closed(reason: string): void
}

/** How a session is bounded. */
export interface StreamSettings {
  readonly clock: Clock
  readonly limits: Limits
  /** Bytes of the largest message that this side takes. */
  readonly maxMessageSize: number
  /** Bytes of the longest token of a request that this side takes; 8 unless given. */
  readonly tokenLength?: number
  /** Milliseconds within which a message that has begun must be whole; without it a message may take any time. */
  readonly messageTimeout?: number
}

/** One side of a connection that carries CoAP (RFC 8323): frames, signals and back-pressure, the same for both roles. */
export class StreamSession implements ByteReceiver {
  readonly #channel: ByteChannel
  readonly #handlers: StreamHandlers
  readonly #clock: Clock
  readonly #reader: FrameReader
  readonly #messageTimeout: number
  readonly #signalling: Signalling
  readonly #outbox: Outbox
  /** Frames for which the outbox has no room yet. */
  #backlog: Uint8Array[] = []
  /** Frames that were received and not taken yet. */
  #frames: Frame[] = []
  #taking = false
  /** The peer has finished sending. */
  #finished = false
  #timer: TimerHandle | undefined
  /** Asks whether the message that had begun when it was set is whole. */
  #messageTimer: TimerHandle | undefined
  #received = 0
  #paused = false
  #ending = false
  #closed = false
  #reason = ''

  constructor(channel: ByteChannel, settings: StreamSettings, handlers: StreamHandlers) {
    const { clock, limits, maxMessageSize, tokenLength = USUAL_TOKEN } = settings
    this.#channel = channel
    this.#handlers = handlers
    this.#clock = clock
    this.#reader = new FrameReader(maxMessageSize)
    this.#messageTimeout = settings.messageTimeout ?? Number.POSITIVE_INFINITY
    this.#signalling = new Signalling({ maxMessageSize, blockWise: true, tokenLength })
    this.#outbox = new Outbox(channel, limits)
    this.#timer = clock.setTimeout(() => this.abort('No CSM has come in time'), limits.headerTimeout)
    this.#write(this.#signalling.hello())
    channel.open(this)
  }

  /** What the peer can do, as far as it has said. */
  get peer(): Capabilities {
    return this.#signalling.peer
  }

  get closed(): boolean {
    return this.#closed || this.#ending
  }

  /** False while the peer does not read as fast as is written. */
  get writable(): boolean {
    return this.#outbox.writable && this.#backlog.length === 0
  }

  /** Resolves when the peer reads again, or is gone. */
  drained(): Promise<void> {
    return this.#outbox.drained()
  }

  send(code: number, token: Uint8Array, options: Options, payload: Uint8Array): void {
    this.#write(encodeFrame({ code, token, options, payload }))
  }

  ping(): void {
    this.#write(ping(NOTHING))
  }

  /** Says goodbye, and ends when everything written has left (RFC 8323 section 5.5). */
  release(): void {
    if (this.closed) return
    this.#write(release())
    this.#end()
  }

  /** Says what is wrong, and ends (RFC 8323 section 5.6). */
  abort(reason: string): void {
    if (this.closed) return
    this.#reason = reason
    this.#write(abort(reason))
    this.#end()
  }

  data(chunk: Uint8Array): void {
    if (this.closed) return
    const frames = this.#reader.push(chunk)
    this.#received += frames.length
    this.#frames.push(...frames)
    if (this.#messageTimer === undefined && this.#reader.incomplete) this.#watchMessage()
    this.resume()
  }

  end(): void {
    this.#finished = true
    this.resume()
  }

  /** Takes received messages while there is room for their answers: a peer that does not read answers must not send more requests. */
  resume(): void {
    if (this.#taking || this.closed) return
    this.#taking = true
    this.#outbox.cork()
    let taken = 0
    while (taken < this.#frames.length && !this.closed && this.writable && this.#handlers.ready()) {
      this.#receive(this.#signalling.receive(this.#frames[taken++]!))
      if (this.#outbox.pendingBytes > FLUSH_BYTES) this.#outbox.flush()
    }
    this.#frames.splice(0, taken)
    this.#outbox.uncork()
    this.#taking = false
    if (this.closed) return
    const pause = this.#frames.length > 0
    if (pause !== this.#paused) {
      this.#paused = pause
      if (pause) this.#channel.pause()
      else this.#channel.resume()
    }
    if (this.#finished && !pause) this.#handlers.closing(true)
  }

  drain(): void {
    this.#outbox.onDrain()
    while (this.#backlog.length > 0 && this.#outbox.write(this.#backlog[0]!)) this.#backlog.shift()
    this.resume()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#disarm()
    if (this.#messageTimer !== undefined) this.#clock.clearTimeout(this.#messageTimer)
    this.#backlog = []
    this.#frames = []
    this.#outbox.onClose()
    this.#handlers.closed(this.#reason)
  }

  destroy(): void {
    this.#channel.destroy()
  }

  #receive(event: ReturnType<Signalling['receive']>): void {
    switch (event.kind) {
      case 'message':
        this.#handlers.message(event.message as ReceivedMessage)
        break
      case 'oversized':
        this.#handlers.oversized(event.code, event.token)
        break
      case 'capabilities':
        if (!event.first) break
        this.#disarm()
        this.#handlers.opened()
        break
      case 'ping':
        // Custody says that what came before has been processed (RFC 8323 section 5.4.1).
        if (event.custody) this.#handlers.whenAnswered(() => this.#write(pong(event.token, true)))
        else this.#write(pong(event.token))
        break
      case 'pong':
        this.#handlers.ponged()
        break
      case 'release':
        this.#handlers.closing(false)
        break
      case 'aborted':
        this.#reason = event.reason || 'The peer has aborted the connection'
        this.#channel.destroy()
        break
      case 'error':
        this.#reason = event.reason
        this.#handlers.refused?.()
        this.#write(event.bytes)
        this.#end()
        break
      default:
    }
  }

  #write(bytes: Uint8Array): void {
    if (this.closed) return
    if (this.#backlog.length > 0 || !this.#outbox.write(bytes)) this.#backlog.push(bytes)
  }

  #end(): void {
    if (this.closed) return
    this.#ending = true
    this.#disarm()
    this.#outbox.flush()
    this.#channel.end()
    if (this.#paused) this.#channel.resume()
    this.#timer = this.#clock.setTimeout(() => this.#channel.destroy(), LINGER)
  }

  /** However slowly its bytes come, a message ends in time; while nothing is read that is not the peer's fault. */
  #watchMessage(): void {
    if (!Number.isFinite(this.#messageTimeout) || this.closed) return
    const received = this.#received
    this.#messageTimer = this.#clock.setTimeout(() => {
      this.#messageTimer = undefined
      if (!this.#reader.incomplete || this.closed) return
      if (received !== this.#received || this.#paused) this.#watchMessage()
      else this.abort(`A message must be whole within ${this.#messageTimeout} ms`)
    }, this.#messageTimeout)
  }

  #disarm(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
