import { isIP } from 'node:net'
import { abortable, type ByteChannel, channelClosed, checkTarget, IopaError, type Link, type OpenOptions, type Serving } from '@iopa/transport'
import { StreamRequester } from '../exchanges/stream-requester.ts'
import { hostOf } from '../messages/addresses.ts'
import { ALPN, type StreamHandlers, StreamSession } from '../streams/session.ts'
import { CoapLink } from './coap-link.ts'
import type { LinkInit } from './link-init.ts'

/** Takes the messages of a client that serves its server. */
export interface ServedStream extends StreamHandlers {
  session: StreamSession
  /** Asks the app whether it serves this server; false where it does not. */
  admit(): Promise<boolean>
  /** Notifies the observers of the server. */
  close(): void
}

/** Makes what serves the server of a client. @throws IopaError where that must not be */
export type ServeStream = (serving: Serving, requester: StreamRequester, channel: ByteChannel, options: OpenOptions) => ServedStream

/** Opens a link to the server of a `coap+tcp:` or `coaps+tcp:` URL, once the server has sent its capabilities. Rejects when it cannot connect. */
export const openStreams = async (init: LinkInit, serve: ServeStream): Promise<Link> => {
  const { url, options, protection } = init
  const { streams, extensions, keepAlive } = init.settings
  const { signal, clock, limits, tls } = options
  checkTarget(url, options)
  const secure = url.protocol === 'coaps+tcp:'
  if (tls !== undefined && !secure) throw new IopaError(400, 'tls-scheme', 'For TLS, write coaps+tcp: in the URL.')
  const host = hostOf(url)
  const channel = await streams.connect(
    {
      host,
      port: url.port === '' ? (secure ? 5684 : 5683) : Number(url.port),
      tls: secure ? (tls ?? {}) : undefined,
      alpn: secure ? ALPN : undefined
    },
    signal
  )
  const requester = new StreamRequester(limits, extensions.critical, protection?.tokens)
  const served = servedBy(channel, requester, options, serve)
  const handlers = served ?? requester
  const session = (handlers.session = new StreamSession(channel, { clock, limits, maxMessageSize: limits.body + limits.headerBytes }, handlers))
  await abortable(signal, () => ready(requester, served)).catch((error: unknown) => {
    session.destroy()
    throw error
  })
  if (protection !== undefined) void requester.finished.then(() => protection.release())
  return new CoapLink({
    host: isIP(host) ? '' : host,
    clock,
    confirmable: true,
    extensions,
    peer: url,
    keepAlive,
    lose: () => session.destroy(),
    bodyLimit: limits.body,
    requester: protection?.over(requester) ?? requester,
    closed: requester.finished,
    close: async () => {
      served?.close()
      await requester.close(channelClosed())
      await protection?.release()
    }
  })
}

const servedBy = (channel: ByteChannel, requester: StreamRequester, options: OpenOptions, serve: ServeStream): ServedStream | undefined => {
  try {
    return options.serve === undefined ? undefined : serve(options.serve, requester, channel, options)
  } catch (error) {
    channel.destroy()
    throw error
  }
}

/** Resolves when the server has sent its capabilities, and may be served. */
const ready = async (requester: StreamRequester, served: ServedStream | undefined): Promise<void> => {
  const admitted = async (): Promise<void> => {
    if (served !== undefined && !(await served.admit()))
      throw new IopaError(403, 'server-refused', 'The app that should serve this server refuses it.')
  }
  // Nothing is read before the app has admitted the server.
  await Promise.all([admitted(), requester.capable])
}
