import type { Clock, DatagramChannel, DatagramNetwork, Endpoint, Host, Listener } from '@iopa/appbuilder'
import { CODE } from '../codec/codes.ts'
import { OPTION } from '../codec/option-registry.ts'
import { Options } from '../codec/options.ts'
import type { Remote } from '../exchanges/exchange.ts'
import { type MessageHandlers, MessageLayer } from '../messages/message-layer.ts'
import { messageLimits } from '../messages/message-limits.ts'
import type { Transmission } from '../messages/parameters.ts'
import type { Peer } from '../messages/peer.ts'
import { LEAVING } from '../observers/observers.ts'
import type { ResourceServer } from '../resources/resource-server.ts'

const NOTHING = new Uint8Array(0)

/** Where datagrams are served. */
export interface DatagramListenerInit {
  readonly host: Host
  readonly clock: Clock
  readonly network: DatagramNetwork
  readonly address: string
  readonly port: number
  /** Multicast groups to join. */
  readonly groups: readonly string[]
  readonly transmission: Transmission
  /** How many times what it has sent a peer may be sent while it is not verified; Infinity for any. */
  readonly amplification: number
  /** Makes what answers requests; `introduce` gives the two ends of a peer. */
  readonly server: (introduce: (remote: Remote) => Endpoint) => ResourceServer
}

/** Serves CoAP over UDP. Rejects when it cannot bind. */
export const listenDatagrams = async (init: DatagramListenerInit): Promise<Listener> => {
  const { network, address, port, groups } = init
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
  readonly #channel: DatagramChannel
  readonly #groups: DatagramChannel[] = []
  readonly #layer: MessageLayer
  readonly #server: ResourceServer
  #accepting = true
  #closing: Promise<void> | undefined

  constructor(init: DatagramListenerInit, channel: DatagramChannel) {
    const { host, clock, transmission, address, amplification } = init
    this.#init = init
    this.#channel = channel
    this.url = new URL(`coap://${address.includes(':') ? `[${address}]` : address}:${channel.localPort}`)
    this.#server = init.server(remote => ({
      scheme: 'coap',
      protocol: 'CoAP/1',
      remoteAddress: remote.address,
      remotePort: remote.port,
      localAddress: channel.localAddress,
      localPort: channel.localPort,
      tls: false,
      sessionId: `${remote.address} ${remote.port}`,
      rawTransport: channel.raw,
      bodyLimit: host.limits.body
    }))
    const server = this.#server
    const handlers: MessageHandlers = {
      request: exchange => {
        if (this.#accepting) server.handle(exchange)
        else if (exchange.toMulticast) exchange.suppress()
        else exchange.respond(CODE.SERVICE_UNAVAILABLE, new Options().add(OPTION.MAX_AGE, 30), NOTHING)
      },
      response: () => false
    }
    this.#layer = new MessageLayer({
      channel,
      clock,
      transmission,
      limits: messageLimits(host.limits),
      handlers,
      amplification,
      onError: error => this.#report(error)
    })
  }

  /** Receives what is sent to a multicast group, on a socket of its own where the system keeps the two apart. */
  async join(group: string): Promise<void> {
    const { network } = this.#init
    const channel = await network.bind({ host: group, port: this.#channel.localPort, shared: true })
    this.#groups.push(channel)
    channel.open({ message: (bytes, address, port) => this.#layer.receive(bytes, address, port, true), error: error => this.#report(error) })
    channel.join?.(group)
  }

  close(options: { readonly timeout?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeout ?? this.#init.host.limits.drainTimeout)
    return this.#closing
  }

  async #close(timeout: number): Promise<void> {
    const { clock } = this.#init
    this.#accepting = false
    await Promise.all(this.#groups.map(group => group.close()))
    for (const peer of this.#layer.peers) this.#dismiss(peer)
    if (timeout > 0) {
      let handle: unknown
      const late = new Promise<void>(resolve => {
        handle = clock.setTimeout(resolve, timeout, { keep: true })
      })
      await Promise.race([this.#layer.drained(), late])
      clock.clearTimeout(handle)
    }
    this.#layer.close()
    this.#server.close()
    await this.#channel.close()
  }

  /** Tells observers that nothing more will come (RFC 7641 section 4.2). */
  #dismiss(peer: Peer): void {
    for (const { subscriber, context } of [...(peer.observers?.values() ?? [])]) {
      subscriber.dismiss(CODE.SERVICE_UNAVAILABLE, LEAVING)
      void context.end('shutdown')
    }
  }

  #report(error: unknown): void {
    // That a peer cannot be reached is its own matter and happens all the time.
    this.#init.host.logger.debug('iopa: coap', error)
  }
}
