import {
  type ByteChannel,
  type ByteNetwork,
  type Connection,
  Connections,
  countersOf,
  type Host,
  type Listener,
  listenerUrl,
  requiredPort,
  type TlsOptions
} from '@iopa/transport'
import { BagSession } from './bag-session.ts'
import { DataSession } from './data-session.ts'
import type { Framing } from './framing.ts'
import type { TcpOptions } from './options.ts'
import { refusals } from './refusal.ts'
import type { Session, SessionSettings } from './session.ts'

/** Binds and serves until it is closed. Rejects when it cannot bind. `bag` says that frames are bags. */
export async function listen(host: Host, framing: Framing, bag: boolean, network: ByteNetwork, options: TcpOptions): Promise<Listener> {
  const { host: address = '127.0.0.1', tls } = options
  const port = requiredPort('tcp', options.port)
  host.assertProtected(address, options.allowUnauthenticated)
  const { limits } = host
  const clock = options.clock ?? host.clock
  const scheme = tls ? 'tcps' : 'tcp'
  // A body of the largest size fits in base64, with its headers and path beside it.
  const frameLimit = bag ? Math.ceil((limits.body * 4) / 3) + 64 * 1024 : limits.body
  const counters = countersOf(host, 'tcp')
  const settings: SessionSettings = { host, counters, clock, framing, frameLimit, scheme, closing: false }
  const sessions = new WeakMap<Connection, Session>()
  const connections = new Connections(clock, limits, connection => sessions.get(connection)?.leave('timeout'), counters)
  const refuse = refusals(bag, clock)

  const accept = (channel: ByteChannel): void => {
    const connection = connections.admit(channel)
    if (connection === null) {
      refuse(channel)
      return
    }
    probe(channel.raw, limits.idleTimeout)
    sessions.set(connection, bag ? new BagSession(channel, connection, settings) : new DataSession(channel, connection, settings))
  }
  const server = await network.listen({ host: address, port, tls }, accept, counters.failed)

  let closing: Promise<void> | undefined
  const close = async (timeout: number): Promise<void> => {
    settings.closing = true
    const closed = server.close()
    await connections.drain(timeout, connection => sessions.get(connection)?.leave('shutdown'))
    await closed
  }
  return {
    url: listenerUrl(scheme, server.address, server.port),
    close: ({ timeout = limits.drainTimeout } = {}) => (closing ??= close(timeout)),
    ...(tls && server.reload && { reload: (next: TlsOptions) => server.reload?.(next) })
  }
}

/** Lets the system find out that a silent peer has gone: one that observes may be silent for ever. */
function probe(socket: unknown, delay: number): void {
  const { setKeepAlive } = (socket ?? {}) as { setKeepAlive?: (on: boolean, delay: number) => void }
  if (delay < 2 ** 31) setKeepAlive?.call(socket, true, delay)
}
