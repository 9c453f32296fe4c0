import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import {
  type ByteChannel,
  type ByteNetwork,
  type Clock,
  type Connection,
  Connections,
  type Host,
  IopaError,
  type Limits,
  type Listener,
  type TlsOptions
} from '@iopa/appbuilder'
import { formatAnswer } from './answer-writer.ts'
import { ChannelStream } from '../client/channel-stream.ts'
import { type ConnectionSettings, HttpConnection } from './connection.ts'
import { Heartbeats } from '../events/event-stream.ts'
import { TrustedProxies } from './forwarded.ts'
import { HostRules } from '../message/host-rules.ts'
import type { HttpOptions } from '../options.ts'
import { answerTo } from '../message/refusal.ts'
import { leave, type Socket } from './socket.ts'

const CONNECTION: unique symbol = Symbol('connection')

/** A socket knows its connection by a property, for a WeakMap would cost every request a look-up. */
type OwnedSocket = Socket & { [CONNECTION]?: HttpConnection }

// Connections over the limit that are told so at once; those beyond are dropped without a word.
const REFUSED_AT_ONCE = 64

/** Binds and serves until it is closed. Rejects when it cannot bind. `native` says that channels are sockets of node:net. */
export const listen = async (host: Host, network: ByteNetwork, native: boolean, options: HttpOptions): Promise<Listener> => {
  const { host: address = '127.0.0.1', port = 0, tls } = options
  const { limits } = host
  const clock = options.clock ?? host.clock
  const scheme = tls === undefined ? 'http' : 'https'
  const settings: ConnectionSettings = {
    host,
    clock,
    limits,
    scheme,
    hosts: new HostRules(options.hosts, address),
    proxies: options.trustProxy === undefined ? null : new TrustedProxies(options.trustProxy),
    heartbeats: new Heartbeats(clock, options.heartbeat ?? 15_000),
    retry: options.retry ?? 3_000,
    closing: false
  }
  const open = new Map<Connection, HttpConnection>()
  const connections = new Connections(clock, limits, connection => open.get(connection)?.finish())
  const server = parserOf(limits)
  const sweep = sweeper(clock, limits, open)
  let refused = 0

  /** Tells a connection over the limit so, where it can be told. */
  const refuse = (channel: ByteChannel, socket: Socket): void => {
    if (refused >= REFUSED_AT_ONCE) {
      channel.destroy()
      return
    }
    refused++
    socket.once('close', () => refused--)
    leave(socket, clock, formatAnswer(answerTo(tooManyConnections()), clock.now(), false))
  }

  const bound = await network.listen({ host: address, port, tls, alpn: ['http/1.1'] }, channel => {
    const socket = native ? (channel.raw as OwnedSocket) : new ChannelStream(channel)
    const counted = connections.admit(channel)
    if (counted === null) return refuse(channel, socket)
    const connection = new HttpConnection(socket, channel, counted, settings)
    ;(socket as OwnedSocket)[CONNECTION] = connection
    open.set(counted, connection)
    socket.once('close', () => open.delete(counted))
    server.emit('connection', socket)
    sweep()
  })

  let closing: Promise<void> | undefined
  const close = async (timeout: number): Promise<void> => {
    settings.closing = true
    const closed = bound.close()
    for (const connection of open.values()) connection.endEvents()
    // What has arrived already is read in the next turn of the event loop, and still answered.
    for (let turn = 0; turn < 2; turn++) await new Promise(resolve => setImmediate(resolve))
    await connections.drain(timeout, connection => open.get(connection)?.finish())
    await closed
  }
  return {
    url: new URL(`${scheme}://${bound.address.includes(':') ? `[${bound.address}]` : bound.address}:${bound.port}`),
    close: ({ timeout = limits.drainTimeout } = {}) => (closing ??= close(timeout)),
    ...(tls && bound.reload && { reload: (next: TlsOptions) => bound.reload?.(next) })
  }
}

/** A server of node:http that listens nowhere: connections are given to it. All its own timers are off, for a listener has a clock. */
const parserOf = (limits: Limits): Server => {
  const server = createServer({
    maxHeaderSize: limits.headerBytes,
    insecureHTTPParser: false,
    requireHostHeader: false,
    keepAliveTimeout: 0,
    headersTimeout: 0,
    requestTimeout: 0
  })
  // Node would drop the fields beyond its bound without a word.
  server.maxHeadersCount = 0
  const receive = (message: IncomingMessage, response: ServerResponse): void =>
    (message.socket as OwnedSocket)[CONNECTION]?.receive(message, response)
  server.on('request', receive)
  server.on('checkContinue', receive)
  server.on('checkExpectation', receive)
  server.on('connect', (_, socket) => (socket as OwnedSocket)[CONNECTION]?.refuseTunnel())
  server.on('clientError', (error, socket) => (socket as OwnedSocket)[CONNECTION]?.malformed(error))
  return server
}

/** Looks after all connections in one coarse turn, as long as there are any; call it for each new one. */
const sweeper = (clock: Clock, { headerTimeout, idleTimeout }: Limits, open: ReadonlyMap<unknown, HttpConnection>): (() => void) => {
  const interval = Math.max(1, Math.min(1000, headerTimeout / 4, idleTimeout / 4))
  let armed = false
  const arm = (): void => {
    if (armed || open.size === 0) return
    armed = true
    clock.setTimeout(() => {
      armed = false
      const now = clock.now()
      for (const connection of open.values()) connection.sweep(now)
      arm()
    }, interval)
  }
  return arm
}

const tooManyConnections = (): IopaError =>
  new IopaError(503, 'too-many-connections', 'The server has as many connections as it may have; try again.', { headers: { 'retry-after': '10' } })
