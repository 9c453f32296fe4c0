import {
  type Clock,
  type Listener,
  listenerUrl,
  type SecuredChannel,
  type SecuredDatagrams,
  type SecuredSession,
  SecuredSessions
} from '@iopa/transport'
import { withinTime } from '@iopa/transport/host'
import { openDatagramPeer } from '../client/datagram-peers.ts'
import { PeerClients } from '../client/peer-clients.ts'
import { DatagramExchanges } from '../exchanges/datagram-exchanges.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits } from '../messages/parameters.ts'
import type { Peer } from '../messages/peer.ts'
import { DatagramNotifier } from '../observers/datagram-notifier.ts'
import { type Server, type ServerInit, serverOver } from './server.ts'

/** Where secured datagrams are served. */
export interface SecuredListenerInit {
  readonly server: ServerInit
  readonly dtls: SecuredDatagrams
  readonly address: string
}

/** Serves CoAP over DTLS (RFC 7252 section 9). Rejects when it cannot bind. */
export const listenSecured = async (init: SecuredListenerInit): Promise<Listener> => {
  const { address, dtls } = init
  const { host, clock, counters, settings } = init.server
  const { limits, logger } = host
  const bound = await settings.network.bind({ host: address, port: settings.dtlsPort })
  try {
    const channel = dtls.over(bound, {
      clock,
      limits,
      logger,
      accept: true,
      refused: ({ address: remoteAddress, port: remotePort }, code) => counters.refusal(400, code, { remoteAddress, remotePort })
    })
    return new SecuredListener(init, channel)
  } catch (error) {
    await bound.close()
    throw error
  }
}

class SecuredListener implements Listener {
  readonly url: URL
  readonly #clock: Clock
  readonly #drainTimeout: number
  readonly #channel: SecuredChannel
  readonly #layer: MessageLayer
  readonly #exchanges: DatagramExchanges
  readonly #server: Server<Peer>
  readonly #clients: PeerClients<Peer>
  readonly #sessions: SecuredSessions<Peer>
  #closing: Promise<void> | undefined

  constructor({ server: init, address }: SecuredListenerInit, channel: SecuredChannel) {
    const { host, clock, counters, settings } = init
    const limits = messageLimits(host.limits)
    const onError = (error: unknown): void => host.logger.debug('iopa: coaps', error)
    const refused = (status: number, code: string, remoteAddress: string, remotePort: number): void =>
      counters.refusal(status, code, { remoteAddress, remotePort })
    // DTLS bounds what goes to an address that is not proven.
    const layer = new MessageLayer({ clock, transmission: settings.transmission, limits, onError, refused })
    const clients = new PeerClients<Peer>({
      host,
      // Silence means nothing here: the session says when its peer has gone.
      silence: Number.POSITIVE_INFINITY,
      open: (peer, ...opening) => openDatagramPeer({ layer, settings }, peer, ...opening)
    })
    const server = serverOver<Peer>(init, {
      introduce: peer => peer.endpoint!,
      peer: (...association) => clients.over(...association),
      notifier: ({ remote, message }, source) => new DatagramNotifier(layer, remote, message, source)
    })
    this.url = listenerUrl('coaps', address, channel.localPort)
    this.#clock = clock
    this.#drainTimeout = host.limits.drainTimeout
    this.#channel = channel
    this.#layer = layer
    this.#server = server
    this.#clients = clients
    this.#exchanges = new DatagramExchanges(layer, { limits, handler: server.resources, onError })
    layer.open(this.#exchanges)
    this.#sessions = new SecuredSessions<Peer>({
      host,
      channel,
      counters,
      scheme: 'coaps',
      protocol: 'CoAP/1',
      // From its first message on a session is a peer that can be asked.
      peer() {
        const state = this.session?.state
        return state && clients.of(state, this)
      },
      handlers: {
        message: (session, bytes, unproven) => layer.receiveFrom((session.state ??= this.#begin(session)), bytes, unproven),
        ended: ({ state }) => {
          if (state === undefined) return
          layer.dissociate(state)
          server.resources.forget(state)
        }
      }
    })
  }

  close({ timeout = this.#drainTimeout }: { readonly timeout?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(timeout)
    return this.#closing
  }

  /** With its first message a session becomes a peer of the message layer. */
  #begin(session: SecuredSession<Peer>): Peer {
    const peer = this.#layer.associate(session.peer)
    peer.session = session
    peer.endpoint = session.endpoint
    peer.follow()
    return peer
  }

  async #close(timeout: number): Promise<void> {
    this.#exchanges.accepting = false
    const dismissed = this.#server.observers.dismiss()
    if (timeout > 0) await withinTime(this.#clock, timeout, Promise.all([dismissed, this.#layer.drained()]))
    this.#clients.close()
    this.#sessions.close()
    this.#layer.close()
    this.#server.resources.close()
    await this.#channel.close()
  }
}
