import { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  type ByteNetwork,
  type Clock,
  type Credentials,
  checkTarget,
  IopaError,
  type Limits,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  type OpenOptions,
  type OutgoingRequest,
  type Sink,
  type SubscribeOptions
} from '@iopa/transport'
import { channelStream } from '@iopa/transport/node'
import { subscribe } from './event-source.ts'
import { answerOfExchange, type Exchange, exchange } from './exchange.ts'

/** Connects to the server of an `http:` or `https:` URL. `native` says that the channels of the network are sockets of node:net. */
export const openLink = async (url: URL, network: ByteNetwork, native: boolean, options: OpenOptions): Promise<Link> => {
  const { signal, tls, clock, limits, credentials } = options
  checkTarget(url, options, { credentials: true })
  const secure = url.protocol === 'https:'
  if (tls !== undefined && !secure) throw new IopaError(400, 'tls-scheme', 'For TLS, write https: in the URL.')
  const authorization = authorizationOf(credentials)
  const address = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (secure ? 443 : 80),
    ...(secure && { tls: tls ?? {}, alpn: ['http/1.1'] })
  }
  const channel = await network.connect(address, signal)
  const stream = native ? (channel.raw as Duplex) : (channelStream(channel) as Duplex)
  return new HttpLink(stream, { authority: url.host, authorization, clock, limits })
}

/** What a link is made of. */
interface HttpLinkInit {
  /** Host and port, for the Host header. */
  readonly authority: string
  /** The field Authorization of requests that have none; empty for none. */
  readonly authorization: string
  readonly clock: Clock
  readonly limits: Limits
}

/** One connection of a client: one request at a time, or one event stream. */
class HttpLink implements Link {
  readonly concurrency: number = 1
  readonly closed: Promise<LinkEnd>
  readonly #init: HttpLinkInit
  readonly #stream: Duplex
  readonly #agent: OneConnection
  #used = false
  #kept: number = Number.POSITIVE_INFINITY

  constructor(stream: Duplex, init: HttpLinkInit) {
    this.#init = init
    this.#stream = stream
    this.#agent = new OneConnection(stream)
    let error: unknown
    stream.once('error', cause => {
      error = cause
    })
    this.closed = new Promise(resolve => {
      stream.once('close', () => resolve({ reason: error === undefined ? 'finish' : 'lost', error }))
    })
  }

  /** 0 where the connection cannot be used again. */
  get idleTimeout(): number {
    return this.#kept
  }

  async request(message: OutgoingRequest, { signal }: LinkRequestOptions): Promise<LinkAnswer> {
    return answerOfExchange(message.method, await this.#exchange(message, signal))
  }

  subscribe(message: OutgoingRequest, sink: Sink, { signal, resume }: SubscribeOptions): Promise<void> {
    const { clock, limits } = this.#init
    return subscribe(message, { sink, resume, clock, limits, exchange: request => this.#exchange(request, signal) })
  }

  async close(): Promise<void> {
    this.#kept = 0
    this.#stream.destroy()
  }

  #exchange(message: OutgoingRequest, signal: AbortSignal): Promise<Exchange> {
    const { authority, authorization, limits } = this.#init
    const reused = this.#used
    this.#used = true
    return exchange(message, { agent: this.#agent, authority, authorization, limits, signal, reused, keep: time => (this.#kept = time) })
  }
}

/** What node:http takes a connection from: the same one for each request, until it is closed. */
class OneConnection extends Agent {
  #stream: Duplex | null

  constructor(stream: Duplex) {
    super({ keepAlive: true, maxSockets: 1 })
    this.#stream = stream
    stream.on('error', () => undefined)
    stream.once('end', () => stream.end())
    // A connection that the server ends before the first request must not be used.
    stream.on('readable', this.#readable)
  }

  override createConnection(_options: object, created: (error: Error | null, stream: Duplex) => void): undefined {
    const stream = this.#stream
    this.#stream = null
    if (stream === null || stream.destroyed) {
      created(new Error('the connection is closed'), undefined as never)
      return
    }
    stream.off('readable', this.#readable)
    created(null, stream)
  }

  // The client closes idle connections itself.
  override keepSocketAlive(stream: Duplex): boolean {
    super.keepSocketAlive(stream)
    return true
  }

  readonly #readable = (): void => {
    const stream = this.#stream
    if (stream !== null && (stream.read() !== null || stream.readableEnded)) stream.destroy()
  }
}

/** User name and password as the field Authorization (RFC 7617); empty for none. */
const authorizationOf = (credentials: Credentials | undefined): string => {
  if (credentials === undefined) return ''
  const { username, password } = credentials
  if (username.includes(':')) throw new IopaError(400, 'bad-url', 'A user name of HTTP holds no colon (RFC 7617 section 2).')
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}
