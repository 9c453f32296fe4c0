import nodeNet from 'node:net'
import { IopaError } from '@iopa/constants'
import type { ByteAddress, ByteNetwork } from '../channels/byte-channel.ts'
import { type ProxiedEnds, SocketChannel, type SocketLike } from './socket-channel.ts'
import { type Make, type NetModule, PLAIN, type ServerLike, type TlsModule } from './socket-modules.ts'
import { listenOnPath } from './unix-socket.ts'

/** Replacements for `node:net` and `node:tls`, for tests. */
interface SocketModules {
  readonly net?: NetModule
  readonly tls?: () => Promise<TlsModule>
}

/** The network of `node:net` and `node:tls`. What secures connections, and what reads the headers of proxies, is loaded when it is first needed. */
export const socketNetwork = ({ net = nodeNet, tls = () => import('node:tls') }: SocketModules = {}): ByteNetwork => ({
  listen: async (address, accept, failed = () => undefined, unsecured = () => undefined) => {
    const { proxyProtocol } = address
    const proxied = proxyProtocol === undefined ? null : new (await import('./proxied-sockets.ts')).ProxiedSockets(proxyProtocol, failed)
    const connected = (socket: SocketLike, identity?: string): void => accept(new SocketChannel(socket, identity, proxied?.endsOf(socket)))
    const secured =
      address.tls === undefined
        ? null
        : new (await import('./secured-sockets.ts')).SecuredServer(address, await tls(), { connected, failed, unsecured })
    const server = secured?.server ?? ((net.createServer as Make)(PLAIN, socket => connected(socket)) as ServerLike)
    // A header comes before TLS: plain sockets are accepted, and handed on behind it.
    const front = proxied === null ? server : ((net.createServer as Make)(PLAIN, socket => proxied.take(socket, server)) as ServerLike)
    await listening(front, address, failed)
    const at = front.address()
    // A UNIX socket has a path and nothing else.
    const bound = typeof at === 'object' && at !== null ? at : { address: at ?? '', port: 0 }
    return {
      address: bound.address,
      port: bound.port,
      close: () =>
        new Promise(resolve => {
          front.close(() => resolve())
          secured?.destroy()
          proxied?.destroy()
        }),
      reload: next => secured?.reload(next)
    }
  },
  connect: async (address, signal) => {
    const secured = address.tls === undefined ? null : await import('./secured-sockets.ts')
    const module = secured === null ? null : await tls()
    signal?.throwIfAborted()
    const socket = (
      secured === null || module === null
        ? (net.connect as Make)({ host: address.host, port: address.port, allowHalfOpen: true })
        : secured.securedSocket(address, module)
    ) as SocketLike & ServerLike
    const ready = secured === null ? 'connect' : 'secureConnect'
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => {
        socket.destroy()
        reject(signal?.reason)
      }
      const failed = (error: Error): void => {
        signal?.removeEventListener('abort', abort)
        reject(new IopaError(502, 'connect-failed', `Cannot connect to ${address.host}:${address.port}: ${error.message}.`, { cause: error }))
      }
      signal?.addEventListener('abort', abort, { once: true })
      socket.once('error', failed)
      socket.once(ready, () => {
        if (secured?.isProved(socket, address) === false) {
          socket.destroy()
          failed(new Error('the server has shown neither the key nor a certificate'))
          return
        }
        signal?.removeEventListener('abort', abort)
        socket.off('error', failed)
        resolve()
      })
    })
    return new SocketChannel(socket)
  }
})

const BACKLOG = 1024

const listening = (server: ServerLike, { host, port, path, mode, fd }: ByteAddress, refused: () => void): Promise<void> =>
  new Promise((resolve, reject) => {
    const place = path ?? (fd === undefined ? `${host}:${port}` : `descriptor ${fd}`)
    const failed = (error: Error): void => reject(new IopaError(500, 'bind-failed', `Cannot listen on ${place}: ${error.message}.`, { cause: error }))
    const listen = path === undefined ? server.listen.bind(server, fd === undefined ? { host, port, backlog: BACKLOG } : { fd }) : null
    const begin = (ready: () => void): unknown =>
      listen === null ? listenOnPath(server, { path: path as string, backlog: BACKLOG }, mode, ready, failed) : listen(ready)
    if (path === undefined) server.once('error', failed)
    begin(() => {
      server.off('error', failed)
      // Running out of descriptors on accept must not end the process.
      server.on('error', refused)
      resolve()
    })
  })

/** Connections through proxies that name the ends in a header, for a server that is no network of its own. */
export interface ProxiedServer {
  /** The ends that the proxy has named; those of the socket where it is no proxy. */
  endsOf(socket: SocketLike): ProxiedEnds
  /** Hands a socket to the server, as its event `connection`, behind its header. */
  take(socket: SocketLike, server: Pick<ServerLike, 'emit'>): void
  /** Ends the connections whose header has not come. */
  destroy(): void
}

/** Reads the headers of proxies. `refused` is called for each connection that is one too many. @throws IopaError 500 for what names no proxies. */
export const proxiedServer = async (proxyProtocol: NonNullable<ByteAddress['proxyProtocol']>, refused: () => void): Promise<ProxiedServer> =>
  new (await import('./proxied-sockets.ts')).ProxiedSockets(proxyProtocol, refused)
