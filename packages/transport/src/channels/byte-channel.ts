import type { Limits } from '../contract/limits.ts'
import type { TlsOptions } from '../contract/tls.ts'

/** Callbacks for data that arrives on a byte channel. None may throw. */
export interface ByteReceiver {
  data(chunk: Uint8Array): void
  /** The peer has finished sending; it may still read. */
  end(): void
  /** Everything written has left; writing may go on after `write` has returned false. */
  drain(): void
  /** Last call. */
  close(error?: Error): void
}

/** A connection that carries bytes both ways, such as a TCP socket. */
export interface ByteChannel {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean
  /** The underlying socket, for code that knows its type. */
  readonly raw: unknown
  /** Bytes written that have not left yet. */
  readonly buffered: number
  /** Starts delivery to its one receiver. */
  open(receiver: ByteReceiver): void
  /** False when the writer should wait for `drain`. Never throws; a write after the end is dropped. */
  write(bytes: Uint8Array | string): boolean
  /** The same for several pieces, with one call of the system and without copying them. */
  writeAll?(pieces: readonly Uint8Array[]): boolean
  pause(): void
  resume(): void
  /** Ends the sending side after what was written. */
  end(): void
  /** Drops the connection; `close` follows. */
  destroy(): void
  /** Makes `destroy` a reset from now on, until all has left that was written before `end`: for data that ends with the connection. */
  resetUnlessEnded?(): void
  /** The peer's certificate, where TLS asked for one. */
  clientCertificate?(): unknown
  /** Identity of the pre-shared key, where TLS used one. */
  readonly pskIdentity?: string | undefined
  /** Application protocol that TLS has negotiated (RFC 7301), such as `h2`; undefined for none. */
  readonly protocol?: string | undefined
}

/** Where to listen or to connect to. */
export interface ByteAddress {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Listening only, in place of host and port: the path of a UNIX socket. A file that a process has left there, and that nothing listens on, is replaced. */
  readonly path?: string | undefined
  /** Permissions of the UNIX socket, such as 0o660; only its owner may connect unless given. */
  readonly mode?: number | undefined
  /** Listening only, in place of host and port: the descriptor of a socket that listens already. */
  readonly fd?: number | undefined
  /**
   * Listening only: peers that must begin with a header of the PROXY protocol, version 1 or 2, whose addresses are then those of the channel; other
   * peers are served as they are. `timeout` is the time for the header in milliseconds.
   */
  readonly proxyProtocol?: { readonly from: readonly string[]; readonly timeout: number } | undefined
  readonly tls?: TlsOptions | undefined
  /** Application protocols to offer (RFC 7301). */
  readonly alpn?: readonly string[] | undefined
  /** Connecting with TLS only: the channel that TLS runs over, such as the tunnel of a proxy, in place of a new connection. It was never opened. */
  readonly over?: ByteChannel | undefined
}

/** `proxyProtocol` of an address: the proxies of an option of that name, whose header has the time of any other header. */
export const proxiedBy = (proxies: readonly string[] | undefined, { headerTimeout }: Pick<Limits, 'headerTimeout'>): ByteAddress['proxyProtocol'] =>
  proxies === undefined ? undefined : { from: proxies, timeout: headerTimeout }

/** A place that accepts channels. */
export interface ByteServer {
  readonly address: string
  readonly port: number
  /** Stops accepting; channels live on. */
  close(): Promise<void>
  /** Takes new certificates for the connections to come. */
  reload?(tls: TlsOptions): void
}

/** What makes byte channels: `node:net`, or the virtual network of a test. */
export interface ByteNetwork {
  /**
   * Rejects when it cannot bind. `failed` is called for each connection that could not be accepted, `unsecured` for each peer whose TLS handshake
   * failed.
   */
  listen(
    address: ByteAddress,
    accept: (channel: ByteChannel) => void,
    failed?: () => void,
    unsecured?: (peer: Pick<ByteChannel, 'remoteAddress' | 'remotePort'>) => void
  ): Promise<ByteServer>
  /** Rejects when it cannot connect, or when `signal` aborts first. */
  connect(address: ByteAddress, signal?: AbortSignal): Promise<ByteChannel>
}
