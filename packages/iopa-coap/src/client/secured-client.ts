import { isIP } from 'node:net'
import { channelClosed, checkTarget, IopaError, type Link, type LinkEnd, linkLost, openAssociation, type SecuredDatagrams } from '@iopa/transport'
import { DatagramRequester } from '../exchanges/datagram-requester.ts'
import { addressesOf, hostOf } from '../messages/addresses.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits } from '../messages/parameters.ts'
import { CoapLink } from './coap-link.ts'
import { type DatagramClientInit, nstartLimitOf } from './datagram-client.ts'

/** What a client over secured datagrams is made of. */
export interface SecuredClientInit extends DatagramClientInit {
  /** What `coap()` was given. */
  readonly dtls: SecuredDatagrams | undefined
}

/** Opens a link to the server of a `coaps:` URL, once the handshake is complete. Rejects when it fails. */
export const openSecured = async (init: SecuredClientInit): Promise<Link> => {
  const { url, options, network, transmission, szx, confirmable, extensions, dtls, protection } = init
  const { clock, limits, tls } = options
  checkTarget(url, options)
  if (dtls === undefined)
    throw new IopaError(500, 'no-dtls', `A link to ${url.protocol}//${url.host} needs keys: write coap({ dtls: dtls({ psk: { identity: key } }) }).`)
  if (tls !== undefined) throw new IopaError(400, 'tls-scheme', 'The keys of coaps: are those of coap({ dtls }); leave tls out.')
  const host = hostOf(url)
  const port = url.port === '' ? 5684 : Number(url.port)
  const association = await openAssociation({ host, addresses: await addressesOf(host), port, network, dtls, options })
  const layer = new MessageLayer({
    clock,
    transmission,
    limits: { ...messageLimits(limits), peers: 16 },
    nstartLimit: nstartLimitOf(transmission, association.peer.proven.address),
    onError: () => undefined
  })
  const peer = layer.associate(association.peer)
  const requester = new DatagramRequester({ layer, peer, szx, critical: extensions.critical, tokens: protection?.tokens })
  layer.open(requester)
  let ended: (end: LinkEnd) => void = () => undefined
  const closed = new Promise<LinkEnd>(resolve => {
    ended = resolve
  })
  let open = true
  const end = async (reason: LinkEnd['reason'], error: IopaError): Promise<void> => {
    if (!open) return
    open = false
    requester.close(error)
    layer.close()
    await association.channel.close()
    ended({ reason })
    await protection?.release()
  }
  const lost = (): void => void end('lost', linkLost({ sent: true }))
  // A server that has forgotten the session ignores what it is sent: what follows needs another one.
  requester.unanswered = lost
  association.begin((bytes, unproven) => layer.receiveFrom(peer, bytes, unproven), lost)
  return new CoapLink({
    host: isIP(host) ? '' : host,
    clock,
    confirmable,
    extensions,
    peer: url,
    keepAlive: init.keepAlive,
    bodyLimit: limits.body,
    requester: protection?.over(requester) ?? requester,
    closed,
    requestTimeout: Number.POSITIVE_INFINITY,
    close: () => end('finish', channelClosed())
  })
}
