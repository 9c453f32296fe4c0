import { countersOf, type DatagramNetwork, type Host, type Listener, listenerUrl, requiredPort } from '@iopa/transport'
import { addressOf } from './address.ts'
import type { UdpOptions } from './options.ts'
import { DatagramServer } from './server.ts'

/** Binds and serves until it is closed. Rejects when it cannot bind. */
export async function listen(host: Host, network: DatagramNetwork, options: UdpOptions): Promise<Listener> {
  const { host: address = '127.0.0.1', framing = 'bag' } = options
  const port = requiredPort('udp', options.port)
  host.assertProtected(address, options.allowUnauthenticated)
  const counters = countersOf(host, 'udp')
  const clock = options.clock ?? host.clock
  const channel = await network.bind({ host: await addressOf(address, 'listen'), port, spread: true })
  const server = new DatagramServer(channel, host, clock, framing === 'raw', counters)

  let closing: Promise<void> | undefined
  const close = async (timeout: number): Promise<void> => {
    server.closing = true
    let expired = (): void => undefined
    const expiry = new Promise<void>(resolve => {
      expired = resolve
    })
    const timer = clock.setTimeout(expired, timeout, { keep: true })
    await Promise.race([host.idle(), expiry])
    clock.clearTimeout(timer)
    await channel.close()
  }
  const { localAddress, localPort } = channel
  return {
    url: listenerUrl('udp', localAddress, localPort),
    close: ({ timeout = host.limits.drainTimeout } = {}) => (closing ??= close(timeout))
  }
}
