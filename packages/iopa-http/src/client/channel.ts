import {
  type Bag,
  type ByteNetwork,
  type Channel,
  type ConnectOptions,
  channelClosed,
  checkTargetUrl,
  DEFAULT_LIMITS,
  IopaError,
  type LinkAnswer,
  mergeLimits,
  outgoing,
  systemClock
} from '@iopa/transport'
import { type ClientSettings, exchange } from './client-request.ts'
import { ConnectionPool, type Route } from './connection-pool.ts'
import { observe } from './event-source.ts'
import { answerOfExchange } from './received-answer.ts'

/** Opens a channel to the server of a URL. Rejects when it cannot be reached. */
export const connect = async (url: URL, network: ByteNetwork, native: boolean, options: ConnectOptions = {}): Promise<Channel> => {
  checkTargetUrl(url, { credentials: true })
  const secure = url.protocol === 'https:'
  if (options.tls !== undefined && !secure) throw new IopaError(400, 'tls-scheme', 'For TLS, write https: in the URL.')
  const clock = options.clock ?? systemClock
  const timeout = options.timeout ?? 30_000
  const limits = mergeLimits(DEFAULT_LIMITS, options.limits)
  const address = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port) || (secure ? 443 : 80),
    ...(secure && { tls: options.tls ?? {}, alpn: ['http/1.1'] })
  }
  const channel = new HttpChannel(
    { network, native, address, clock, timeout },
    { authority: url.host, authorization: authorizationOf(url), clock, limits, timeout }
  )
  try {
    await channel.open(options.signal)
  } catch (error) {
    await channel.close()
    throw error
  }
  return channel
}

/** A client: requests share a pool of connections, each observation has one for itself. */
class HttpChannel implements Channel {
  readonly #requests: ConnectionPool
  readonly #observations: ConnectionPool
  readonly #settings: ClientSettings
  #inFlight = 0

  constructor(route: Route, settings: ClientSettings) {
    this.#requests = new ConnectionPool(route, settings.limits.inFlightPerConnection)
    this.#observations = new ConnectionPool(route, settings.limits.observersPerConnection)
    this.#settings = settings
  }

  open(signal: AbortSignal | undefined): Promise<void> {
    return this.#requests.open(signal)
  }

  async send(request: Bag): Promise<LinkAnswer> {
    const { limits } = this.#settings
    if (this.#requests.closed) throw channelClosed()
    if (this.#inFlight >= limits.inFlight) {
      throw new IopaError(503, 'overloaded', `${limits.inFlight} requests wait for an answer on this channel; wait for some of them.`)
    }
    this.#inFlight++
    try {
      const out = outgoing(request)
      return await answerOfExchange(out.method, await exchange(out, this.#requests, this.#settings), limits.body)
    } finally {
      this.#inFlight--
    }
  }

  observe(request: Bag): AsyncIterable<LinkAnswer> {
    if (this.#requests.closed) throw channelClosed()
    return observe(outgoing(request), this.#observations, this.#settings)
  }

  async close(): Promise<void> {
    this.#requests.destroy()
    this.#observations.destroy()
  }
}

/** User name and password of a URL as the field Authorization (RFC 7617); empty for none. */
const authorizationOf = ({ username, password }: URL): string => {
  if (username === '' && password === '') return ''
  const user = decoded(username)
  if (user.includes(':')) throw new IopaError(400, 'bad-url', 'A user name of HTTP holds no colon (RFC 7617 section 2).')
  return `Basic ${Buffer.from(`${user}:${decoded(password)}`).toString('base64')}`
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
