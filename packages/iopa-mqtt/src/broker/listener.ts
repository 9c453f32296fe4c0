import cluster from 'node:cluster'
import {
  type ByteChannel,
  type ByteServer,
  Connections,
  type Counters,
  countersOf,
  type Host,
  IopaError,
  listenerUrl,
  proxiedBy,
  type TlsOptions
} from '@iopa/transport'
import { socketNetwork } from '@iopa/transport/node'
import type { EmbeddedOptions, MqttListener, MqttListenerOptions } from '../options.ts'
import type { BrowserListener, WebSocketNetwork } from '../websocket/network.ts'
import type { AdminRoutes } from './admin/routes.ts'
import { Broker } from './broker.ts'

/** A broker on a network. */
export interface BrokerListener extends MqttListener {
  /** Addresses: of the options, of `listeners`, then the one for browsers. */
  readonly urls: readonly URL[]
  /** Where browsers connect; null without the option. */
  readonly websocketUrl: URL | null
}

/** The key of the one broker of an app (see `host.shared`). */
const BROKER = 'mqtt.broker'

/** Starts a broker and has it listen; `admin` are the routes of its administration, if it has one. Rejects when an address cannot be bound. */
export async function listenEmbedded(options: EmbeddedOptions, host: Host, admin: AdminRoutes | null): Promise<BrokerListener> {
  const own = host.withLimits(options.limits)
  if (host.shared(BROKER, () => options) !== options)
    throw new IopaError(
      500,
      'second-broker',
      'This app has a broker already: use mqtt() once, and name further ports in its option listeners, such as listeners: [{ port: 8883, tls }].'
    )
  const places: readonly MqttListenerOptions[] = [options, ...(options.listeners ?? [])]
  for (const place of places) own.assertProtected(place.host ?? '127.0.0.1', place.allowUnauthenticated)
  const clock = options.clock ?? own.clock
  const counters: Counters = countersOf(own, 'mqtt', () => broker.counts)
  const broker = new Broker(own, options, clock, counters, admin)
  const connections = new Connections(clock, own.limits, () => undefined, counters)
  const network = options.network ?? socketNetwork()
  const servers: ByteServer[] = []
  const close = async (timeout: number): Promise<void> => {
    const closed = Promise.all(servers.map(server => server.close()))
    await connections.drain(timeout, ({ channel }) => broker.disconnect(channel))
    await closed
    await broker.close()
  }
  try {
    if (cluster.isWorker)
      host.logger.warn(
        'iopa: an embedded MQTT broker in a worker of a cluster: its clients, sessions and retained messages are not those of the other workers. Run one process, or join a broker with mqtt({ broker: bridge(url, { share }) }).'
      )
    await broker.start()
    const urls: URL[] = []
    for (const { host: address = '127.0.0.1', tls, port = tls ? 8883 : 1883, proxyProtocol } of places) {
      const server = await network.listen(
        { host: address, port, tls, proxyProtocol: proxiedBy(proxyProtocol, own.limits) },
        channel => broker.accept(channel, connections),
        counters.failed,
        counters.unsecured
      )
      servers.push(server)
      urls.push(urlOf(server, tls !== undefined))
    }
    const browsers = options.websocket ? await listenForBrowsers(options.websocket, options, own, broker, connections, counters) : null
    if (browsers) {
      servers.push(browsers)
    }
    let closing: Promise<void> | null = null
    return {
      url: urls[0] as URL,
      get urls() {
        const forBrowsers = browsers?.url ?? null
        return forBrowsers === null ? urls : [...urls, forBrowsers]
      },
      get websocketUrl() {
        return browsers?.url ?? null
      },
      publish: (topic, payload, publishOptions) => broker.publish(topic, payload, publishOptions),
      close: ({ timeout = own.limits.drainTimeout } = {}) => (closing ??= close(timeout)),
      reload: (tls: TlsOptions) => {
        for (const server of servers) server.reload?.(tls)
      }
    }
  } catch (error) {
    await close(0)
    throw error
  }
}

const urlOf = ({ address, port }: ByteServer, secure: boolean): URL => listenerUrl(secure ? 'mqtts' : 'mqtt', address, port)

/** Serves WebSocket beside the other ports, or within a server that exists. */
async function listenForBrowsers(
  websocket: WebSocketNetwork,
  { tls, allowUnauthenticated, clock }: EmbeddedOptions,
  host: Host,
  broker: Broker,
  connections: Connections,
  counters: Counters
): Promise<BrowserListener> {
  const { on, server, host: address = '127.0.0.1' } = websocket.options
  // A server that exists has been bound already, and that of http() is looked at when it listens.
  if (server === undefined && on === undefined) host.assertProtected(address, allowUnauthenticated)
  const { connections: most, headerBytes, headerTimeout, requestTimeout } = host.limits
  const limits = {
    maxPayload: broker.maxPacketSize,
    connections: most,
    headerBytes,
    headerTimeout,
    clock: clock ?? host.clock,
    messageTimeout: requestTimeout,
    failed: () => counters.failed(),
    refused: (status: number, peer: Pick<ByteChannel, 'remoteAddress' | 'remotePort'>) => counters.refusal(status, 'refused', peer)
  }
  return websocket.listen(tls, limits, channel => broker.accept(channel, connections), { host, allowUnauthenticated })
}
