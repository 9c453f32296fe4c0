import type { SocketLike } from './socket-channel.ts'

/** A server of `node:net` or `node:tls`. */
export interface ServerLike {
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

/** The parts of `node:tls` that verify a server. */
export interface IdentityCheck {
  checkServerIdentity(host: string, certificate: never): Error | undefined
}

/** The parts of `node:tls` that a network needs. */
export interface TlsModule extends IdentityCheck {
  createSecureContext(options: object): unknown
  createServer(...given: never[]): unknown
  connect(...given: never[]): unknown
}

/** How a server or a socket is made. */
export type Make = (options: object, connected?: (socket: SocketLike) => void) => unknown

/** A connection that only waits, such as that of an observer, would never learn that its peer has lost power (RFC 1122 section 4.2.3.6). */
export const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const

/** Sockets without TLS. */
export const PLAIN: object = { allowHalfOpen: true, noDelay: true, ...KEEP_ALIVE }

/** Most connections of a listener that have not shown yet who they are. */
export const MOST_HANDSHAKES = 1000

/** The end of a connection at its peer. */
export interface PeerEnd {
  readonly remoteAddress: string
  readonly remotePort: number
}

/** Of a socket that may be gone already. */
export const endOf = (socket: SocketLike | undefined): PeerEnd => ({
  remoteAddress: socket?.remoteAddress ?? '',
  remotePort: socket?.remotePort ?? 0
})

/** A name for a connection. */
export const peerOf = (socket: SocketLike): string => `${socket.remoteAddress} ${socket.remotePort}`
