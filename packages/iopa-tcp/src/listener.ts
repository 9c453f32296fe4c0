import {
  answerToError,
  type ByteChannel,
  type ByteNetwork,
  type Clock,
  type Connection,
  Connections,
  countersOf,
  encodeBagAnswer,
  type Host,
  IopaError,
  type Listener,
  listenerUrl,
  proxiedBy,
  requiredPort,
  type TlsOptions
} from '@iopa/transport'
import type { Framing } from './framing.ts'
import type { TcpOptions } from './options.ts'
import { Session, type SessionSettings } from './session.ts'

/** Binds and serves until it is closed. Rejects when it cannot bind. `bag` says that frames are bags. */
export async function listen(host: Host, framing: Framing, bag: boolean, network: ByteNetwork, options: TcpOptions): Promise<Listener> {
  const { host: address = '127.0.0.1', tls } = options
  const port = requiredPort('tcp', options.port)
  host.assertProtected(address, options.allowUnauthenticated)
  const { limits } = host
  const clock = options.clock ?? host.clock
  const scheme = tls ? 'tcps' : 'tcp'
  // The largest body fits in base64, with its headers and path.
  const frameLimit = bag ? Math.ceil((limits.body * 4) / 3) + 64 * 1024 : limits.body
  const counters = countersOf(host, 'tcp')
  const settings: SessionSettings = { host, counters, clock, framing, bag, frameLimit, scheme, closing: false }
  const sessions = new WeakMap<Connection, Session>()
  const connections = new Connections(clock, limits, connection => sessions.get(connection)?.finish('timeout'), counters)
  const refuse = refusals(bag, clock)

  const accept = (channel: ByteChannel): void => {
    const connection = connections.admit(channel)
    if (connection === null) {
      refuse(channel)
      return
    }
    probe(channel.raw, limits.idleTimeout)
    sessions.set(connection, new Session(channel, connection, settings))
  }
  const server = await network.listen(
    { host: address, port, tls, proxyProtocol: proxiedBy(options.proxyProtocol, limits) },
    accept,
    counters.failed,
    counters.unsecured
  )

  let closing: Promise<void> | undefined
  const close = async (timeout: number): Promise<void> => {
    settings.closing = true
    const closed = server.close()
    await connections.drain(timeout, connection => sessions.get(connection)?.finish('shutdown'))
    await closed
  }
  return {
    url: listenerUrl(scheme, server.address, server.port),
    close: ({ timeout = limits.drainTimeout } = {}) => (closing ??= close(timeout)),
    ...(tls && server.reload && { reload: (next: TlsOptions) => server.reload?.(next) })
  }
}

/** Turns on TCP keep-alive: a peer that observes may send nothing, and the system finds out when it has gone. */
function probe(socket: unknown, delay: number): void {
  const { setKeepAlive } = (socket ?? {}) as { setKeepAlive?: (on: boolean, delay: number) => void }
  if (delay < 2 ** 31) setKeepAlive?.call(socket, true, delay)
}

// Connections over the limit that get an answer at the same time; further ones are dropped.
const AT_ONCE = 64
// How long such a connection waits for the peer to close, in milliseconds.
const LINGER = 1000

/** Refuses connections over the limit: a peer that speaks bags gets a 503. */
function refusals(bag: boolean, clock: Clock): (channel: ByteChannel) => void {
  let open = 0
  const answer = answerToError(
    new IopaError(503, 'too-many-connections', 'The server has reached its limit of connections: try again later.', {
      headers: { 'retry-after': '10' }
    })
  )
  const line = Buffer.from(`${encodeBagAnswer(answer, undefined)}\n`)

  return channel => {
    if (!bag || open >= AT_ONCE) return channel.destroy()
    open++
    const timer = clock.setTimeout(() => channel.destroy(), LINGER)
    channel.open({
      data: () => undefined,
      end: () => channel.end(),
      drain: () => undefined,
      close: () => {
        open--
        clock.clearTimeout(timer)
      }
    })
    channel.write(line)
    channel.end()
  }
}
