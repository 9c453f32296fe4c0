import {
  type ByteChannel,
  type ByteNetwork,
  type Clock,
  type Connection,
  Connections,
  countersOf,
  type Host,
  IopaError,
  type Limits,
  type Listener,
  listenerUrl,
  loaded,
  type Subscription,
  type TlsOptions,
  upgradesOf
} from '@iopa/transport'
import { Heartbeats } from '../events/event-stream.ts'
import { AnswerHeads } from '../message/answer-head.ts'
import { HostRules } from '../message/authority.ts'
import { answerTo } from '../message/refusal.ts'
import type { HttpOptions } from '../options.ts'
import { HttpConnection } from './connection.ts'
import { LINGER, Lingering } from './lingering.ts'
import { placeOf, proxyProtocolOf } from './place.ts'
import { ProxiedClients, TrustedProxies } from './proxies.ts'
import type { ConnectionSettings, ServedConnection } from './served-connection.ts'

// Connections over the limit that get an answer at the same time; further ones are dropped.
const REFUSED_AT_ONCE = 64

/** Binds and serves until it is closed. Rejects when it cannot bind. */
export const listen = async (host: Host, network: ByteNetwork, native: boolean, options: HttpOptions): Promise<Listener> => {
  const { tls } = options
  const place = placeOf(options)
  const { host: address } = place
  const { limits } = host
  const clock = options.clock ?? host.clock
  const scheme = tls === undefined ? 'http' : 'https'
  const proxies = options.trustProxy === undefined ? null : new TrustedProxies(options.trustProxy)
  const counters = countersOf(host, 'http')
  const settings: ConnectionSettings = {
    host,
    counters,
    clock,
    limits,
    scheme,
    hosts: new HostRules(options.hosts, address),
    proxies,
    clients: new ProxiedClients(limits.connectionsPerAddress, () => counters.refuse()),
    lingering: new Lingering(),
    upgrades: upgradesOf(host),
    heads: new AnswerHeads(clock, limits.idleTimeout),
    heartbeats: new Heartbeats(clock, options.heartbeat ?? 15_000),
    retry: options.retry ?? 3_000,
    closing: false
  }
  const engine = speaksHttp2(options) ? (await loaded(clock, import('../http2/engine.ts'))).http2Engine(settings, options, native) : null
  const open = new Map<Connection, ServedConnection>()
  const connections = new Connections(clock, limits, connection => open.get(connection)?.finish(), counters)
  const sweep = sweeper(clock, limits, open)
  let refused = 0

  /** Answers a connection over the limit with 503, or drops it. */
  const refuse = (channel: ByteChannel): void => {
    if (refused >= REFUSED_AT_ONCE) {
      channel.destroy()
      return
    }
    refused++
    const answer = channel.protocol === 'h2' ? GOODBYE : settings.heads.last(answerTo(tooManyConnections()))
    turnAway(channel, clock, answer, () => refused--)
  }

  const accept = (channel: ByteChannel): void => {
    // Behind a proxy the limit of an address binds its clients, by their requests.
    // Peers on a UNIX socket have no address.
    const counted = connections.admit(channel, channel.remoteAddress !== '' && proxies?.has(channel.remoteAddress) !== true)
    if (counted === null) {
      refuse(channel)
      return
    }
    const closed = (): boolean => open.delete(counted)
    const accepting = engine?.accept(channel, counted, closed, speaker => open.set(counted, speaker))
    if (accepting !== true) open.set(counted, new HttpConnection(channel, counted, settings, closed))
    sweep()
  }
  const bound = await network.listen(
    {
      ...place,
      proxyProtocol: proxyProtocolOf(options, limits),
      tls,
      alpn: engine !== null && tls !== undefined ? ['h2', 'http/1.1'] : ['http/1.1']
    },
    accept,
    counters.failed,
    counters.unsecured
  )

  const url =
    place.path === undefined ? listenerUrl(scheme, bound.address, bound.port) : new URL(`${scheme}+unix://${encodeURIComponent(place.path)}/`)
  let served: Subscription
  try {
    served = settings.upgrades.serve(url)
  } catch (error) {
    await bound.close()
    throw error
  }

  let closing: Promise<void> | undefined
  const close = async (timeout: number): Promise<void> => {
    settings.closing = true
    served[Symbol.dispose]()
    const closed = bound.close()
    for (const connection of open.values()) connection.endEvents()
    // What has arrived already is read in the next turn of the event loop, and still answered.
    for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve))
    await connections.drain(timeout, connection => open.get(connection)?.finish())
    settings.heads.close()
    await closed
  }
  return {
    url,
    close: ({ timeout = limits.drainTimeout } = {}) => (closing ??= close(timeout)),
    ...(tls && bound.reload && { reload: (next: TlsOptions) => bound.reload?.(next) })
  }
}

/** The suites of pre-shared keys are not fit for HTTP/2 (RFC 9113 section 9.2.2). */
const speaksHttp2 = ({ http2, tls }: HttpOptions): boolean => (http2 ?? tls !== undefined) !== false && tls?.psk === undefined

/** SETTINGS without any, and GOAWAY with ENHANCE_YOUR_CALM (RFC 9113 sections 6.5 and 6.8). */
const GOODBYE: Uint8Array = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11)

/** Looks after all connections in one coarse turn, as long as there are any; call it for each new one. */
const sweeper = (clock: Clock, { headerTimeout, idleTimeout }: Limits, open: ReadonlyMap<unknown, ServedConnection>): (() => void) => {
  const interval = Math.max(1, Math.min(1000, headerTimeout / 4, idleTimeout / 4))
  let armed = false
  const arm = (): void => {
    if (armed || open.size === 0) return
    armed = true
    clock.setTimeout(() => {
      armed = false
      const now = clock.elapsed()
      for (const connection of open.values()) connection.sweep(now)
      arm()
    }, interval)
  }
  return arm
}

/** Ends a connection with an answer before anything was read of it. */
const turnAway = (channel: ByteChannel, clock: Clock, answer: Uint8Array, gone: () => void): void => {
  const timer = clock.setTimeout(() => channel.destroy(), LINGER)
  channel.open({
    data: () => undefined,
    end: () => undefined,
    drain: () => undefined,
    close: () => {
      clock.clearTimeout(timer)
      gone()
    }
  })
  channel.write(answer)
  channel.end()
}

const tooManyConnections = (): IopaError =>
  new IopaError(503, 'too-many-connections', 'The server has reached its limit of connections: try again later.', {
    headers: { 'retry-after': '10' }
  })
