import type { IncomingMessage } from 'node:http'
import { createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type ByteChannel, IopaError, listenerUrl, proxiedBy, type TlsOptions } from '@iopa/transport'
import { type ProxiedServer, proxiedServer } from '@iopa/transport/node'
import { type WebSocket, WebSocketServer } from 'ws'
import { isOriginAllowed, TrustedProxies } from './admission.ts'
import { type Ends, endsOf, WebSocketChannel } from './channel.ts'
import type { UpgradingServer, WebSocketLimits, WebSocketListener, WebSocketOptions } from './network.ts'
import { Upgrades } from './upgrades.ts'

/** Serves MQTT over WebSocket and gives each connection as a channel of bytes. Rejects when the port cannot be bound. */
export const listenWebSocket = async (
  options: WebSocketOptions,
  limits: WebSocketLimits,
  accept: (channel: ByteChannel) => void
): Promise<WebSocketListener> => {
  const endpoint = webSocketEndpoint(limits)
  const proxies = options.trustProxy === undefined ? null : new TrustedProxies(options.trustProxy)
  const take: Accept = (opened, socket, ends, { headers }) => {
    const { remoteAddress = '' } = ends
    accept(new WebSocketChannel(opened, socket, limits, { ...ends, remoteAddress: proxies?.clientOf(remoteAddress, headers) ?? remoteAddress }))
  }
  if (options.server) return attach(options.server, { options, endpoint, accept: take, limits, endsOf })
  const proxyProtocol = proxiedBy(options.proxyProtocol, limits)
  const proxied = proxyProtocol === undefined ? null : await proxiedServer(proxyProtocol, () => limits.failed?.())
  return listen({ options, endpoint, accept: take, limits, endsOf: proxied === null ? endsOf : socket => proxied.endsOf(socket as never) }, proxied)
}

/** Does the handshakes of WebSockets that carry MQTT. */
export const webSocketEndpoint = ({ maxPayload }: WebSocketLimits): WebSocketServer =>
  new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload,
    perMessageDeflate: false,
    handleProtocols: offered => (offered.has('mqtt') ? 'mqtt' : 'mqttv3.1')
  })

/** Why a handshake is refused; null where it may go on. `secure` is left out where the scheme of the page need not be that of the listener. */
export const refusalOf = ({ origin, host = '', protocols = '', localAddress, secure }: Handshake, origins: readonly string[]): IopaError | null => {
  if (!isOriginAllowed(origin, host, localAddress, origins, secure))
    return new IopaError(403, 'foreign-origin', 'Pages of this origin may not connect: list it in the origins of the server.')
  const offered = protocols.split(',').map(protocol => protocol.trim())
  return offered.includes('mqtt') || offered.includes('mqttv3.1')
    ? null
    : new IopaError(400, 'no-subprotocol', "Offer the WebSocket subprotocol 'mqtt'.")
}

/** What a handshake says of where it comes from. */
export interface Handshake {
  readonly origin: string | undefined
  readonly host: string | undefined
  readonly protocols: string | undefined
  readonly localAddress: string
  readonly secure?: boolean
}

/** Takes a WebSocket whose handshake was done. */
type Accept = (opened: WebSocket, socket: Socket, ends: Ends, request: IncomingMessage) => void

/** What takes upgrades. */
interface Taking {
  readonly options: WebSocketOptions
  readonly limits: WebSocketLimits
  readonly endpoint: WebSocketServer
  readonly accept: Accept
  readonly endsOf: (socket: Socket) => Ends
}

const listen = async (taking: Taking, proxied: ProxiedServer | null): Promise<WebSocketListener> => {
  const { options, limits } = taking
  const { host = '127.0.0.1', port = 0, tls, path } = options
  // Upgrades have a time of their own: that of Node is judged before what came in a blocked event loop is read.
  const times = { headersTimeout: 0, requestTimeout: 0, keepAliveTimeout: 1000 }
  const settings = { ...times, maxHeaderSize: limits.headerBytes, noDelay: true }
  let current = tls
  const server = tls
    ? (await import('node:https')).createServer({ ...settings, ...secureOptions(tls) })
    : (await import('node:http')).createServer(settings)
  // A header comes before TLS and HTTP: plain sockets are accepted, and handed on behind it.
  const front = proxied === null ? server : createServer({ allowHalfOpen: true, noDelay: true }, socket => proxied.take(socket as never, server))
  front.maxConnections = limits.connections
  const upgrades = new Upgrades(limits.clock, limits.headerTimeout)
  server.on('connection', (socket: Socket) => upgrades.await(socket))
  if (tls) server.on('secureConnection', (socket: Socket) => upgrades.secured(socket))
  server.on('request', (_request, response) => {
    response
      .writeHead(426, { connection: 'close', upgrade: 'websocket', 'content-type': 'text/plain' })
      .end('This port speaks MQTT over WebSocket.\n')
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    upgrades.came(socket)
    if (path === undefined || pathOf(request) === path) upgrade(request, socket, head, taking)
    else refuse(socket, 404, 'There is no WebSocket at this path.', taking)
  })
  server.on('clientError', (_error, socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void =>
      reject(new IopaError(500, 'bind-failed', `Cannot listen on ${host}:${port}: ${error.message}.`, { cause: error }))
    front.once('error', failed)
    front.listen({ host, port, backlog: 1024 }, () => {
      front.off('error', failed)
      // Running out of descriptors on accept must not end the process.
      front.on('error', () => {})
      resolve()
    })
  })
  return {
    ...addressOf(front, path ?? '/', tls !== undefined),
    close: () =>
      new Promise(resolve => {
        front.close(() => resolve())
        proxied?.destroy()
        upgrades.end()
      }),
    reload: fresh => {
      if (!('setSecureContext' in server)) return
      // Node keeps asking for certificates as it did, so what is left out stays as it was.
      const { ca = current?.ca } = fresh
      current = { ...fresh, requestCert: current?.requestCert === true, ...(ca === undefined ? {} : { ca }) }
      server.setSecureContext(secureOptions(current))
    }
  }
}

const attach = (server: UpgradingServer, taking: Taking): WebSocketListener => {
  const { options } = taking
  const path = options.path ?? '/mqtt'
  const take = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    if (pathOf(request) === path) upgrade(request, socket, head, taking)
    // Others may serve other paths of this server; only where nobody else does, the request is ours to refuse.
    else if (server.listenerCount('upgrade') === 1) refuse(socket, 404, 'There is no WebSocket at this path.', taking)
  }
  const listener = take as (...values: unknown[]) => void
  server.on('upgrade', listener)
  return { ...addressOf(server, path, 'setSecureContext' in server), close: async () => void server.off('upgrade', listener) }
}

const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer, taking: Taking): void => {
  const { options, endpoint, accept } = taking
  const { origin, host, 'sec-websocket-protocol': protocols } = request.headers
  const ends = taking.endsOf(socket as Socket)
  const refusal = refusalOf({ origin, host, protocols, localAddress: ends.localAddress ?? '' }, options.origins ?? [])
  if (refusal !== null) refuse(socket, refusal.status, refusal.message, taking)
  else endpoint.handleUpgrade(request, socket, head, opened => accept(opened, socket as Socket, ends, request))
}

/** Answers in plain HTTP, for there is no WebSocket yet. */
const refuse = (socket: Duplex, status: number, detail: string, { limits, endsOf: of }: Taking): void => {
  const { remoteAddress = '', remotePort = 0 } = of(socket as Socket)
  limits.refused?.(status, { remoteAddress, remotePort })
  socket.on('error', () => {})
  const body = `${detail}\n`
  const head = `HTTP/1.1 ${status} ${REASONS[status]}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n`
  socket.end(head + body, () => socket.destroy())
}

const REASONS: Readonly<Record<number, string>> = { 400: 'Bad Request', 403: 'Forbidden', 404: 'Not Found' }

const pathOf = ({ url = '/' }: IncomingMessage): string => url.split('?', 1)[0] ?? '/'

const addressOf = (server: Pick<UpgradingServer, 'address'>, path: string, secure: boolean): { address: string; port: number; url: URL } => {
  const bound = server.address()
  const { address, port } = typeof bound === 'object' && bound !== null ? bound : { address: '127.0.0.1', port: 0 }
  return { address, port, url: new URL(path, listenerUrl(secure ? 'wss' : 'ws', address, port)) }
}

const secureOptions = ({ key, cert, ca, psk, requestCert = false, minVersion = 'TLSv1.2' }: TlsOptions): object => {
  if (psk !== undefined) throw new IopaError(500, 'psk-without-websocket', 'WebSockets have no pre-shared keys: give websocket.tls a key and cert.')
  // Without it every certificate of a public authority would do.
  if (requestCert && ca === undefined)
    throw new IopaError(500, 'tls-without-ca', 'requestCert needs ca: the authorities whose certificates clients may show.')
  return {
    ...(key === undefined ? {} : { key }),
    ...(cert === undefined ? {} : { cert }),
    ...(ca === undefined ? {} : { ca }),
    requestCert,
    rejectUnauthorized: requestCert,
    minVersion
  }
}
