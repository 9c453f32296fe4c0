import type { TlsOptions } from '@iopa/transport'

/** What is used of a server of node:http or node:https; named by its members, so that the types of node are not needed. */
export interface UpgradingServer {
  on(event: 'upgrade', listener: (...values: unknown[]) => void): unknown
  off(event: 'upgrade', listener: (...values: unknown[]) => void): unknown
  listenerCount(event: string): number
  address(): { readonly address: string; readonly port: number } | string | null
}

/** Where browsers connect: MQTT over WebSocket (MQTT 5 section 6), on a port of its own or within a server that is there. */
export interface WebSocketOptions {
  /** A port of its own; 0 lets the system choose. Not with `server`. */
  readonly port?: number
  /** Address to listen on; 127.0.0.1 unless given. */
  readonly host?: string
  readonly tls?: TlsOptions
  /** A server of node:http or node:https whose upgrades are taken at `path`; it is neither started nor closed. */
  readonly server?: UpgradingServer
  /** Path of the endpoint; with `server` `/mqtt` unless given, with `port` any path unless given. */
  readonly path?: string
  /**
   * Proxies that are believed which client they forward (X-Forwarded-For): addresses, subnets or `loopback`. Its address then counts for
   * `connectionsPerAddress` and for the quotas of clients without a user. Off unless given.
   */
  readonly trustProxy?: readonly string[]
  /**
   * Pages that may connect, such as `https://house.example`, beside those of the host that the request names. A client that is no browser
   * sends no Origin and is always let in.
   */
  readonly origins?: readonly string[]
}
