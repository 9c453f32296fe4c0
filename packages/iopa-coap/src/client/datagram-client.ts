import { isIP } from 'node:net'
import { channelClosed, checkTarget, type DatagramChannel, IopaError, isLoopback, type Link, type LinkEnd, type Serving } from '@iopa/transport'
import { DatagramRequester } from '../exchanges/datagram-requester.ts'
import { destinationOf, hostOf, isMulticast } from '../messages/addresses.ts'
import type { MessageHandlers } from '../messages/layer-parts.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits, type Transmission } from '../messages/parameters.ts'
import type { Peer } from '../messages/peer.ts'
import { CoapLink } from './coap-link.ts'
import { GroupLink } from './group-link.ts'
import type { LinkInit } from './link-init.ts'

/** Half of the requests that a server of ours handles at once for one peer. */
const LOOPBACK_NSTART = 32

/** What NSTART may grow to towards an address: it protects networks (RFC 7252 section 4.7), and loopback is none. */
export const nstartLimitOf = ({ nstartLimit, nstart }: Transmission, address: string): number =>
  nstartLimit ?? (isLoopback(address) ? LOOPBACK_NSTART : nstart)

/** The socket of a client and its server. */
export interface DatagramWire {
  readonly channel: Pick<DatagramChannel, 'localAddress' | 'localPort' | 'raw'>
  readonly layer: MessageLayer
  readonly requester: DatagramRequester
  readonly peer: Peer
}

/** Takes the messages of a client that serves its server. */
export interface ServedDatagrams extends MessageHandlers {
  /** Notifies the observers of the server, and answers nothing any more. */
  close(): void
}

/** Makes what serves the server of a client. @throws IopaError where that must not be */
export type ServeDatagrams = (serving: Serving, wire: DatagramWire) => ServedDatagrams

/** Opens a link to the endpoint of a `coap:` URL. Rejects when its name is unknown or no socket can be bound. */
export const openDatagrams = async (init: LinkInit, serve: ServeDatagrams): Promise<Link> => {
  const { url, options, settings, protection } = init
  const { network, transmission, extensions } = settings
  const { signal, clock, limits, tls } = options
  checkTarget(url, options)
  if (tls !== undefined) throw new IopaError(400, 'tls-scheme', 'For TLS, write coaps+tcp: in the URL; coaps: has the keys of coap({ dtls }).')
  const host = hostOf(url)
  const port = url.port === '' ? 5683 : Number(url.port)
  const address = await destinationOf({ host, port, network, clock, signal })
  signal.throwIfAborted()
  const any = address.includes(':') ? '::' : '0.0.0.0'
  if (isMulticast(address)) {
    const group = await network.bind({ host: any, port: 0, multicastInterface: settings.multicastInterface, multicastHops: settings.multicastHops })
    const openMember = (url: URL, own: AbortSignal): Promise<Link> => openDatagrams({ ...init, url, options: { ...options, signal: own } }, serve)
    return new GroupLink({
      channel: group,
      address,
      port,
      clock,
      limits,
      extensions,
      collectFor: transmission.leisure + transmission.ackTimeout,
      openMember
    })
  }
  // The system checks that a message of its network that nothing listens quotes a datagram from this socket (RFC 5927 section 4.1).
  const channel: DatagramChannel = await network.bind({ host: any, port: 0, peer: { address, port } })
  const layer = new MessageLayer({
    channel,
    clock,
    transmission,
    limits: { ...messageLimits(limits), peers: 16 },
    nstartLimit: nstartLimitOf(transmission, address),
    // A message that cannot be sent is retransmitted, and then times out.
    onError: error => {
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') requester.unreachable()
    }
  })
  const peer = layer.peer(address, port)!
  peer.heard = -1
  const requester = new DatagramRequester({ layer, peer, szx: settings.szx, critical: extensions.critical, tokens: protection?.tokens })
  const served = options.serve === undefined ? undefined : serve(options.serve, { channel, layer, requester, peer })
  layer.open(served ?? requester)
  let ended: (end: LinkEnd) => void = () => undefined
  const closed = new Promise<LinkEnd>(resolve => {
    ended = resolve
  })
  return new CoapLink({
    host: isIP(host) ? '' : host,
    clock,
    confirmable: settings.confirmable,
    extensions,
    peer: url,
    keepAlive: settings.keepAlive,
    bodyLimit: limits.body,
    requester: protection?.over(requester) ?? requester,
    closed,
    // The message layer gives up what is not acknowledged.
    requestTimeout: Number.POSITIVE_INFINITY,
    silence: () => requester.silence,
    close: async () => {
      served?.close()
      requester.close(channelClosed())
      layer.close()
      await channel.close()
      ended({ reason: 'finish' })
      await protection?.release()
    }
  })
}
