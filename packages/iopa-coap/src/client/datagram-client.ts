import { isIP } from 'node:net'
import {
  channelClosed,
  checkTarget,
  type DatagramChannel,
  type DatagramNetwork,
  IopaError,
  isLoopback,
  type Link,
  type LinkEnd,
  type OpenOptions
} from '@iopa/transport'
import type { Extensions } from '../codec/extensions.ts'
import { DatagramRequester } from '../exchanges/datagram-requester.ts'
import { destinationOf, hostOf } from '../messages/addresses.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits, type Transmission } from '../messages/parameters.ts'
import type { LinkProtection } from './client-protection.ts'
import { CoapLink } from './coap-link.ts'

/** Half of the requests that a server of ours handles at once for one peer. */
const LOOPBACK_NSTART = 32

/** What NSTART may grow to towards an address: it protects networks (RFC 7252 section 4.7), and loopback is none. */
export const nstartLimitOf = ({ nstartLimit, nstart }: Transmission, address: string): number =>
  nstartLimit ?? (isLoopback(address) ? LOOPBACK_NSTART : nstart)

/** What a client over datagrams is made of. */
export interface DatagramClientInit {
  readonly url: URL
  readonly options: OpenOptions
  readonly network: DatagramNetwork
  readonly transmission: Transmission
  /** Size exponent of the largest block. */
  readonly szx: number
  readonly confirmable: boolean
  readonly protection?: LinkProtection | undefined
  readonly extensions: Extensions
}

/** Opens a link to the endpoint of a `coap:` URL. Rejects when its name is unknown or no socket can be bound. */
export const openDatagrams = async (init: DatagramClientInit): Promise<Link> => {
  const { url, options, network, transmission, szx, confirmable, extensions, protection } = init
  const { signal, clock, limits, tls } = options
  checkTarget(url, options)
  if (tls !== undefined) throw new IopaError(400, 'tls-scheme', 'For TLS, write coaps+tcp: in the URL; coaps: has the keys of coap({ dtls }).')
  const host = hostOf(url)
  const port = url.port === '' ? 5683 : Number(url.port)
  const address = await destinationOf({ host, port, network, clock, signal })
  signal.throwIfAborted()
  const channel: DatagramChannel = await network.bind({ host: address.includes(':') ? '::' : '0.0.0.0', port: 0 })
  const layer = new MessageLayer({
    channel,
    clock,
    transmission,
    limits: { ...messageLimits(limits), peers: 16 },
    nstartLimit: nstartLimitOf(transmission, address),
    // A message that cannot be sent is retransmitted, and then times out.
    onError: () => undefined
  })
  const requester = new DatagramRequester({ layer, peer: layer.peer(address, port)!, szx, critical: extensions.critical, tokens: protection?.tokens })
  layer.open(requester)
  let ended: (end: LinkEnd) => void = () => undefined
  const closed = new Promise<LinkEnd>(resolve => {
    ended = resolve
  })
  return new CoapLink({
    host: isIP(host) ? '' : host,
    clock,
    confirmable,
    extensions,
    bodyLimit: limits.body,
    requester: protection?.over(requester) ?? requester,
    closed,
    // The message layer gives up what is not acknowledged.
    requestTimeout: Number.POSITIVE_INFINITY,
    close: async () => {
      requester.close(channelClosed())
      layer.close()
      await channel.close()
      ended({ reason: 'finish' })
      await protection?.release()
    }
  })
}
