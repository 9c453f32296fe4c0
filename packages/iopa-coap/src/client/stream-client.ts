import { isIP } from 'node:net'
import { abortable, type ByteNetwork, channelClosed, checkTarget, IopaError, type Link, type OpenOptions } from '@iopa/transport'
import type { Extensions } from '../codec/extensions.ts'
import { StreamRequester } from '../exchanges/stream-requester.ts'
import { hostOf } from '../messages/addresses.ts'
import { ALPN, StreamSession } from '../streams/session.ts'
import type { LinkProtection } from './client-protection.ts'
import { CoapLink } from './coap-link.ts'

/** Opens a link to the server of a `coap+tcp:` or `coaps+tcp:` URL, once the server has sent its capabilities. Rejects when it cannot connect. */
export const openStreams = async (
  url: URL,
  network: ByteNetwork,
  options: OpenOptions,
  extensions: Extensions,
  protection?: LinkProtection
): Promise<Link> => {
  const { signal, clock, limits, tls } = options
  checkTarget(url, options)
  const secure = url.protocol === 'coaps+tcp:'
  if (tls !== undefined && !secure) throw new IopaError(400, 'tls-scheme', 'For TLS, write coaps+tcp: in the URL.')
  const host = hostOf(url)
  const channel = await network.connect(
    {
      host,
      port: url.port === '' ? (secure ? 5684 : 5683) : Number(url.port),
      tls: secure ? (tls ?? {}) : undefined,
      alpn: secure ? ALPN : undefined
    },
    signal
  )
  const requester = new StreamRequester(limits, extensions.critical, protection?.tokens)
  const session = (requester.session = new StreamSession(channel, { clock, limits, maxMessageSize: limits.body + limits.headerBytes }, requester))
  await abortable(signal, () => requester.capable).catch((error: unknown) => {
    session.destroy()
    throw error
  })
  if (protection !== undefined) void requester.finished.then(() => protection.release())
  return new CoapLink({
    host: isIP(host) ? '' : host,
    clock,
    confirmable: true,
    extensions,
    bodyLimit: limits.body,
    requester: protection?.over(requester) ?? requester,
    closed: requester.finished,
    close: async () => {
      await requester.close(channelClosed())
      await protection?.release()
    }
  })
}
