import { setMaxListeners } from 'node:events'
import { Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type ByteAddress, type ByteNetwork, type Clock, channelClosed, IopaError, isIopaError, type TimerHandle } from '@iopa/transport'
import { ChannelStream } from './channel-stream.ts'

/** How a client reaches its server. */
export interface Route {
  readonly network: ByteNetwork
  /** True when the channels of the network are sockets of node:net. */
  readonly native: boolean
  readonly address: ByteAddress
  readonly clock: Clock
  /** Milliseconds to connect. */
  readonly timeout: number
}

/** How long a connection may be idle that its server closes after `kept` milliseconds: the rest is for the way there. */
const usableFor = (kept: number): number => (kept > 2000 ? kept - 1000 : kept / 2)

type Created = (error: Error | null, stream: Duplex) => void

/** Connections of a client to its one server, kept open between requests; beyond `most`, requests wait for a free one. */
export class ConnectionPool extends Agent {
  readonly #route: Route
  readonly #closing = new AbortController()
  #spare: Duplex | null = null
  /** Milliseconds that the server keeps an idle connection, where it says so, and the timer of one that is idle. */
  readonly #kept = new WeakMap<Duplex, number>()
  readonly #idle = new WeakMap<Duplex, TimerHandle>()

  constructor(route: Route, most: number) {
    super({ keepAlive: true, maxSockets: most, scheduling: 'lifo' })
    this.#route = route
    // Everybody who waits for something listens.
    setMaxListeners(0, this.#closing.signal)
  }

  /** Aborts when the pool is destroyed. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Makes the first connection before there is a request for it. Rejects when the server cannot be reached. */
  async open(signal: AbortSignal | undefined): Promise<void> {
    const stream = await this.#connect(signal)
    this.#spare = stream
    // It must not be handed out once the server has closed it.
    const drop = (): void => {
      if (stream.read() !== null || stream.readableEnded) stream.destroy()
    }
    stream.on('readable', drop)
    stream.once('spared', () => stream.off('readable', drop))
    stream.once('close', () => {
      if (this.#spare === stream) this.#spare = null
    })
  }

  override createConnection(_options: object, created: Created): undefined {
    const spare = this.#spare
    if (spare !== null) {
      this.#spare = null
      spare.emit('spared')
      created(null, spare)
      return
    }
    this.#connect(undefined).then(
      stream => created(null, stream),
      (error: Error) => created(error, undefined as never)
    )
  }

  /** Heeds how long the server keeps this connection when it is idle. */
  keepFor({ socket, headers }: IncomingMessage): void {
    const seconds = /(?:^|[,;\s])timeout\s*=\s*"?(\d{1,9})/i.exec(String(headers['keep-alive'] ?? ''))?.[1]
    if (seconds !== undefined) this.#kept.set(socket, usableFor(Number(seconds) * 1000))
  }

  // A request that leaves when the server closes would be lost.
  override keepSocketAlive(stream: Duplex): boolean {
    super.keepSocketAlive(stream)
    const time = this.#kept.get(stream)
    if (time === undefined) return true
    if (time === 0) return false
    this.#idle.set(
      stream,
      this.#route.clock.setTimeout(() => stream.destroy(), time)
    )
    return true
  }

  override reuseSocket(stream: Duplex, request: ClientRequest): void {
    const timer = this.#idle.get(stream)
    if (timer !== undefined) {
      this.#route.clock.clearTimeout(timer)
      this.#idle.delete(stream)
    }
    super.reuseSocket(stream, request)
  }

  override destroy(): void {
    this.#closing.abort(channelClosed())
    this.#spare?.destroy()
    super.destroy()
  }

  async #connect(signal: AbortSignal | undefined): Promise<Duplex> {
    const { network, native, address, clock, timeout } = this.#route
    const closing = this.#closing.signal
    closing.throwIfAborted()
    signal?.throwIfAborted()
    const giveUp = new AbortController()
    const abort = (): void => giveUp.abort(closing.aborted ? closing.reason : signal?.reason)
    closing.addEventListener('abort', abort)
    signal?.addEventListener('abort', abort)
    const timer = clock.setTimeout(
      () => giveUp.abort(new IopaError(504, 'timeout', `No connection to ${address.host}, port ${address.port}, within ${timeout} ms.`)),
      timeout,
      { keep: true }
    )
    try {
      const channel = await network.connect(address, giveUp.signal)
      const stream = native ? (channel.raw as Duplex) : new ChannelStream(channel)
      stream.once('end', () => stream.end())
      return stream
    } catch (cause) {
      if (isIopaError(cause)) throw cause
      throw new IopaError(502, 'connect-failed', `Cannot connect to ${address.host}, port ${address.port}.`, { cause })
    } finally {
      clock.clearTimeout(timer)
      closing.removeEventListener('abort', abort)
      signal?.removeEventListener('abort', abort)
    }
  }
}
