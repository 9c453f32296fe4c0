import { Agent } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  type ByteAddress,
  type ByteChannel,
  type ByteNetwork,
  type Credentials,
  checkTarget,
  IopaError,
  type Link,
  type LinkAnswer,
  type LinkEnd,
  type LinkRequestOptions,
  type OpenOptions,
  type OutgoingRequest,
  type Sink,
  type SubscribeOptions,
  withPayload
} from '@iopa/transport'
import { channelStream } from '@iopa/transport/node'
import type { HttpClientOptions } from '../options.ts'
import { ACCEPT_ENCODING } from './decompression.ts'
import { environmentProxy } from './environment-proxy.ts'
import { subscribe } from './event-source.ts'
import { answerOfExchange, type Exchange, type ExchangeSettings, exchange, targetOf } from './exchange.ts'
import { type ClientProxy, proxyOf } from './proxy.ts'
import { isRedirect, locationOf, MOST_REDIRECTS, redirectedRequest, skipBody, tooManyRedirects } from './redirect.ts'
import { openTunnel } from './tunnel.ts'

/** What the transport gives to its links. */
export interface LinkSettings {
  readonly network: ByteNetwork
  /** The channels of the network are sockets of node:net. */
  readonly native: boolean
  readonly client: HttpClientOptions
}

/** Connects to the server of an `http:` or `https:` URL. */
export const openLink = async (url: URL, settings: LinkSettings, options: OpenOptions): Promise<HttpLink> => {
  const { tls, credentials } = options
  checkTarget(url, options, { credentials: true })
  if (tls !== undefined && url.protocol !== 'https:') throw new IopaError(400, 'tls-scheme', 'For TLS, write https: in the URL.')
  const authorization = authorizationOf(credentials)
  const { proxy: place } = settings.client
  const proxy = place === undefined ? null : place === 'environment' ? environmentProxy(url) : proxyOf(place, "'proxy' in client of http()")
  const stream = await connectedStream(url, proxy, settings, options)
  const absolute = proxy === null || url.protocol === 'https:' ? null : { origin: url.origin, authorization: proxy.authorization }
  return new HttpLink(stream, { url, settings, options, authorization, proxy: absolute })
}

/** A connection to the server, or to the proxy that gets its requests. */
const connectedStream = async (url: URL, proxy: ClientProxy | null, { network, native }: LinkSettings, options: OpenOptions): Promise<Duplex> => {
  const { signal, tls = {}, limits } = options
  const connect = (place: URL, more: Partial<ByteAddress>): Promise<ByteChannel> => network.connect({ ...placeOf(place), ...more }, signal)
  const streamOf = (channel: ByteChannel): Duplex => (native ? (channel.raw as Duplex) : (channelStream(channel) as Duplex))
  const secured = { tls, alpn: ['http/1.1'] }
  const secure = url.protocol === 'https:'
  if (proxy === null) return streamOf(await connect(url, secure ? secured : {}))
  // TLS to the proxy itself trusts what the system trusts: the options are those of the server.
  const over = await connect(proxy.url, proxy.url.protocol === 'https:' ? { tls: {}, alpn: ['http/1.1'] } : {})
  if (!secure) return streamOf(over)
  if (!native) {
    over.destroy()
    throw new IopaError(502, 'proxy-refused', 'A tunnel for TLS needs the network of Node: leave out proxy or network of http().')
  }
  const { host, port } = placeOf(url)
  await openTunnel(streamOf(over), `${host.includes(':') ? `[${host}]` : host}:${port}`, proxy, limits.headerBytes, signal)
  return streamOf(await connect(url, { ...secured, over }))
}

const placeOf = ({ hostname, port, protocol }: URL): { readonly host: string; readonly port: number } => ({
  host: hostname.replace(/^\[|\]$/g, ''),
  port: Number(port) || (protocol === 'https:' ? 443 : 80)
})

/** What a link is made of. */
interface HttpLinkInit {
  readonly url: URL
  readonly settings: LinkSettings
  readonly options: OpenOptions
  /** The field Authorization of requests that have none; empty for none. */
  readonly authorization: string
  /** What requests to a proxy need; null for requests to the server itself. */
  readonly proxy: ExchangeSettings['proxy']
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

  async request(message: OutgoingRequest, options: LinkRequestOptions): Promise<LinkAnswer> {
    const answer = await this.ask(message, options.signal, null)
    return isRedirect(answer) && (message.bag['http.Redirect'] ?? this.#init.settings.client.redirect) === 'follow'
      ? this.#follow(message, answer, options)
      : answer
  }

  /** One request and its answer, whatever that is. `target` is the request target, already encoded; null for that of the message. */
  async ask(message: OutgoingRequest, signal: AbortSignal, target: string | null): Promise<LinkAnswer> {
    const { headers, method } = message
    // Who names a coding or a range wants the bytes as they are.
    const decodes = this.#init.settings.client.decompress === true && method !== 'HEAD' && !headers.has('accept-encoding') && !headers.has('range')
    const stream = await this.#exchange(message, signal, target, decodes ? ACCEPT_ENCODING : '')
    return answerOfExchange(method, stream, decodes ? this.#init.options.limits.body : null)
  }

  subscribe(message: OutgoingRequest, sink: Sink, { signal, resume }: SubscribeOptions): Promise<void> {
    const { clock, limits } = this.#init.options
    return subscribe(message, { sink, resume, clock, limits, exchange: request => this.#exchange(request, signal, null, '') })
  }

  async close(): Promise<void> {
    this.#kept = 0
    this.#stream.destroy()
  }

  /** Follows redirects: on this connection, or on one of its own to another origin, which ends with the answer. */
  async #follow(message: OutgoingRequest, redirect: LinkAnswer, { signal }: LinkRequestOptions): Promise<LinkAnswer> {
    const { settings, options, url } = this.#init
    let link: HttpLink = this
    let from = new URL(targetOf(message), url)
    let request = message
    let answer = redirect
    let left = false
    const leave = async (): Promise<void> => (link === this ? undefined : link.close())
    try {
      for (let count = 0; isRedirect(answer); count++) {
        if (count === MOST_REDIRECTS) throw tooManyRedirects()
        const to = locationOf(answer, from)
        request = redirectedRequest(request, answer.status, from, to)
        await skipBody(answer)
        if (to.origin !== link.#init.url.origin || link.idleTimeout === 0) {
          await leave()
          // What identifies the client goes to the origin that it was given for alone, and not again once the redirects have left it.
          left ||= to.origin !== url.origin
          const same = !left
          const { ca, minVersion } = options.tls ?? {}
          const tls = to.protocol === 'https:' ? (same ? options.tls : { ...(ca && { ca }), ...(minVersion && { minVersion }) }) : undefined
          link = await openLink(new URL(to.origin), settings, { ...options, signal, tls, credentials: same ? options.credentials : undefined })
        }
        from = to
        answer = await link.ask(request, signal, to.pathname + to.search)
      }
      if (link === this) return answer
      if (!answer.isStream) {
        await leave()
        return answer
      }
      return withPayload(answer, thenClosed(answer.payload as AsyncIterable<Uint8Array>, link))
    } catch (error) {
      void this.#giveUp(answer)
      await leave()
      throw error
    }
  }

  /** An answer that is not read leaves a connection that cannot be used again. */
  async #giveUp({ isStream }: LinkAnswer): Promise<void> {
    if (isStream) await this.close()
  }

  #exchange(message: OutgoingRequest, signal: AbortSignal, target: string | null, acceptEncoding: string): Promise<Exchange> {
    const { url, authorization, options, proxy } = this.#init
    const reused = this.#used
    this.#used = true
    return exchange(message, {
      agent: this.#agent,
      authority: url.host,
      authorization,
      target,
      proxy,
      acceptEncoding,
      limits: options.limits,
      signal,
      reused,
      keep: time => (this.#kept = time)
    })
  }
}

async function* thenClosed(body: AsyncIterable<Uint8Array>, link: HttpLink): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } finally {
    await link.close()
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
