import { isIP } from 'node:net'
import {
  type ByteNetwork,
  type Channel,
  type Clock,
  type ConnectOptions,
  channelClosed,
  checkTargetUrl,
  DEFAULT_LIMITS,
  IopaError,
  isIopaError,
  mergeLimits
} from '@iopa/transport'
import type { Requester } from '../exchanges/requester.ts'
import { StreamRequester } from '../exchanges/stream-requester.ts'
import { until } from '../exchanges/upload-slots.ts'
import { hostOf } from '../messages/addresses.ts'
import { ALPN, StreamSession } from '../streams/session.ts'
import { ClientChannel } from './channel.ts'

const DEFAULT_TIMEOUT = 30_000

/** What a client over connections is made of. */
export interface StreamClientInit {
  readonly url: URL
  readonly options: ConnectOptions
  readonly clock: Clock
  readonly network: ByteNetwork
}

/** Opens a channel to the server of a `coap+tcp:` or `coaps+tcp:` URL; when the connection is lost, the next request makes a new one. Rejects when it cannot connect. */
export const connectStreams = async (init: StreamClientInit): Promise<Channel> => {
  const { url, options, clock, network } = init
  checkTargetUrl(url)
  const secure = url.protocol === 'coaps+tcp:'
  const host = hostOf(url)
  const limits = mergeLimits(DEFAULT_LIMITS, options.limits)
  const timeout = options.timeout ?? DEFAULT_TIMEOUT
  const closing = new AbortController()
  let link: StreamRequester | undefined
  let connecting: Promise<StreamRequester> | undefined

  const open = async (signal?: AbortSignal): Promise<StreamRequester> => {
    const deadline = new AbortController()
    const abort = (): void => deadline.abort(closing.signal.aborted ? closing.signal.reason : signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    closing.signal.addEventListener('abort', abort, { once: true })
    const timer = clock.setTimeout(() => deadline.abort(new IopaError(504, 'timeout', `No connection to ${url.host} in time.`)), timeout, {
      keep: true
    })
    try {
      signal?.throwIfAborted()
      const channel = await network.connect(
        {
          host,
          port: url.port === '' ? (secure ? 5684 : 5683) : Number(url.port),
          tls: secure ? (options.tls ?? {}) : undefined,
          alpn: secure ? ALPN : undefined
        },
        deadline.signal
      )
      const fresh = new StreamRequester({ clock, limits, timeout })
      fresh.session = new StreamSession(channel, { clock, limits, maxMessageSize: limits.body + limits.headerBytes }, fresh)
      await until(fresh.capable, deadline.signal).catch((error: unknown) => {
        fresh.session!.destroy()
        throw error
      })
      return fresh
    } catch (cause) {
      if (deadline.signal.aborted) throw deadline.signal.reason
      if (isIopaError(cause)) throw cause
      throw new IopaError(502, 'connect-failed', `Cannot connect to ${url.host}.`, { cause })
    } finally {
      clock.clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
      closing.signal.removeEventListener('abort', abort)
    }
  }
  const current = async (): Promise<Requester> => {
    closing.signal.throwIfAborted()
    if (link?.usable) return link
    connecting ??= open().finally(() => {
      connecting = undefined
    })
    link = await connecting
    return link
  }
  link = await open(options.signal)
  return new ClientChannel({
    host: isIP(host) ? '' : host,
    clock,
    confirmable: true,
    bodyLimit: limits.body,
    timeout,
    requester: current,
    close: async () => {
      closing.abort(channelClosed())
      await link?.close(channelClosed())
    }
  })
}
