import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions
} from 'node:http2'
import type { Duplex } from 'node:stream'
import { type ByteChannel, type Connection, HeldBuffer, IopaError, type Limits } from '@iopa/transport'
import { Admission } from '../server/admission.ts'
import { LINGER } from '../server/lingering.ts'
import { NamedUser } from '../server/named-user.ts'
import type { ConnectionSettings, ServedConnection } from '../server/served-connection.ts'
import { Exchange, type ExchangePorts } from './exchange.ts'
import { Nuisance, Traffic } from './nuisance.ts'
import { PART } from './stream-writer.ts'

const { NGHTTP2_ENHANCE_YOUR_CALM, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = constants

/** What the peer may do: node:http2 announces no limit of streams unless told, and takes more of everything than a server of requests needs. */
export const sessionOptions = (limits: Limits, streams: number): ServerOptions => ({
  settings: {
    maxConcurrentStreams: streams,
    maxHeaderListSize: limits.headerBytes,
    enablePush: false,
    // Extended CONNECT (RFC 8441) is not spoken.
    enableConnectProtocol: false,
    headerTableSize: 4096,
    initialWindowSize: 65_535,
    maxFrameSize: 16_384
  },
  maxDeflateDynamicTableSize: 4096,
  // Megabytes of frames, header tables and streams.
  maxSessionMemory: 4,
  // A few more than are taken, so that these get 431; pseudo-header fields count too. The crumbs of a cookie are fields of their own.
  maxHeaderListPairs: 2 * limits.headerCount + 4,
  maxSessionInvalidFrames: 100,
  maxSessionRejectedStreams: 100,
  maxOutstandingPings: 2,
  maxSettings: 32,
  peerMaxConcurrentStreams: 100
})

/** The last stream of a GOAWAY that is a notice: streams that are on their way are still taken (RFC 9113 section 6.8). */
const ANY_STREAM = 2 ** 31 - 1

/** Node takes undefined for the code 0. */
const NO_ERROR = null as unknown as Error

/** GOAWAY has no room for more than its code (RFC 9113 section 7): this is for the log. */
const CALM = new IopaError(
  429,
  'enhance-your-calm',
  'The client resets streams, or sends frames, more often than requests need: reuse streams for requests.'
)

/** One connection of HTTP/2: a session of node:http2, whose streams are requests of the app. */
export class Http2Connection implements ServedConnection {
  readonly #channel: ByteChannel
  readonly #counted: Connection
  readonly #settings: ConnectionSettings
  readonly #session: ServerHttp2Session
  readonly #ports: ExchangePorts
  readonly #exchanges = new Set<Exchange>()
  /** Requests for which no handler works yet. */
  readonly #waiting: { readonly exchange: Exchange; readonly raw: readonly string[] }[] = []
  readonly #held: HeldBuffer
  readonly #nuisance: Nuisance
  readonly #user: NamedUser
  readonly #traffic: Traffic
  readonly #socket: Duplex & { readonly bytesRead?: number }
  readonly #since: number
  /** Handlers at work: one whose stream was reset may still run. */
  #working = 0
  #starting = false
  /** The peer has sent its SETTINGS. */
  #greeted = false
  /** When the session was first seen with nothing left to do after its end; -1 before that. */
  #endedAt = -1

  /** `closed` is called when the connection is gone. */
  constructor(channel: ByteChannel, socket: Duplex, counted: Connection, settings: ConnectionSettings, options: ServerOptions, closed: () => void) {
    const { host, clock } = settings
    this.#channel = channel
    this.#counted = counted
    this.#settings = settings
    this.#since = clock.elapsed()
    this.#nuisance = new Nuisance(this.#since)
    const session = (this.#session = performServerHandshake(socket, options))
    this.#socket = socket
    this.#traffic = new Traffic()
    const admission = new Admission(channel, settings, 'HTTP/2', session)
    const { connection } = admission
    this.#held = new HeldBuffer(host.scope.environment.bodies)
    this.#user = new NamedUser(host, connection, () => this.#end())
    this.#ports = {
      settings,
      admission,
      traffic: this.#traffic,
      begun: () => this.#working++,
      rested: () => {
        this.#working--
        this.#startNext()
      },
      settled: context => this.#user.settled(context)
    }
    const opened = (stream: ServerHttp2Stream, _headers: IncomingHttpHeaders, _flags: number, raw: readonly string[]): void =>
      this.#request(stream, raw)
    session.on('stream', opened as never)
    session.on('remoteSettings', () => {
      this.#greeted = true
      this.#count(1)
    })
    session.on('ping', () => this.#count(1))
    // No part of HTTP/2 is of use to a peer that sends nothing more: it could not open a window.
    socket.on('end', () => channel.destroy())
    session.on('error', () => settings.counters.refusal(400, 'malformed-request', channel))
    session.on('close', () => {
      this.#waiting.length = 0
      void connection.end(settings.closing ? 'shutdown' : 'disconnect')
      this.#user.close()
      this.#held.free()
      counted.remove()
      closed()
    })
  }

  finish(): void {
    if (this.#exchanges.size === 0) this.#end()
  }

  endEvents(): void {
    if (this.#session.destroyed) return
    this.#session.goaway(NGHTTP2_NO_ERROR, ANY_STREAM)
    for (const exchange of this.#exchanges) exchange.endEvents()
    setImmediate(() => setImmediate(() => this.#end()))
  }

  sweep(now: number): void {
    const { headerTimeout } = this.#settings.limits
    if (!this.#greeted && now - this.#since >= headerTimeout) this.#channel.destroy()
    let held = 0
    for (const exchange of this.#exchanges) {
      exchange.sweep(now)
      held += exchange.held
    }
    this.#startNext()
    try {
      this.#held.resize(held, this.#ports.admission.connection)
    } catch {
      this.#calm()
    }
    if (this.#nuisance.addBytes(this.#traffic.overhead(this.#socket.bytesRead ?? 0), now)) this.#calm()
    if (!this.#session.closed || this.#exchanges.size > 0) return
    // A peer that does not read the end of the session, or does not end its side.
    if (this.#endedAt < 0) this.#endedAt = now
    else if (now - this.#endedAt >= LINGER) this.#channel.destroy()
  }

  #request(stream: ServerHttp2Stream, raw: readonly string[]): void {
    const exchange = new Exchange(stream, this.#ports)
    this.#exchanges.add(exchange)
    this.#counted.busy(this.#exchanges.size)
    this.#traffic.request(this.#settings.limits.headerBytes, stream.endAfterHeaders)
    stream.on('close', () => this.#closed(stream, exchange))
    this.#waiting.push({ exchange, raw })
    this.#startNext()
  }

  #closed(stream: ServerHttp2Stream, exchange: Exchange): void {
    // Closed by the peer, or because it broke the protocol. Where the app failed, the peer did nothing.
    const reset = !exchange.over || (stream.rstCode !== NGHTTP2_NO_ERROR && stream.rstCode !== NGHTTP2_INTERNAL_ERROR)
    exchange.close()
    this.#exchanges.delete(exchange)
    this.#counted.busy(this.#exchanges.size)
    if (reset && !this.#session.destroyed) this.#count(1)
    this.#startNext()
  }

  /** Runs requests up to the limit of a connection, and while the client reads its answers: the others wait, at most as many as there are streams. */
  #startNext(): void {
    if (this.#starting) return
    this.#starting = true
    const { inFlightPerConnection } = this.#settings.limits
    while (this.#waiting.length > 0 && this.#working < inFlightPerConnection && this.#isRead()) {
      const { exchange, raw } = this.#waiting.shift() as { exchange: Exchange; raw: readonly string[] }
      if (!exchange.over) exchange.start(raw)
    }
    this.#starting = false
  }

  /** False while the client reads so slowly that its answers fill its queue. */
  #isRead(): boolean {
    const { queueBytes } = this.#settings.limits
    if (this.#exchanges.size * PART <= queueBytes) return true
    let unread = 0
    for (const exchange of this.#exchanges) unread += exchange.unread
    return unread <= queueBytes
  }

  #count(times: number): void {
    if (this.#nuisance.add(times, this.#settings.clock.elapsed())) this.#calm()
  }

  /** Ends the connection of a peer that costs too much. */
  #calm(): void {
    if (this.#session.destroyed) return
    this.#ports.admission.refuse(CALM)
    // No error: the code is for the peer.
    this.#session.destroy(NO_ERROR, NGHTTP2_ENHANCE_YOUR_CALM)
  }

  /** Ends the session when its streams have. */
  #end(): void {
    if (!this.#session.closed && !this.#session.destroyed) this.#session.close()
  }
}
