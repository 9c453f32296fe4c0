import { abortable, channelClosed, IopaError, type LinkEnd, type OpenOptions, peerGone } from '@iopa/transport'
import { encodeEmpty } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import { DatagramRequester } from '../exchanges/datagram-requester.ts'
import type { MessageLayer } from '../messages/message-layer.ts'
import type { Peer, PeerRequests } from '../messages/peer.ts'
import type { CoapSettings } from '../options.ts'
import { CoapLink } from './coap-link.ts'
import type { LinkProtection } from './link-init.ts'
import { LinkRequesters } from './link-requesters.ts'
import type { PeerLink } from './peer-clients.ts'

/** How requests to the peers of a listener are sent. */
export interface DatagramPeersInit {
  readonly layer: MessageLayer
  readonly settings: CoapSettings
}

/** Opens a link to a peer that has sent datagrams, which has answered a ping where it had not shown before that it receives at its address. */
export const openDatagramPeer = async (
  init: DatagramPeersInit,
  peer: Peer,
  options: OpenOptions,
  url: URL,
  protection?: LinkProtection
): Promise<PeerLink> => {
  const { layer } = init
  const { szx, confirmable, extensions } = init.settings
  const { signal, clock, limits } = options
  if (isForgotten(peer)) throw peerGone()
  if (!peer.verified) {
    await abortable(signal, () => pinged(layer, peer))
    if (!peer.verified) throw unverified()
  }
  signal.throwIfAborted()
  // It may have been forgotten while it was asked.
  if (isForgotten(peer)) throw peerGone()
  const requester = new DatagramRequester({ layer, peer, szx, critical: extensions.critical, tokens: protection?.tokens })
  let ended: (end: LinkEnd) => void = () => undefined
  const closed = new Promise<LinkEnd>(resolve => {
    ended = resolve
  })
  const requests = requestsOf(peer)
  const finish = (error: IopaError, end: LinkEnd): void => {
    if (!requests.delete(requester)) return
    requester.close(error)
    peer.unpin()
    ended(end)
  }
  const gone = (): void => {
    const error = peerGone()
    finish(error, { reason: 'lost', error })
  }
  requests.add(requester, gone)
  const link = new CoapLink({
    // The peer has no name here.
    host: '',
    clock,
    confirmable,
    extensions,
    peer: url,
    keepAlive: undefined,
    bodyLimit: limits.body,
    requester: protection?.over(requester) ?? requester,
    closed,
    // The message layer gives up what is not acknowledged.
    requestTimeout: Number.POSITIVE_INFINITY,
    close: async () => finish(channelClosed(), { reason: 'finish' })
  })
  return Object.assign(link, { end: gone, silentFor: (time: number) => layer.seconds - peer.heard > time / 1000 })
}

/** Resolves when a peer has answered a ping (RFC 7252 section 4.3): only who receives at its address knows the id. */
const pinged = (layer: MessageLayer, peer: Peer): Promise<void> =>
  new Promise((resolve, reject) => {
    const fail = (): void => reject(unverified())
    const sent = layer.sendConfirmable(peer, encodeEmpty(TYPE.CON, 0), {
      asks: true,
      // Some acknowledge a ping.
      acknowledged: () => {
        resolve()
        return true
      },
      reset: resolve,
      expired: fail,
      // Four bytes, although what the peer has sent may have been used up by answers.
      onTrust: true
    })
    if (sent === undefined) fail()
  })

const isForgotten = ({ list }: Peer): boolean => list === 'none'

const unverified = (): IopaError =>
  new IopaError(504, 'unverified-peer', 'The peer has not answered a ping: nothing more is sent to an address that may be forged.')

/** The requests of all links to one peer. */
class DatagramPeerRequests extends LinkRequesters<DatagramRequester> implements PeerRequests {
  response(peer: Peer, message: ReceivedMessage): boolean {
    for (const requester of this.requesters.keys()) if (requester.response(peer, message)) return true
    return false
  }
}

const requestsOf = (peer: Peer): DatagramPeerRequests => {
  const known = peer.requests
  if (known instanceof DatagramPeerRequests) return known
  const made = new DatagramPeerRequests(peer)
  peer.requests = made
  return made
}
