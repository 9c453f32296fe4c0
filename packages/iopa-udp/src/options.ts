import type { Clock, DatagramNetwork, Limits, OptionCheck, SecuredDatagrams } from '@iopa/transport'

/** Options of `udp()`. */
export interface UdpOptions {
  /** Address to listen on, of IPv4 or IPv6; default `127.0.0.1`. */
  readonly host?: string
  /** Port to listen on; 0 lets the system choose. `listen` needs it, `connect` does not. */
  readonly port?: number
  /** `'bag'`, the default: a JSON object per datagram. `'raw'`: each datagram is a DATA request. */
  readonly framing?: 'bag' | 'raw'
  /** Serves `udps:` in place of `udp:`, and opens clients for it (`dtls()` of @iopa/dtls). */
  readonly dtls?: SecuredDatagrams
  /** Listens off loopback although no middleware authenticates. */
  readonly allowUnauthenticated?: boolean
  readonly limits?: Partial<Limits> | undefined
  readonly clock?: Clock
  /** What makes sockets; `node:dgram` unless given. */
  readonly network?: DatagramNetwork
}

export const UDP_OPTIONS: Record<keyof UdpOptions, OptionCheck> = {
  host: true,
  port: true,
  framing: true,
  dtls: 'dtls',
  allowUnauthenticated: true,
  limits: true,
  clock: true,
  network: true
}
