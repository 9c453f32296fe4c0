import type { ByteNetwork, Clock, Limits, TlsOptions } from '@iopa/transport'

/** How observation is rendered as server-sent events. */
export interface EventOptions {
  /** Milliseconds that clients wait before they reconnect; sent once at the begin of a stream; default 3,000. */
  readonly retry?: number
  /** Milliseconds after which, at the latest, a silent stream gets a comment that keeps it alive; default 15,000. */
  readonly heartbeat?: number
}

/** HTTP/2 of a listener. */
export interface Http2Options {
  /** Requests and observations that a client may have open at once on one connection; 100 unless given. */
  readonly streams?: number
}

/** What a client of HTTP does beyond what it is asked for. */
export interface HttpClientOptions {
  /** `follow` follows up to 20 redirects, as browsers do; `manual`, the default, makes them the answer. Observations follow none. */
  readonly redirect?: 'follow' | 'manual'
  /** Asks for gzip, br and, where Node has it, zstd, and decodes the answers; false unless given. */
  readonly decompress?: boolean
  /** The URL of an HTTP proxy, or `environment` for HTTP_PROXY, HTTPS_PROXY and NO_PROXY; no proxy unless given. */
  readonly proxy?: string
}

/** Options of `http()`. */
export interface HttpOptions extends EventOptions {
  /** Address to listen on; default `127.0.0.1`. */
  readonly host?: string
  /** Port to listen on; 0 lets the system choose. `listen` needs it, `connect` does not. */
  readonly port?: number
  /** In place of host and port: the path of a UNIX socket. A file that nothing listens on any more is replaced. */
  readonly path?: string
  /** Permissions of the UNIX socket; default 0o600. */
  readonly mode?: number
  /** In place of host and port: the descriptor of a socket that listens already, or `systemd` for the first one that systemd passes on. */
  readonly fd?: number | 'systemd'
  /**
   * Names that the Host header may have, with or without a port; `*.example.com` for every name below, `*` for any.
   * Without them a listener on loopback accepts `localhost`, `127.0.0.1` and `[::1]`, and any other listener every name.
   */
  readonly hosts?: readonly string[]
  /**
   * Addresses or subnets (`10.0.0.0/8`, `loopback`, `unix` for a UNIX socket) of proxies whose `Forwarded`, or without it `X-Forwarded-For`,
   * `-Proto` and `-Host`, are believed; none unless given.
   */
  readonly trustProxy?: readonly string[]
  /**
   * Addresses or subnets (`10.0.0.0/8`, `loopback`) of proxies that must begin each connection with a header of the PROXY protocol, version 1 or 2:
   * the client that it names is the peer. Connections of others are served as they are; none unless given.
   */
  readonly proxyProtocol?: readonly string[]
  /** Serves HTTPS. */
  readonly tls?: TlsOptions
  /**
   * HTTP/2. With `tls` it is offered by ALPN unless false. Without, true or options accept clients that begin with it (prior knowledge,
   * RFC 9113 section 3.3).
   */
  readonly http2?: boolean | Http2Options
  /** Of `connect`. */
  readonly client?: HttpClientOptions
  readonly limits?: Partial<Limits>
  readonly clock?: Clock
  /** What makes connections; `node:net` and `node:tls` unless given. */
  readonly network?: ByteNetwork
}

export const HTTP_OPTIONS: Record<keyof HttpOptions, true> = {
  retry: true,
  heartbeat: true,
  host: true,
  port: true,
  path: true,
  mode: true,
  fd: true,
  hosts: true,
  trustProxy: true,
  proxyProtocol: true,
  tls: true,
  http2: true,
  client: true,
  limits: true,
  clock: true,
  network: true
}

export const HTTP_CLIENT_OPTIONS: Record<keyof HttpClientOptions, true> = { redirect: true, decompress: true, proxy: true }

export const HTTP2_OPTIONS: Record<keyof Http2Options, true> = { streams: true }
