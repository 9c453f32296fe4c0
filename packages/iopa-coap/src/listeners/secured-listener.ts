import {
  type Clock,
  type DatagramNetwork,
  type Listener,
  listenerUrl,
  type SecuredChannel,
  type SecuredDatagrams,
  type SecuredSession,
  SecuredSessions
} from '@iopa/transport'
import { DatagramExchanges } from '../exchanges/datagram-exchanges.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits, type Transmission } from '../messages/parameters.ts'
import type { Peer } from '../messages/peer.ts'
import { DatagramNotifier } from '../observers/datagram-notifier.ts'
import { type Server, type ServerSettings, serverOver } from './server.ts'

/** Where secured datagrams are served. */
export interface SecuredListenerInit {
  readonly settings: ServerSettings
  readonly network: DatagramNetwork
  readonly dtls: SecuredDatagrams
  readonly address: string
  readonly port: number
  readonly transmission: Transmission
}

/** Serves CoAP over DTLS (RFC 7252 section 9). Rejects when it cannot bind. */
export const listenSecured = async (init: SecuredListenerInit): Promise<Listener> => {
  const { network, address, port, dtls, settings } = init
  const { host, clock, counters } = settings
  const { limits, logger } = host
  const bound = await network.bind({ host: address, port })
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
  readonly #sessions: SecuredSessions<Peer>
  #closing: Promise<void> | undefined

  constructor({ settings, address, transmission }: SecuredListenerInit, channel: SecuredChannel) {
    const { host, clock, counters } = settings
    const limits = messageLimits(host.limits)
    const onError = (error: unknown): void => host.logger.debug('iopa: coaps', error)
    const refused = (status: number, code: string, remoteAddress: string, remotePort: number): void =>
      counters.refusal(status, code, { remoteAddress, remotePort })
    // DTLS bounds what goes to an address that is not proven.
    const layer = new MessageLayer({ clock, transmission, limits, onError, refused })
    const server = serverOver<Peer>(settings, {
      introduce: peer => peer.endpoint!,
      notifier: ({ remote, message }, source) => new DatagramNotifier(layer, remote, message, source)
    })
    this.url = listenerUrl('coaps', address, channel.localPort)
    this.#clock = clock
    this.#drainTimeout = host.limits.drainTimeout
    this.#channel = channel
    this.#layer = layer
    this.#server = server
    this.#exchanges = new DatagramExchanges(layer, { limits, handler: server.resources, onError })
    layer.open(this.#exchanges)
    this.#sessions = new SecuredSessions<Peer>({
      host,
      channel,
      counters,
      scheme: 'coaps',
      protocol: 'CoAP/1',
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
    const clock = this.#clock
    this.#exchanges.accepting = false
    const dismissed = this.#server.observers.dismiss()
    if (timeout > 0) {
      let handle: unknown
      const late = new Promise<void>(resolve => {
        handle = clock.setTimeout(resolve, timeout, { keep: true })
      })
      await Promise.race([Promise.all([dismissed, this.#layer.drained()]), late])
      clock.clearTimeout(handle)
    }
    this.#sessions.close()
    this.#layer.close()
    this.#server.resources.close()
    await this.#channel.close()
  }
}
