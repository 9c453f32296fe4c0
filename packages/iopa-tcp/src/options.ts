import type { ByteNetwork, Clock, Limits, TlsOptions } from '@iopa/transport'
import type { FramingOption } from './framing-option.ts'

/** Options of `tcp()`. */
export interface TcpOptions {
  /** Address to listen on; default `127.0.0.1`. */
  readonly host?: string
  /** Port to listen on; 0 lets the system choose. `listen` needs it, `connect` does not. */
  readonly port?: number
  /** How messages lie in the stream; default `'bag'`. */
  readonly framing?: FramingOption
  /** Serves TLS: the listener's URL is then a `tcps:` one. */
  readonly tls?: TlsOptions
  /**
   * Addresses or subnets (`10.0.0.0/8`, `loopback`) of proxies that must begin each connection with a header of the PROXY protocol, version 1 or 2:
   * the client that it names is the peer. Connections of others are served as they are; none unless given.
   */
  readonly proxyProtocol?: readonly string[]
  /** Listens off loopback although no middleware authenticates. */
  readonly allowUnauthenticated?: boolean
  readonly limits?: Partial<Limits> | undefined
  readonly clock?: Clock
  /** What makes connections; `node:net` and `node:tls` unless given. */
  readonly network?: ByteNetwork
}

export const TCP_OPTIONS: Record<keyof TcpOptions, true> = {
  host: true,
  port: true,
  framing: true,
  tls: true,
  proxyProtocol: true,
  allowUnauthenticated: true,
  limits: true,
  clock: true,
  network: true
}
