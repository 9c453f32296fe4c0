/** Callbacks for datagrams that arrive on a channel. None may throw. */
export interface DatagramReceiver {
  /** `bytes` belong to the receiver. */
  message(bytes: Uint8Array, address: string, port: number, toMulticast?: boolean): void
  /** The socket reported an error, such as an unreachable peer; lost datagrams need not be reported. */
  error(error: Error): void
}

/** A socket that carries datagrams, such as a UDP socket. */
export interface DatagramChannel {
  readonly localAddress: string
  readonly localPort: number
  /** The underlying socket, for code that knows its type. */
  readonly raw: unknown
  /** Starts delivery to its one receiver. */
  open(receiver: DatagramReceiver): void
  /** Never throws; what cannot be sent is lost. */
  send(bytes: Uint8Array, port: number, address: string): void
  /** Joins a multicast group. @throws Error where the network cannot. */
  join?(group: string): void
  close(): Promise<void>
}

/** Where to bind. */
export interface DatagramAddress {
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
  /** Several sockets share the port: for multicast alone, since unicast goes to one of them. */
  readonly shared?: boolean
  /** True for a protocol whose datagrams any worker of a cluster may handle: they then read from one socket. */
  readonly spread?: boolean
  /** Name of the interface, or one of its addresses, that multicast datagrams leave by and groups are joined on; the system chooses unless given. */
  readonly multicastInterface?: string | undefined
  /** Routers that multicast datagrams may pass, from 1 to 255 (IPv4 TTL, IPv6 hop limit); 1 unless given: they stay in the network. */
  readonly multicastHops?: number | undefined
  /** The only endpoint that the channel exchanges datagrams with: where the system knows that nothing listens there, it says so (ECONNREFUSED). */
  readonly peer?: { readonly address: string; readonly port: number } | undefined
}

/** What makes datagram channels: `node:dgram`, or the virtual network of a test. */
export interface DatagramNetwork {
  /** Rejects when it cannot bind. */
  bind(address: DatagramAddress): Promise<DatagramChannel>
}
