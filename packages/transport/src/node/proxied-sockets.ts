import type { ByteAddress } from '../channels/byte-channel.ts'
import { ProxyHeaders, ProxyPeers, type ReadableSocket } from './proxy-protocol.ts'
import type { ProxiedEnds, SocketLike } from './socket-channel.ts'
import { MOST_HANDSHAKES, peerOf, type ServerLike } from './socket-modules.ts'

/** Connections through proxies that name the ends in a header. */
export class ProxiedSockets {
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
  take(socket: SocketLike, server: Pick<ServerLike, 'emit'>): void {
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
