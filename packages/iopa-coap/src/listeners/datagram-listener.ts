import { type Clock, type DatagramChannel, type Listener, listenerUrl } from '@iopa/transport'
import { withinTime } from '@iopa/transport/host'
import { openDatagramPeer } from '../client/datagram-peers.ts'
import { PeerClients, type PeerEndpoint } from '../client/peer-clients.ts'
import { DatagramExchanges } from '../exchanges/datagram-exchanges.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits } from '../messages/parameters.ts'
import type { Peer } from '../messages/peer.ts'
import { DatagramNotifier } from '../observers/datagram-notifier.ts'
import { type Server, type ServerInit, serverOver } from './server.ts'

/** Where datagrams are served. */
export interface DatagramListenerInit {
  readonly server: ServerInit
  readonly address: string
  /** Multicast groups to join. */
  readonly groups: readonly string[]
}

/** Serves CoAP over UDP. Rejects when it cannot bind. */
export const listenDatagrams = async (init: DatagramListenerInit): Promise<Listener> => {
  const { address, groups } = init
  const { network, port } = init.server.settings
  const shared = groups.length > 0 && (address === '0.0.0.0' || address === '::')
  const channel = await network.bind({ host: address, port, ...(shared ? { shared } : undefined) })
  const listener = new DatagramListener(init, channel)
  try {
    for (const group of groups) await listener.join(group)
  } catch (error) {
    await listener.close({ timeout: 0 })
    throw error
  }
  return listener
}

class DatagramListener implements Listener {
  readonly url: URL
  readonly #init: DatagramListenerInit
  readonly #clock: Clock
  readonly #channel: DatagramChannel
  readonly #groups: DatagramChannel[] = []
  readonly #layer: MessageLayer
  readonly #exchanges: DatagramExchanges
  readonly #server: Server<Peer>
  readonly #clients: PeerClients<Peer>
  #closing: Promise<void> | undefined

  constructor(init: DatagramListenerInit, channel: DatagramChannel) {
    const { host, clock, counters, settings } = init.server
    const { transmission, amplification } = settings
    const limits = messageLimits(host.limits)
    const onError = (error: unknown): void => this.#report(error)
    this.#init = init
    this.#clock = clock
    this.#channel = channel
    this.url = listenerUrl('coap', init.address, channel.localPort)
    const refused = (status: number, code: string, remoteAddress: string, remotePort: number): void =>
      counters.refusal(status, code, { remoteAddress, remotePort })
    const layer = new MessageLayer({ channel, clock, transmission, limits, amplification, onError, refused })
    const clients = new PeerClients<Peer>({
      host,
      silence: transmission.exchangeLifetime,
      open: (peer, ...opening) => openDatagramPeer({ layer, settings }, peer, ...opening)
    })
    const server = serverOver<Peer>(init.server, {
      introduce: remote => endpointOf(remote, channel, host.limits.body, clients.peer),
      peer: (...association) => clients.over(...association),
      notifier: ({ remote, message }, source) => new DatagramNotifier(layer, remote, message, source)
    })
    this.#layer = layer
    this.#server = server
    this.#clients = clients
    this.#exchanges = new DatagramExchanges(layer, { limits, handler: server.resources, onError })
    layer.open(this.#exchanges)
  }

  /** Receives what is sent to a multicast group, on a socket of its own where the system keeps the two apart. */
  async join(group: string): Promise<void> {
    const { network, multicastInterface } = this.#init.server.settings
    const channel = await network.bind({
      host: group,
      port: this.#channel.localPort,
      shared: true,
      multicastInterface
    })
    this.#groups.push(channel)
    channel.open({ message: (bytes, address, port) => this.#layer.receive(bytes, address, port, true), error: error => this.#report(error) })
    channel.join?.(group)
  }

  close(options: { readonly timeout?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeout ?? this.#init.server.host.limits.drainTimeout)
    return this.#closing
  }

  async #close(timeout: number): Promise<void> {
    this.#exchanges.accepting = false
    await Promise.all(this.#groups.map(group => group.close()))
    const dismissed = this.#server.observers.dismiss()
    if (timeout > 0) await withinTime(this.#clock, timeout, Promise.all([dismissed, this.#layer.drained()]))
    this.#clients.close()
    this.#layer.close()
    this.#server.resources.close()
    await this.#channel.close()
  }

  #report(error: unknown): void {
    // Socket errors are not reported louder: an unreachable peer is not our failure.
    this.#init.server.host.logger.debug('iopa: coap', error)
  }
}

const endpointOf = (remote: Peer, channel: DatagramChannel, bodyLimit: number, peer: PeerEndpoint<Peer>['peer']): PeerEndpoint<Peer> => ({
  scheme: 'coap',
  protocol: 'CoAP/1',
  remoteAddress: remote.address,
  remotePort: remote.port,
  localAddress: channel.localAddress,
  localPort: channel.localPort,
  tls: false,
  sessionId: `${remote.address} ${remote.port}`,
  rawTransport: channel.raw,
  bodyLimit,
  remote,
  peer
})
