import { countersOf, type DatagramNetwork, type Host, type Listener, listenerUrl, requiredPort } from '@iopa/transport'
import { addressOf } from './address.ts'
import { answerLimit } from './datagram-limit.ts'
import { Endpoints } from './endpoints.ts'
import type { UdpOptions } from './options.ts'
import { serveSecured } from './secured-server.ts'
import { DatagramServer, type Served, type Serving } from './server.ts'

/** Binds and serves until it is closed. Rejects when it cannot bind. */
export async function listen(host: Host, network: DatagramNetwork, options: UdpOptions): Promise<Listener> {
  const { host: address = '127.0.0.1', framing = 'bag', dtls } = options
  const port = requiredPort('udp', options.port)
  if (dtls?.exclusive !== true) host.assertProtected(address, options.allowUnauthenticated)
  const counters = countersOf(host, 'udp')
  const clock = options.clock ?? host.clock
  const bound = await addressOf(address, 'listen')
  // The worker that has the session has to get its datagrams.
  const channel = await network.bind({ host: bound, port, ...(dtls === undefined ? { spread: true } : undefined) })
  const serving: Serving = { channel, host, clock, raw: framing === 'raw', counters }
  let served: Served
  try {
    served = dtls === undefined ? servePlain(serving) : serveSecured(serving, dtls)
  } catch (error) {
    await channel.close()
    throw error
  }

  let closing: Promise<void> | undefined
  const close = async (timeout: number): Promise<void> => {
    served.server.closing = true
    let expired = (): void => undefined
    const expiry = new Promise<void>(resolve => {
      expired = resolve
    })
    const timer = clock.setTimeout(expired, timeout, { keep: true })
    await Promise.race([host.idle(), expiry])
    clock.clearTimeout(timer)
    await served.close()
  }
  return {
    url: listenerUrl(dtls === undefined ? 'udp' : 'udps', channel.localAddress, channel.localPort),
    close: ({ timeout = host.limits.drainTimeout } = {}) => (closing ??= close(timeout))
  }
}

const servePlain = ({ channel, host, clock, raw, counters }: Serving): Served => {
  const endpoints = new Endpoints(channel, host.limits)
  const server = new DatagramServer({
    host,
    clock,
    raw,
    counters,
    send: ({ remotePort, remoteAddress }, bytes) => channel.send(bytes, remotePort, remoteAddress),
    limitOf: ({ remoteAddress }, size) => answerLimit(remoteAddress, size)
  })
  channel.open({
    message: (bytes, address, port) => {
      // Port 0 cannot be answered (RFC 768).
      if (port !== 0) server.receive(bytes, endpoints.of(address, port))
    },
    // An unreachable peer is not a failure of this server.
    error: () => undefined
  })
  return { server, close: () => channel.close() }
}
