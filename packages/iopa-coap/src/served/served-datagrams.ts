import type { Endpoint } from '@iopa/transport'
import type { DatagramWire, ServedDatagrams } from '../client/datagram-client.ts'
import { openDatagramPeer } from '../client/datagram-peers.ts'
import { PeerClients } from '../client/peer-clients.ts'
import { encodeEmpty } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import { DatagramExchanges } from '../exchanges/datagram-exchanges.ts'
import { type Server, type ServerInit, serverOver } from '../listeners/server.ts'
import { messageLimits } from '../messages/parameters.ts'
import type { Peer } from '../messages/peer.ts'
import { DatagramNotifier } from '../observers/datagram-notifier.ts'

/** Both roles on the socket of a client: its responses, and the requests of its server, which an app of this process answers. All others are rejected. */
export class ServedByDatagrams implements ServedDatagrams {
  readonly #wire: DatagramWire
  readonly #server: Server<Peer>
  readonly #clients: PeerClients<Peer>
  readonly #exchanges: DatagramExchanges

  constructor(init: ServerInit, wire: DatagramWire, endpoint: Endpoint) {
    const { host, settings } = init
    const { layer, peer } = wire
    const limits = messageLimits(host.limits)
    const onError = (error: unknown): void => host.logger.debug('iopa: coap', error)
    const clients = new PeerClients<Peer>({
      host,
      silence: Number.POSITIVE_INFINITY,
      open: (remote, ...opening) => openDatagramPeer({ layer, settings }, remote, ...opening)
    })
    // The client has named this address itself.
    peer.verify()
    const server = serverOver<Peer>(init, {
      introduce: remote => ({ ...endpoint, remote, peer: clients.peer }),
      peer: (...association) => clients.over(...association),
      notifier: ({ remote, message }, source) => new DatagramNotifier(layer, remote, message, source)
    })
    this.#wire = wire
    this.#clients = clients
    this.#server = server
    this.#exchanges = new DatagramExchanges(layer, { limits, handler: server.resources, onError })
  }

  get idle(): boolean {
    return this.#exchanges.idle
  }

  request(from: Peer, message: ReceivedMessage, fingerprint: number, toMulticast: boolean, unproven: boolean): boolean {
    const { layer, peer } = this.#wire
    if (from === peer) return this.#exchanges.request(from, message, fingerprint, toMulticast, unproven)
    layer.reset(from, message)
    return false
  }

  refusal({ id }: ReceivedMessage): Uint8Array {
    return encodeEmpty(TYPE.RST, id)
  }

  response(from: Peer, message: ReceivedMessage): boolean {
    return this.#wire.requester.response(from, message) || this.#exchanges.response(from, message)
  }

  step(): boolean {
    return this.#exchanges.step()
  }

  close(): void {
    this.#exchanges.accepting = false
    this.#server.observers.dismiss()
    this.#clients.close()
    this.#server.resources.close()
  }
}

/** The two ends of the socket of a client. */
export const endpointOf = ({ channel, peer: { address, port } }: DatagramWire, bodyLimit: number): Endpoint => ({
  scheme: 'coap',
  protocol: 'CoAP/1',
  remoteAddress: address,
  remotePort: port,
  localAddress: channel.localAddress,
  localPort: channel.localPort,
  tls: false,
  sessionId: `${address} ${port}`,
  rawTransport: channel.raw,
  bodyLimit
})
