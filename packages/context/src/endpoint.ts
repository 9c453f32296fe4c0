import type { Context } from './context.ts'
import type { Peer } from './peer.ts'

/** The keys that a transport sets on its connections, and how a request of one gets them. */
export interface InheritedKeys {
  readonly keys: ReadonlySet<string>
  /** Copies these keys. Code that names them costs a fifth of a loop over their names. */
  copy(connection: Context, request: Context): void
}

/** The two ends of a connection, or of a datagram socket and one of its peers. */
export interface Endpoint {
  /** Without a colon: `http`. */
  readonly scheme: string
  /** Protocol and version: `HTTP/1.1`. */
  readonly protocol: string
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  readonly tls: boolean
  readonly sessionId: string
  /** The socket, for those who know its type. */
  readonly rawTransport: unknown
  /** Most bytes of a request's body. */
  readonly bodyLimit: number
  /** True where the transport stops reading from a peer while bodies have no room: its requests are counted, and not refused for that. */
  readonly holdsBack?: boolean
  /** The peer's certificate, where TLS asked for one. */
  clientCertificate?(): unknown
  /** Sends requests to the remote end, where the protocol lets both sides ask. Called on the endpoint, which may be a copy. */
  peer?(): Peer | undefined
  /** Further keys of the connection, set by middleware, are found by themselves. */
  readonly inherited?: InheritedKeys
}

/** The endpoint of a context that this process makes for itself. */
export const localEndpoint = (bodyLimit: number): Endpoint => ({
  scheme: 'iopa',
  protocol: 'IOPA/5.0',
  remoteAddress: '',
  remotePort: 0,
  localAddress: '',
  localPort: 0,
  tls: false,
  sessionId: '',
  rawTransport: null,
  bodyLimit
})

/** True for an address of the loopback range, in its IPv4, IPv6 or mapped form. */
export const isLoopback = (address: string): boolean => /^(?:::ffff:)?127\./i.test(address) || address === '::1' || address === 'localhost'
