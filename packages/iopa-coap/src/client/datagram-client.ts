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
} from '@iopa/transport'
import { DatagramRequester } from '../exchanges/datagram-requester.ts'
import { destinationOf, hostOf } from '../messages/addresses.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits, type Transmission } from '../messages/parameters.ts'
import { ClientChannel } from './channel.ts'

/** Half of the requests that a server of ours handles at once for one peer. */
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
    // NSTART protects networks (RFC 7252 section 4.7); loopback is none.
    nstartLimit: transmission.nstartLimit ?? (isLoopback(address) ? LOOPBACK_NSTART : transmission.nstart),
    // A message that cannot be sent is retransmitted, and then times out.
    onError: () => undefined
  })
  const requester = new DatagramRequester({ layer, peer: layer.peer(address, port)!, clock, timeout: options.timeout, szx })
  layer.open(requester)
  return new ClientChannel({
    host: isIP(host) ? '' : host,
    clock,
    confirmable,
    bodyLimit: limits.body,
    timeout: options.timeout ?? 30_000,
    requester: () => Promise.resolve(requester),
    close: async () => {
      requester.close(channelClosed())
      layer.close()
      await channel.close()
    }
  })
}
