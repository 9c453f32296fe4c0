import { isIP } from 'node:net'
import {
  type Channel,
  type Clock,
  type ConnectOptions,
  channelClosed,
  checkTargetUrl,
  type DatagramChannel,
  type DatagramNetwork,
  DEFAULT_LIMITS,
  isLoopback,
  mergeLimits
} from '@iopa/appbuilder'
import { DatagramLink } from '../exchanges/datagram-requester.ts'
import { destinationOf, hostOf } from '../messages/addresses.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits } from '../messages/message-limits.ts'
import type { Transmission } from '../messages/parameters.ts'
import { ClientChannel } from './channel.ts'

/** Half of what a server of ours has in work for one peer. */
const LOOPBACK_NSTART = 32

/** What a client over datagrams is made of. */
export interface DatagramClientInit {
  readonly url: URL
  readonly options: ConnectOptions
  readonly clock: Clock
  readonly network: DatagramNetwork
  readonly transmission: Transmission
  /** Size exponent of the largest block. */
  readonly szx: number
  readonly confirmable: boolean
}

/** Opens a channel to the endpoint of a `coap:` URL. Rejects when its name is unknown or no socket can be bound. */
export const connectDatagrams = async (init: DatagramClientInit): Promise<Channel> => {
  const { url, options, clock, network, transmission, szx, confirmable } = init
  checkTargetUrl(url)
  options.signal?.throwIfAborted()
  const host = hostOf(url)
  const port = url.port === '' ? 5683 : Number(url.port)
  const address = await destinationOf({ host, port, network, clock, signal: options.signal })
  options.signal?.throwIfAborted()
  const limits = mergeLimits(DEFAULT_LIMITS, options.limits)
  const channel: DatagramChannel = await network.bind({ host: address.includes(':') ? '::' : '0.0.0.0', port: 0 })
  const layer = new MessageLayer({
    channel,
    clock,
    transmission,
    limits: { ...messageLimits(limits), peers: 16 },
    // RFC 7252 section 4.7 protects networks; to reach loopback there is none between.
    nstartLimit: transmission.nstartLimit ?? (isLoopback(address) ? LOOPBACK_NSTART : transmission.nstart),
    handlers: { request: exchange => exchange.reject(), response: (peer, message) => link.receive(peer, message) },
    // What cannot be sent is repeated, and then times out.
    onError: () => undefined
  })
  const link: DatagramLink = new DatagramLink(layer, layer.peer(address, port)!, clock, options.timeout, szx)
  return new ClientChannel({
    host: isIP(host) ? '' : host,
    clock,
    confirmable,
    bodyLimit: limits.body,
    timeout: options.timeout ?? 30_000,
    link: () => Promise.resolve(link),
    close: async () => {
      link.close(channelClosed())
      layer.close()
      await channel.close()
    }
  })
}
