import { isIP } from 'node:net'
import {
  abortable,
  channelClosed,
  checkTarget,
  IopaError,
  type Link,
  type LinkEnd,
  linkLost,
  type OpenOptions,
  openAssociation,
  type SecuredPeer,
  type Serving
} from '@iopa/transport'
import { DatagramRequester } from '../exchanges/datagram-requester.ts'
import { addressesOf, hostOf } from '../messages/addresses.ts'
import { MessageLayer } from '../messages/message-layer.ts'
import { messageLimits } from '../messages/parameters.ts'
import { CoapLink } from './coap-link.ts'
import { type DatagramWire, nstartLimitOf, type ServedDatagrams } from './datagram-client.ts'
import type { LinkInit } from './link-init.ts'

/** The session of a client and its server. */
export interface SecuredWire extends DatagramWire {
  readonly association: SecuredPeer
}

/** Takes the messages of a client that serves its server. */
export interface ServedSession extends ServedDatagrams {
  /** Asks the app whether it serves this server; false where it does not. */
  admit(): Promise<boolean>
}

/** Makes what serves the server of a client. @throws IopaError where that must not be */
export type ServeSession = (serving: Serving, wire: SecuredWire) => ServedSession

/** Opens a link to the server of a `coaps:` URL, once the handshake is complete. Rejects when it fails. */
export const openSecured = async (init: LinkInit, serve: ServeSession): Promise<Link> => {
  const { url, options, settings, protection } = init
  const { network, transmission, szx, confirmable, extensions, dtls } = settings
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
  const served = await servedIn({ channel: association.channel, layer, requester, peer, association: association.peer }, options, serve).catch(
    async (error: unknown) => {
      layer.close()
      await association.channel.close()
      throw error
    }
  )
  layer.open(served ?? requester)
  let ended: (end: LinkEnd) => void = () => undefined
  const closed = new Promise<LinkEnd>(resolve => {
    ended = resolve
  })
  let open = true
  const end = async (reason: LinkEnd['reason'], error: IopaError): Promise<void> => {
    if (!open) return
    open = false
    served?.close()
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
    keepAlive: settings.keepAlive,
    bodyLimit: limits.body,
    requester: protection?.over(requester) ?? requester,
    closed,
    requestTimeout: Number.POSITIVE_INFINITY,
    close: () => end('finish', channelClosed())
  })
}

/** What serves the server, which the app has accepted: before that nothing is read from it. */
const servedIn = async (wire: SecuredWire, { serve: serving, signal }: OpenOptions, serve: ServeSession): Promise<ServedSession | undefined> => {
  if (serving === undefined) return undefined
  const served = serve(serving, wire)
  try {
    if (!(await abortable(signal, () => served.admit())))
      throw new IopaError(403, 'server-refused', 'The app that should serve this server refuses it.')
    return served
  } catch (error) {
    served.close()
    throw error
  }
}
