import {
  type ByteNetwork,
  type Clock,
  checkOptions,
  checkTlsOptions,
  type DatagramNetwork,
  type Limits,
  type MessageProtection,
  type OptionCheck,
  optionError,
  type SecuredDatagrams,
  type TlsOptions
} from '@iopa/transport'
import { datagramNetwork, socketNetwork } from '@iopa/transport/node'
import { szxFor } from './codec/block.ts'
import { type ExtensionOptions, type Extensions, extensionsOf } from './codec/extensions.ts'
import { isMulticast } from './messages/addresses.ts'
import { type Transmission, type TransmissionParameters, transmission } from './messages/parameters.ts'

const DEFAULT_PORT = 5683
const DEFAULT_TLS_PORT = 5684

/** Options of multicast. */
export interface MulticastOptions {
  /** The groups that the server joins; none where it is false. The CoAP groups unless given. */
  readonly groups?: boolean | readonly string[]
  /** Name of the interface, or one of its addresses, that groups are joined on and that requests to groups leave by; the system chooses unless given. */
  readonly interface?: string
  /** Networks in which requests to groups go, from 1 to 255: each router on the way takes one off. 1 unless given: they stay in the network of the interface. */
  readonly hops?: number
}

/** Options of `coap()`. */
export interface CoapOptions extends ExtensionOptions {
  /** Address to listen on; 127.0.0.1 unless given. */
  readonly host?: string
  /** Port to listen on; 5683 unless given, 5684 where DTLS alone is served; 0 lets the system choose. */
  readonly port?: number
  /** Serves `coap:` over UDP; true unless given, or `dtls` is. */
  readonly udp?: boolean
  /** Serves `coap+tcp:` on the same port number. */
  readonly tcp?: boolean
  /** Serves `coaps+tcp:` with a certificate or with pre-shared keys, on port 5684 or `port`. */
  readonly tls?: TlsOptions & { readonly port?: number }
  /**
   * Serves `coaps:` (`dtls()` of @iopa/dtls), on port 5684 or `port`, and opens clients for it. Plain UDP is off then unless `udp` is true; with it DTLS
   * has the port after `port`.
   */
  readonly dtls?: SecuredDatagrams
  /**
   * Addresses or subnets (`10.0.0.0/8`, `loopback`) of proxies that must begin each connection over TCP or TLS with a header of the PROXY protocol, version 1 or 2:
   * the client that it names is the peer. Connections of others are served as they are; none unless given.
   */
  readonly proxyProtocol?: readonly string[]
  /** Serves off loopback although no middleware provides `server.User`. */
  readonly allowUnauthenticated?: boolean
  readonly limits?: Partial<Limits> | undefined
  /** Timing of datagrams (RFC 7252 section 4.8). */
  readonly transmission?: TransmissionParameters
  /** Largest block, in bytes: a power of two from 16 to 1024, which is the default. */
  readonly blockSize?: number
  /**
   * Most bytes of a body in blocks that is complete before its handler runs; 16,384 unless given. The handler of a larger one runs with the first block, and
   * reads the body while it arrives: 0 does so with every body in blocks, Infinity with none.
   */
  readonly collectUpTo?: number
  /** Whether requests of a client are confirmable unless they say otherwise with `coap.Confirmable`; true unless given. */
  readonly confirmable?: boolean
  /**
   * How many times the bytes of its request an answer may have while the peer has not shown that it receives at its address; 3 unless given (or true), false for any.
   * Peers on loopback and on connections need not show it.
   */
  readonly amplification?: number | boolean
  /** Protects messages from end to end, such as `oscore()` of `@iopa/oscore`, in both roles and over every scheme. */
  readonly protect?: MessageProtection
  /** Answers requests to the CoAP groups (224.0.1.187; ff02::fd and ff05::fd), or to these groups, over plain UDP; also the interface of multicast, for clients too. */
  readonly multicast?: boolean | readonly string[] | MulticastOptions
  /** What groups answer: everything, or `discovery`, requests for /.well-known/core; that alone beside `dtls`, unless given. */
  readonly multicastServes?: 'everything' | 'discovery'
  /** While a client observes, it pings the server so many milliseconds after the last ping was answered, so that a NAT keeps the path; at least 1,000, never unless given. */
  readonly keepAlive?: number
  readonly clock?: Clock
  /** The network to bind and to connect on, in place of node:dgram, node:net and node:tls. */
  readonly network?: DatagramNetwork & Partial<ByteNetwork>
}

const OPTIONS: Record<keyof CoapOptions, OptionCheck> = {
  host: 'text',
  port: true,
  udp: 'flag',
  tcp: 'flag',
  tls: true,
  dtls: 'dtls',
  proxyProtocol: true,
  allowUnauthenticated: 'flag',
  limits: true,
  transmission: true,
  blockSize: true,
  collectUpTo: true,
  confirmable: 'flag',
  amplification: true,
  multicast: true,
  protect: 'protection',
  codes: true,
  criticalOptions: true,
  tokenLength: true,
  multicastServes: true,
  keepAlive: true,
  clock: true,
  network: true
}

/** The options of one `coap()`, checked and with their defaults: what its listeners and clients have in common. */
export interface CoapSettings {
  readonly host: string
  readonly port: number
  readonly udp: boolean
  readonly tcp: boolean
  readonly tls: TlsOptions | undefined
  readonly dtlsPort: number
  readonly tlsPort: number
  readonly dtls: SecuredDatagrams | undefined
  readonly protect: MessageProtection | undefined
  readonly proxyProtocol: readonly string[] | undefined
  readonly allowUnauthenticated: boolean | undefined
  readonly limits: Partial<Limits> | undefined
  readonly clock: Clock | undefined
  readonly network: DatagramNetwork
  readonly streams: ByteNetwork
  readonly transmission: Transmission
  /** Size exponent of the largest block on datagrams. */
  readonly szx: number
  /** Most bytes of a body in blocks that is collected before its request runs. */
  readonly collected: number
  /** Whether requests are confirmable that do not say. */
  readonly confirmable: boolean
  /** How many times the bytes of its request a response to an unverified peer may have; Infinity for any. */
  readonly amplification: number
  /** What the app takes beyond the messages that this package knows. */
  readonly extensions: Extensions
  /** The groups that plain UDP joins; those of CoAP where it is true. */
  readonly groups: boolean | readonly string[]
  /** The interface of multicast; the system chooses unless given. */
  readonly multicastInterface: string | undefined
  /** Networks in which requests to groups go; that of the system unless given. */
  readonly multicastHops: number | undefined
  /** True where a multicast request gets a response for /.well-known/core alone. */
  readonly discoveryOnly: boolean
  /** Milliseconds between pings of a client while it observes; undefined for none. */
  readonly keepAlive: number | undefined
}

/** Checks the options of `coap()`, which `caller` is. @throws IopaError 500 for one that does not exist or cannot be used. */
export const settingsOf = (options: CoapOptions, caller: unknown): CoapSettings => {
  checkOptions('coap()', options, OPTIONS, caller)
  checkTlsOptions('coap()', options.tls, caller, { port: true })
  const { dtls, udp = dtls === undefined, tcp = false, blockSize = 1024, collectUpTo = 16_384, amplification = 3 } = options
  const { keepAlive, multicastServes = dtls === undefined ? 'everything' : 'discovery' } = options
  const { groups, interface: multicastInterface, hops: multicastHops } = multicastOf(options.multicast, caller)
  const szx = szxFor(blockSize)
  if (keepAlive !== undefined && (!Number.isFinite(keepAlive) || keepAlive < 1000))
    throw optionError(`keepAlive is a number of milliseconds from 1000, not ${String(keepAlive)}.`)
  if (szx < 0 || 16 << szx !== blockSize) throw optionError(`blockSize is a power of two from 16 to 1024, not ${blockSize}.`)
  if (multicastServes !== 'everything' && multicastServes !== 'discovery')
    throw optionError("multicastServes of coap() is 'everything' or 'discovery'.")
  if (!udp && groups !== false) throw optionError('A group is reached by plain UDP alone: say udp: true in coap(), or leave multicast out.')
  if (!(collectUpTo >= 0)) throw optionError(`collectUpTo is a number of bytes, at least 0, not ${collectUpTo}.`)
  if (options.proxyProtocol !== undefined && !tcp && options.tls === undefined)
    throw optionError('The PROXY protocol begins a connection: say tcp: true or tls in coap(), or leave proxyProtocol out.')
  const plain = udp || tcp
  const { port = plain || dtls === undefined ? DEFAULT_PORT : DEFAULT_TLS_PORT } = options
  const { port: tlsPort = port === 0 ? 0 : DEFAULT_TLS_PORT, ...tls } = options.tls ?? {}
  return Object.freeze({
    host: options.host ?? '127.0.0.1',
    port,
    udp,
    tcp,
    tls: options.tls === undefined ? undefined : tls,
    dtls,
    dtlsPort: port === 0 || !plain ? port : port + 1,
    tlsPort,
    proxyProtocol: options.proxyProtocol,
    allowUnauthenticated: options.allowUnauthenticated,
    limits: options.limits,
    protect: options.protect,
    clock: options.clock,
    network: options.network ?? datagramNetwork(),
    streams: streamsOf(options.network) ?? socketNetwork(),
    transmission: transmission(options.transmission),
    szx,
    collected: collectUpTo,
    confirmable: options.confirmable ?? true,
    amplification: typeof amplification === 'number' ? amplification : amplification ? 3 : Number.POSITIVE_INFINITY,
    extensions: extensionsOf(options),
    groups,
    multicastInterface,
    multicastHops,
    discoveryOnly: multicastServes === 'discovery',
    keepAlive
  })
}

/** The groups of the server, and the interface of multicast. @throws IopaError 500 for what is no multicast address. */
const multicastOf = (given: CoapOptions['multicast'], caller: unknown): Required<Pick<MulticastOptions, 'groups'>> & MulticastOptions => {
  const options: MulticastOptions =
    typeof given === 'object' && 'length' in given ? { groups: given } : typeof given === 'object' ? given : { groups: given ?? false }
  checkOptions('multicast of coap()', options, { groups: true, interface: 'text', hops: true }, caller)
  const { groups = true, hops = 1 } = options
  if (!Number.isInteger(hops) || hops < 1 || hops > 255)
    throw optionError(`'hops' of multicast is a whole number from 1 to 255, not ${String(hops)}.`)
  for (const group of typeof groups === 'boolean' ? [] : groups)
    if (!isMulticast(group)) throw optionError(`'${group}' is no address of a multicast group, such as 224.0.1.187.`)
  return { ...options, groups }
}

const streamsOf = (network: Partial<ByteNetwork> | undefined): ByteNetwork | undefined =>
  network?.listen === undefined || network.connect === undefined ? undefined : { listen: network.listen, connect: network.connect }
