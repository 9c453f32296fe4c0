import net from 'node:net'
import { type ByteServer, Connections, type Host, type Listener, socketNetwork, systemClock, type TlsOptions } from '@iopa/appbuilder'
import { brokerOptions, type EmbeddedOptions } from '../options.ts'
import { Broker } from './broker.ts'

/** A broker on a network. */
export interface BrokerListener extends Listener {
  readonly broker: Broker
}

/** Starts a broker and has it listen. Rejects when the address cannot be bound. */
export async function listenEmbedded(options: EmbeddedOptions, host: Host): Promise<BrokerListener> {
  const own = host.withLimits(options.limits)
  const address = options.host ?? '127.0.0.1'
  own.assertProtected(address, options.open)
  const clock = options.clock ?? own.clock ?? systemClock
  const broker = new Broker(own, brokerOptions(options), clock)
  const connections = new Connections(clock, own.limits, () => undefined)
  const network = options.channel ?? socketNetwork(net, () => import('node:tls'))
  const port = options.port ?? (options.tls ? 8883 : 1883)
  await broker.start()
  let server: ByteServer
  try {
    server = await network.listen({ host: address, port, tls: options.tls }, channel => broker.accept(channel, connections))
  } catch (error) {
    await broker.close()
    throw error
  }
  const scheme = options.tls ? 'mqtts' : 'mqtt'
  let closing: Promise<void> | null = null
  const close = async (timeout: number): Promise<void> => {
    const closed = server.close()
    await connections.drain(timeout, ({ channel }) => broker.dismiss(channel))
    await closed
    await broker.close()
  }
  return {
    broker,
    url: new URL(`${scheme}://${server.address.includes(':') ? `[${server.address}]` : server.address}:${server.port}`),
    close: ({ timeout = own.limits.drainTimeout } = {}) => (closing ??= close(timeout)),
    reload: (tls: TlsOptions) => server.reload?.(tls)
  }
}
