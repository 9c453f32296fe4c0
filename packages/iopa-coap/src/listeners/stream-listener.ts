import {
  type ByteChannel,
  type Connection,
  Connections,
  ConnectionUser,
  type Endpoint,
  isUnrouted,
  type Listener,
  listenerUrl,
  proxiedBy,
  type TlsOptions
} from '@iopa/transport'
import { PeerClients } from '../client/peer-clients.ts'
import { openStreamPeer } from '../client/stream-peers.ts'
import { CODE } from '../codec/codes.ts'
import { OPTION } from '../codec/option-registry.ts'
import { Options } from '../codec/options.ts'
import { StreamConnection, StreamExchange } from '../exchanges/stream-exchanges.ts'
import { StreamNotifier } from '../observers/stream-notifier.ts'
import { ALPN, StreamSession } from '../streams/session.ts'
import { type ServerInit, serverOver } from './server.ts'

/** Where connections are served. */
export interface StreamListenerInit {
  readonly server: ServerInit
  readonly address: string
  readonly port: number
  readonly tls: TlsOptions | undefined
}

const NOTHING = new Uint8Array(0)
/** Most bytes of a body in one message, where larger ones are read while they arrive: a client cuts those into blocks (RFC 8323 section 6). */
const LARGEST_MESSAGE = 1024 * 1024

/** Serves CoAP over TCP, or over TLS. Rejects when it cannot bind. */
export const listenStreams = async (init: StreamListenerInit): Promise<Listener> => {
  const { address, port, tls } = init
  const { host, counters, clock, settings } = init.server
  const { limits } = host
  const scheme = tls === undefined ? 'coap+tcp' : 'coaps+tcp'
  const { resources, observers } = serverOver<StreamConnection>(init.server, {
    introduce: remote => remote.endpoint,
    peer: (...association) => clients.over(...association),
    notifier: ({ remote, message }, source) => new StreamNotifier(remote, message, source)
  })
  const clients = new PeerClients<StreamConnection>({
    host,
    silence: Number.POSITIVE_INFINITY,
    open: (remote, options, url, protection) => openStreamPeer(remote, options, url, settings.extensions, protection)
  })
  const remotes = new WeakMap<Connection, StreamConnection>()
  /** Notifies the observers of a connection that the server closes, and closes it. */
  const dismiss = (connection: Connection): void => {
    const remote = remotes.get(connection)
    if (remote?.session === undefined) {
      connection.channel.destroy()
      return
    }
    void observers.dismiss(remote)
    remote.reason = 'shutdown'
    remote.session.release()
  }
  const connections = new Connections(clock, limits, dismiss, counters)
  const largest = Math.max(LARGEST_MESSAGE, settings.collected)
  const framing = {
    clock,
    limits,
    maxMessageSize: Math.min(limits.body, largest) + limits.headerBytes,
    tokenLength: settings.extensions.tokenLength,
    messageTimeout: limits.requestTimeout
  }
  let accepting = true

  const serve = async (channel: ByteChannel, counted: Connection): Promise<void> => {
    const endpoint: Endpoint = {
      ...endpointOf(channel, scheme, limits.body),
      // Until the connection is accepted nothing is read from it but its capabilities.
      peer: () => (admitted ? clients.of(remote, endpoint) : undefined)
    }
    const context = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null })
    // A pre-shared key proves an identity.
    if (channel.pskIdentity !== undefined) context['server.User'] = { id: channel.pskIdentity, by: 'psk' }
    const remote = new StreamConnection(endpoint, context, counted)
    remotes.set(counted, remote)
    let admitted = false
    const session = new StreamSession(channel, framing, {
      opened: () => undefined,
      message: message => {
        counted.touch()
        if (message.code < 32) receive(new StreamExchange(remote, message))
        else remote.requests?.response(message)
      },
      oversized: (code, token) => {
        if (code >= 32) {
          remote.requests?.oversized(code, token)
          return
        }
        counters.refusal(413, 'body-too-large', channel)
        session.send(CODE.REQUEST_ENTITY_TOO_LARGE, token, new Options().add(OPTION.SIZE1, limits.body), NOTHING)
      },
      closing: () => remote.whenAnswered(() => session.release()),
      // Responses must be read although many requests are in work: those may wait for them.
      ready: () => admitted && (remote.inFlight < limits.inFlightPerConnection || remote.asks),
      asks: () => remote.asks,
      whenAnswered: work => remote.whenAnswered(work),
      ponged: () => counted.touch(),
      refused: () => counters.refusal(400, 'malformed-message', channel),
      closed: () => {
        counted.remove()
        remote.user?.close()
        remote.requests?.ended()
        resources.forget(remote)
        void context.end(remote.reason)
      }
    })
    remote.session = session
    await host.invoke(context)
    if (isUnrouted(context) || context.response.ok) {
      admitted = true
      remote.user = new ConnectionUser(host, context, ({ detail }) => remote.whenAnswered(() => session.abort(detail)))
      remote.user.look(context)
      session.resume()
    } else session.abort(context.response.problem.detail ?? context.response.problem.title)
  }

  const receive = (exchange: StreamExchange): void => {
    const full = exchange.remote.inFlight > limits.inFlightPerConnection
    if (accepting && !full) resources.handle(exchange)
    else exchange.respond(CODE.SERVICE_UNAVAILABLE, new Options().add(OPTION.MAX_AGE, full ? 2 : 30), NOTHING)
  }

  const accept = (channel: ByteChannel): void => {
    const counted = connections.admit(channel)
    if (counted === null) channel.destroy()
    else
      serve(channel, counted).catch((error: unknown) => {
        host.logger.error('iopa: a CoAP connection failed', error)
        channel.destroy()
      })
  }
  const bound = await settings.streams.listen(
    { host: address, port, tls, alpn: tls === undefined ? undefined : ALPN, proxyProtocol: proxiedBy(settings.proxyProtocol, limits) },
    accept,
    counters.failed,
    counters.unsecured
  )

  let closing: Promise<void> | undefined
  const close = async (timeout: number): Promise<void> => {
    accepting = false
    const closed = bound.close()
    await connections.drain(timeout, dismiss)
    clients.close()
    resources.close()
    await closed
  }
  return {
    url: listenerUrl(scheme, address, bound.port),
    close: ({ timeout = limits.drainTimeout } = {}) => (closing ??= close(timeout)),
    ...(bound.reload === undefined ? undefined : { reload: (next: TlsOptions) => bound.reload!(next) })
  }
}

/** The two ends of a connection. */
export const endpointOf = (channel: ByteChannel, scheme: string, bodyLimit: number): Endpoint => ({
  scheme,
  protocol: 'CoAP/1',
  remoteAddress: channel.remoteAddress,
  remotePort: channel.remotePort,
  localAddress: channel.localAddress,
  localPort: channel.localPort,
  tls: channel.tls,
  sessionId: `${channel.remoteAddress} ${channel.remotePort} ${channel.localPort}`,
  rawTransport: channel.raw,
  bodyLimit,
  clientCertificate: () => channel.clientCertificate?.()
})
