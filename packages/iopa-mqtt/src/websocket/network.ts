import type { ByteChannel, ByteServer, Clock, Host, TlsOptions } from '@iopa/transport'

/** What is used of a server of node:http or node:https; named by its members, so that the types of node are not needed. */
export interface UpgradingServer {
  on(event: 'upgrade', listener: (...values: unknown[]) => void): unknown
  off(event: 'upgrade', listener: (...values: unknown[]) => void): unknown
  listenerCount(event: string): number
  address(): { readonly address: string; readonly port: number } | string | null
}

/** Where browsers connect: MQTT over WebSocket (MQTT 5 section 6), on a port of its own, on that of `http()`, or within a server that exists. */
export interface WebSocketOptions {
  /** `http` takes upgrades at `path` on the ports of `http()` in the same app. Beside it, `path` and `origins` alone have a meaning. */
  readonly on?: 'http'
  /** A port of its own; 0 lets the system choose. Not with `server`. */
  readonly port?: number
  /** Address to listen on; 127.0.0.1 unless given. */
  readonly host?: string
  readonly tls?: TlsOptions
  /** A server of node:http or node:https whose upgrades are taken at `path`; it is neither started nor closed. */
  readonly server?: UpgradingServer
  /** Path of the endpoint; with `on` and `server` `/mqtt` unless given, with `port` any path unless given. */
  readonly path?: string
  /**
   * Proxies that are believed which client they forward (X-Forwarded-For): addresses, subnets or `loopback`. Its address then counts for
   * `connectionsPerAddress` and for the quotas of clients without a user. Off unless given.
   */
  readonly trustProxy?: readonly string[]
  /**
   * Addresses or subnets (`10.0.0.0/8`, `loopback`) of proxies that must begin each connection with a header of the PROXY protocol, version 1 or 2:
   * the client that it names is the peer. For a port of its own alone; none unless given.
   */
  readonly proxyProtocol?: readonly string[]
  /**
   * Pages that may connect, such as `https://house.example`, beside those of the host that the request names. A client that is no browser
   * sends no Origin and is always let in.
   */
  readonly origins?: readonly string[]
}

/** How long a message may take. */
export interface MessageTime {
  readonly clock: Clock
  /** Milliseconds within which a WebSocket message that has begun must be whole. */
  readonly messageTimeout: number
}

/** Bounds of what MQTT does not see: the upgrade, and messages that are not whole. */
export interface WebSocketLimits extends MessageTime {
  /** Bytes of one WebSocket message. */
  readonly maxPayload: number
  /** Open connections of the port. */
  readonly connections: number
  /** Milliseconds for the whole request. */
  readonly headerTimeout: number
  /** Bytes of its header. */
  readonly headerBytes: number
  /** Called for each connection that is one too many. */
  readonly failed?: () => void
  /** Called for each request that does not become a WebSocket. */
  readonly refused?: (status: number, peer: Pick<ByteChannel, 'remoteAddress' | 'remotePort'>) => void
}

/** What takes connections; `close` stops taking them and resolves when those that are there have ended. */
export interface WebSocketListener extends ByteServer {
  readonly url: URL
}

/** The same where browsers may connect to `http()`. */
export interface BrowserListener extends ByteServer {
  /** Null until `http()` listens, where it rides on that. */
  readonly url: URL | null
}

/** The app of a listener that rides on `http()`. */
export interface WebSocketApp {
  readonly host: Pick<Host, 'assertProtected' | 'scope' | 'shared'>
  readonly allowUnauthenticated: boolean | undefined
}

/** How to reach a server over WebSocket. */
export interface WebSocketTarget {
  readonly tls?: TlsOptions
  readonly clock: Clock
  /** Gives up connecting. */
  readonly signal: AbortSignal
}

/** WebSocket as a carrier of MQTT, made by `websocket()` of `@iopa/mqtt/websocket`. */
export interface WebSocketNetwork {
  /** What `websocket()` was given. */
  readonly options: WebSocketOptions
  /** Serves; `tls` counts where the options name none. Rejects when the port cannot be bound. */
  listen(tls: TlsOptions | undefined, limits: WebSocketLimits, accept: (channel: ByteChannel) => void, app: WebSocketApp): Promise<BrowserListener>
  /** Connects to a `ws:` or `wss:` URL. Rejects when it cannot. */
  connect(url: URL, target: WebSocketTarget): Promise<ByteChannel>
}
