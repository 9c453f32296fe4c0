import nodeNet from 'node:net'
import { IopaError } from '@iopa/constants'
import type { ByteAddress, ByteNetwork, ByteServer } from '../channels/byte-channel.ts'
import { keysOf, PreSharedKeys, usedKey } from './pre-shared-keys.ts'
import { ProxyHeaders, ProxyPeers, type ReadableSocket } from './proxy-protocol.ts'
import { type ProxiedEnds, SocketChannel, type SocketLike } from './socket-channel.ts'
import { clientTls, type IdentityCheck, isCertificate, KEEP_ALIVE, reloadedTls, ServerNames, serverTls } from './tls-context.ts'
import { listenOnPath } from './unix-socket.ts'

interface ServerLike {
  address(): { address: string; port: number } | string | null
  listen(options: object, listening: () => void): unknown
  close(done: () => void): unknown
  once(event: string, listener: (...values: never[]) => void): unknown
  on(event: string, listener: (...values: never[]) => void): unknown
  off(event: string, listener: (...values: never[]) => void): unknown
  emit(event: string, ...values: unknown[]): unknown
  setSecureContext?(options: object): unknown
}

/** The parts of `node:net` that a network needs; loosely typed, for its functions have many forms. */
export interface NetModule {
  createServer(...given: never[]): unknown
  connect(...given: never[]): unknown
}

/** The parts of `node:tls` that a network needs. */
export interface TlsModule extends IdentityCheck {
  createSecureContext(options: object): unknown
  createServer(...given: never[]): unknown
  connect(...given: never[]): unknown
}

type Make = (options: object, connected?: (socket: SocketLike) => void) => unknown

/** Replacements for `node:net` and `node:tls`, for tests. */
interface SocketModules {
  readonly net?: NetModule
  readonly tls?: () => Promise<TlsModule>
}

/** The network of `node:net` and `node:tls`, which is loaded when it is first needed. */
export const socketNetwork = ({ net = nodeNet, tls = () => import('node:tls') }: SocketModules = {}): ByteNetwork => ({
  listen: async (address, accept, failed = () => undefined, unsecured = () => undefined) => {
    const keys = address.tls?.psk === undefined ? undefined : new PreSharedKeys(keysOf(address.tls))
    const proxied = address.proxyProtocol === undefined ? null : new ProxiedSockets(address.proxyProtocol, failed)
    const connected = (socket: SocketLike): void => {
      const identity = keys?.identityOf(socket)
      // With pre-shared keys, a client without a proved key is refused.
      if (keys !== undefined && identity === undefined) {
        unsecured(endOf(socket))
        socket.destroy()
      } else accept(new SocketChannel(socket, identity, proxied?.endsOf(socket)))
    }
    const secured = address.tls === undefined ? undefined : await tls()
    const names =
      secured === undefined || address.tls?.psk !== undefined ? undefined : new ServerNames(address.tls ?? {}, secured.createSecureContext)
    const server = (
      secured === undefined
        ? (net.createServer as Make)(PLAIN, connected)
        : (secured.createServer as Make)(serverTls(address, keys, names), connected)
    ) as ServerLike
    const handshakes = address.tls === undefined ? null : new Handshakes(server, failed, unsecured)
    // A header comes before TLS: plain sockets are accepted, and handed on behind it.
    const front = proxied === null ? server : ((net.createServer as Make)(PLAIN, socket => proxied.take(socket, server)) as ServerLike)
    await listening(front, address, failed)
    return serverOf(front, server, address, handshakes, proxied, keys, names)
  },
  connect: async (address, signal) => {
    signal?.throwIfAborted()
    const secured = address.tls === undefined ? undefined : await tls()
    const socket = (
      secured === undefined
        ? (net.connect as Make)({ host: address.host, port: address.port, allowHalfOpen: true })
        : (secured.connect as Make)(clientTls(address, secured))
    ) as SocketLike & ServerLike
    const ready = address.tls === undefined ? 'connect' : 'secureConnect'
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
        if (address.tls?.psk !== undefined && !usedKey(socket) && !isCertificate(socket.getPeerCertificate?.())) {
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

const MOST_HANDSHAKES = 1000

const PLAIN: object = { allowHalfOpen: true, noDelay: true, ...KEEP_ALIVE }

/** Connections through proxies that name the ends in a header. */
class ProxiedSockets {
  readonly #peers: ProxyPeers
  readonly #headers: ProxyHeaders
  readonly #refused: () => void
  /** By the ends of the connection to the proxy, for a TLS socket has no other link to the one below. */
  readonly #ends = new Map<string, ProxiedEnds>()

  constructor({ from, timeout }: NonNullable<ByteAddress['proxyProtocol']>, refused: () => void) {
    this.#peers = new ProxyPeers(from)
    this.#headers = new ProxyHeaders(timeout)
    this.#refused = refused
  }

  endsOf(socket: SocketLike): ProxiedEnds {
    return this.#ends.get(peerOf(socket)) ?? socket
  }

  /** Hands a socket to the server behind its header, or as it is where its peer is no proxy. */
  take(socket: SocketLike, server: ServerLike): void {
    if (!this.#peers.has(socket)) {
      server.emit('connection', socket)
      return
    }
    if (this.#headers.size >= MOST_HANDSHAKES) {
      this.#refused()
      socket.destroy()
      return
    }
    this.#headers.read(socket as ReadableSocket, ({ ends }) => {
      if (ends !== null) {
        const peer = peerOf(socket)
        this.#ends.set(peer, ends)
        socket.on('close', () => void this.#ends.delete(peer))
      }
      server.emit('connection', socket)
    })
  }

  destroy(): void {
    this.#headers.destroy()
  }
}

/** Connections with an unfinished TLS handshake: only this file knows them, so it counts and ends them. */
class Handshakes {
  readonly #open = new Map<string, SocketLike>()

  constructor(server: ServerLike, refused: () => void, unsecured: (peer: PeerEnd) => void) {
    server.on('connection', (raw: SocketLike) => {
      if (this.#open.size >= MOST_HANDSHAKES) {
        refused()
        raw.destroy()
        return
      }
      const peer = peerOf(raw)
      this.#open.set(peer, raw)
      const isOpen = (): boolean => this.#open.get(peer) === raw
      raw.on('end', () => void (isOpen() && raw.destroy()))
      raw.on('close', () => void (isOpen() && this.#open.delete(peer)))
    })
    server.on('secureConnection', (socket: SocketLike) => void this.#open.delete(peerOf(socket)))
    // A handshake that fails is that peer's matter.
    server.on('tlsClientError', (_: Error, socket: SocketLike) => {
      unsecured(endOf(socket))
      socket?.destroy()
    })
  }

  destroy(): void {
    for (const raw of [...this.#open.values()]) raw.destroy()
  }
}

interface PeerEnd {
  readonly remoteAddress: string
  readonly remotePort: number
}

/** Of a socket that may be gone already. */
const endOf = (socket: SocketLike | undefined): PeerEnd => ({ remoteAddress: socket?.remoteAddress ?? '', remotePort: socket?.remotePort ?? 0 })

const peerOf = (socket: SocketLike): string => `${socket.remoteAddress} ${socket.remotePort}`

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

const serverOf = (
  front: ServerLike,
  server: ServerLike,
  asked: ByteAddress,
  handshakes: Handshakes | null,
  proxied: ProxiedSockets | null,
  keys: PreSharedKeys | undefined,
  names: ServerNames | undefined
): ByteServer => {
  let current = asked.tls ?? {}
  const at = front.address()
  // A UNIX socket has a path and nothing else.
  const bound = typeof at === 'object' && at !== null ? at : { address: at ?? '', port: 0 }
  return {
    address: bound.address,
    port: bound.port,
    close: () =>
      new Promise(resolve => {
        front.close(() => resolve())
        handshakes?.destroy()
        proxied?.destroy()
      }),
    reload: next => {
      const tls = reloadedTls(current, next)
      names?.replace(tls)
      server.setSecureContext?.(serverTls({ ...asked, tls }, keys))
      keys?.replace(keysOf(tls))
      current = tls
    }
  }
}
