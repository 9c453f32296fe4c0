import { channelClosed, type IopaError, type LinkEnd, type OpenOptions, peerGone } from '@iopa/transport'
import type { Extensions } from '../codec/extensions.ts'
import type { Message } from '../codec/message.ts'
import type { ConnectionRequests, StreamConnection } from '../exchanges/stream-exchanges.ts'
import { StreamRequester } from '../exchanges/stream-requester.ts'
import { CoapLink } from './coap-link.ts'
import type { LinkProtection } from './link-init.ts'
import { LinkRequesters } from './link-requesters.ts'
import type { PeerLink } from './peer-clients.ts'

/** Opens a link over a connection that a peer has made (RFC 8323 section 3.3). The connection stays when the link is closed. */
export const openStreamPeer = async (
  remote: StreamConnection,
  { clock, limits }: OpenOptions,
  url: URL,
  extensions: Extensions,
  protection?: LinkProtection
): Promise<PeerLink> => {
  const { session } = remote
  if (session === undefined || session.closed) throw peerGone()
  const requests = requestsOf(remote)
  const requester = new StreamRequester(limits, extensions.critical, protection?.tokens)
  requester.shared = true
  requester.session = session
  let ended: (end: LinkEnd) => void = () => undefined
  const closed = new Promise<LinkEnd>(resolve => {
    ended = resolve
  })
  const finish = (error: IopaError, end: LinkEnd): void => {
    if (!requests.delete(requester)) return
    void requester.close(error)
    remote.unpin()
    ended(end)
  }
  const gone = (): void => {
    const error = peerGone()
    finish(error, { reason: 'lost', error })
  }
  requests.add(requester, gone)
  // While a client is open the connection may be idle.
  remote.pin()
  const link = new CoapLink({
    host: '',
    clock,
    confirmable: true,
    extensions,
    peer: url,
    keepAlive: undefined,
    bodyLimit: limits.body,
    requester: protection?.over(requester) ?? requester,
    closed,
    close: async () => finish(channelClosed(), { reason: 'finish' })
  })
  return Object.assign(link, { end: gone, silentFor: () => false })
}

/** The requests of all links over one connection. */
class StreamPeerRequests extends LinkRequesters<StreamRequester> implements ConnectionRequests {
  get waiting(): number {
    let waiting = 0
    for (const requester of this.requesters.keys()) waiting += requester.waiting
    return waiting
  }

  response(message: Message): void {
    for (const requester of [...this.requesters.keys()]) requester.message(message)
  }

  oversized(code: number, token: Uint8Array): void {
    for (const requester of this.requesters.keys()) requester.oversized(code, token)
  }
}

const requestsOf = (remote: StreamConnection): StreamPeerRequests => {
  const known = remote.requests
  if (known instanceof StreamPeerRequests) return known
  const made = new StreamPeerRequests(remote)
  remote.requests = made
  return made
}
