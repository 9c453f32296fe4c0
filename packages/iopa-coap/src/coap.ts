import cluster from 'node:cluster'
import { getHeapStatistics } from 'node:v8'
import {
  type ByteNetwork,
  bodyBudget,
  CAPABILITIES,
  type Clock,
  checkOptions,
  checkTlsOptions,
  countersOf,
  type DatagramNetwork,
  type Host,
  IopaError,
  type Limits,
  type Link,
  type Listener,
  type Logger,
  type MessageProtection,
  markFactory,
  type OpenOptions,
  type OptionCheck,
  optionError,
  type RequestProtection,
  type SecuredDatagrams,
  type TlsOptions,
  type Transport
} from '@iopa/transport'
import { datagramNetwork, socketNetwork } from '@iopa/transport/node'
import { type LinkProtection, tokensOf } from './client/client-protection.ts'
import { type DatagramClientInit, openDatagrams } from './client/datagram-client.ts'
import { openSecured } from './client/secured-client.ts'
import { openStreams } from './client/stream-client.ts'
import { szxFor } from './codec/block.ts'
import { type ExtensionOptions, extensionsOf } from './codec/extensions.ts'
import { COAP_KEYS } from './keys.ts'
import { listenDatagrams } from './listeners/datagram-listener.ts'
import { listenSecured } from './listeners/secured-listener.ts'
import type { ServerSettings } from './listeners/server.ts'
import { listenStreams } from './listeners/stream-listener.ts'
import { addressOf, isMulticast } from './messages/addresses.ts'
import { type TransmissionParameters, transmission } from './messages/parameters.ts'
import { ProtectedRequester } from './protection/protected-requester.ts'
import { useProtection } from './protection/shared-protection.ts'
import { serveDatagrams, serveStream } from './served/serving.ts'

const DEFAULT_PORT = 5683
const DEFAULT_TLS_PORT = 5684
const GROUPS_IPV4 = ['224.0.1.187']
const GROUPS_IPV6 = ['ff02::fd', 'ff05::fd']

/** Options of multicast. */
export interface MulticastOptions {
  /** The groups that the server joins; none where it is false. The CoAP groups unless given. */
  readonly groups?: boolean | readonly string[]
  /** Name of the interface, or one of its addresses, that groups are joined on and that requests to groups leave by; the system chooses unless given. */
  readonly interface?: string
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
  host: true,
  port: true,
  udp: 'flag',
  tcp: 'flag',
  tls: true,
  dtls: 'dtls',
  allowUnauthenticated: 'flag',
  limits: true,
  transmission: true,
  blockSize: true,
  collectUpTo: true,
  confirmable: true,
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

/** A listener of CoAP, which may serve several schemes. */
export interface CoapListener extends Listener {
  /** Where each of them is served: `coap:`, `coap+tcp:`, `coaps:`, `coaps+tcp:`, as far as they are. */
  readonly urls: readonly URL[]
}

/** CoAP for an app: a server over UDP, DTLS, TCP and TLS, and clients. */
export const coap = (options: CoapOptions = {}): Transport => {
  checkOptions('coap()', options, OPTIONS, coap)
  checkTlsOptions('coap()', options.tls, coap, { port: true })
  const network = options.network ?? datagramNetwork()
  const streams = streamsOf(options.network) ?? socketNetwork()
  const parameters = transmission(options.transmission)
  const { blockSize = 1024, amplification = 3, collectUpTo = 16_384, protect } = options
  const { dtls, udp = dtls === undefined, tcp = false, multicastServes } = options
  const extensions = extensionsOf(options)
  const multicast = multicastOf(options.multicast)
  const { keepAlive } = options
  if (keepAlive !== undefined && (!Number.isFinite(keepAlive) || keepAlive < 1000))
    throw optionError(`keepAlive is a number of milliseconds from 1000, not ${String(keepAlive)}.`)
  if (szxFor(blockSize) < 0 || 16 << szxFor(blockSize) !== blockSize)
    throw optionError(`blockSize is a power of two from 16 to 1024, not ${blockSize}.`)
  if (multicastServes !== undefined && multicastServes !== 'everything' && multicastServes !== 'discovery')
    throw optionError("multicastServes of coap() is 'everything' or 'discovery'.")
  if (!udp && multicast.groups !== false) throw optionError('A group is reached by plain UDP alone: say udp: true in coap(), or leave multicast out.')

  if (!(collectUpTo >= 0)) throw optionError(`collectUpTo is a number of bytes, at least 0, not ${collectUpTo}.`)

  const listen = async (host: Host): Promise<CoapListener> => {
    const own = host.withLimits(options.limits)
    const counters = countersOf(own, 'coap')
    const address = await addressOf(options.host ?? '127.0.0.1')
    const clock = options.clock ?? host.clock
    if (protect?.exclusive !== true && (udp || tcp || options.tls !== undefined || dtls?.exclusive !== true))
      own.assertProtected(address, options.allowUnauthenticated)
    const use = protect === undefined ? undefined : await useProtection(protect, { clock, limits: own.limits, logger: own.logger })
    const factor = typeof amplification === 'number' ? amplification : amplification ? 3 : Number.POSITIVE_INFINITY
    const settings: ServerSettings = {
      host: own,
      clock,
      counters,
      szx: szxFor(blockSize),
      amplification: factor,
      leisure: parameters.leisure,
      discoveryOnly: (multicastServes ?? (dtls === undefined ? 'everything' : 'discovery')) === 'discovery',
      lifetime: parameters.exchangeLifetime,
      extensions,
      collected: collectUpTo,
      protection: use === undefined ? undefined : { name: protect!.name, option: protect!.option, active: use.active }
    }
    const listeners: Listener[] = []
    const { port = udp || tcp || dtls === undefined ? DEFAULT_PORT : DEFAULT_TLS_PORT, confirmable = true } = options
    const groups = multicast.groups === true ? (address.includes(':') ? GROUPS_IPV6 : GROUPS_IPV4) : multicast.groups || []
    const multicastInterface = multicast.interface
    try {
      if (udp)
        listeners.push(await listenDatagrams({ settings, network, address, port, groups, multicastInterface, transmission: parameters, confirmable }))
      if (tcp) {
        const open = (at: number): Promise<Listener> => listenStreams({ settings, network: streams, address, port: at, tls: undefined })
        const chosen = port === 0 && listeners[0] !== undefined ? Number(listeners[0].url.port) : port
        // The port that the system has chosen for UDP may be taken in TCP.
        listeners.push(await open(chosen).catch((error: unknown) => (port === 0 && chosen !== 0 ? open(0) : Promise.reject(error))))
      }
      if (dtls !== undefined) {
        const at = port === 0 || !(udp || tcp) ? port : port + 1
        listeners.push(await listenSecured({ settings, network, dtls, address, port: at, transmission: parameters }))
      }
      if (options.tls !== undefined) {
        const { port: tlsPort = port === 0 ? 0 : DEFAULT_TLS_PORT, ...tls } = options.tls
        listeners.push(await listenStreams({ settings, network: streams, address, port: tlsPort, tls }))
      }
    } catch (error) {
      await Promise.all(listeners.map(listener => listener.close({ timeout: 0 })))
      await use?.release()
      throw error
    }
    return joined(listeners, () => use?.release())
  }

  const openLink = async (url: URL, opening: OpenOptions): Promise<Link> => {
    const { confirmable = true, allowUnauthenticated } = options
    const serving = { szx: szxFor(blockSize), transmission: parameters, allowUnauthenticated, extensions, collected: collectUpTo }
    const protection = protect === undefined ? undefined : await linkProtection(protect, url, opening)
    try {
      if (url.protocol !== 'coap:' && url.protocol !== 'coaps:')
        return await openStreams(url, streams, opening, { extensions, keepAlive, serve: serveStream(serving), protection })
      const init: DatagramClientInit = {
        url,
        options: opening,
        network,
        transmission: parameters,
        szx: szxFor(blockSize),
        confirmable,
        protection,
        extensions,
        multicastInterface: multicast.interface,
        keepAlive,
        serve: serveDatagrams(serving)
      }
      return await (url.protocol === 'coap:' ? openDatagrams(init) : openSecured({ ...init, dtls }))
    } catch (error) {
      await protection?.release()
      throw error
    }
  }

  return {
    name: 'coap',
    schemes: ['coap', 'coaps', 'coap+tcp', 'coaps+tcp'],
    clustered: cluster.isWorker,
    bodies: limit => bodyBudget(limit, getHeapStatistics().heap_size_limit),
    keys: COAP_KEYS,
    capabilities: { [CAPABILITIES.Coap]: { version: '5.0.0', observe: true, linkLists: true, blockWise: true, maxPayload: blockSize } },
    listen,
    observable: ['FETCH'],
    serves: true,
    open: openLink
  }
}

/** The groups of the server, and the interface of multicast. @throws IopaError 500 for what is no multicast address. */
const multicastOf = (given: CoapOptions['multicast'] = false): Required<Pick<MulticastOptions, 'groups'>> & MulticastOptions => {
  const options: MulticastOptions =
    typeof given === 'object' && 'length' in given ? { groups: given } : typeof given === 'object' ? given : { groups: given }
  checkOptions('multicast of coap()', options, { groups: true, interface: 'text' }, coap)
  const { groups = true } = options
  for (const group of typeof groups === 'boolean' ? [] : groups)
    if (!isMulticast(group)) throw optionError(`'${group}' is no address of a multicast group, such as 224.0.1.187.`)
  return { ...options, groups }
}

const streamsOf = (network: Partial<ByteNetwork> | undefined): ByteNetwork | undefined =>
  network?.listen === undefined || network.connect === undefined ? undefined : { listen: network.listen, connect: network.connect }

const NO_LOG: Logger = { error() {}, warn() {}, info() {}, debug() {} }

/** How requests to the server of a URL are protected; undefined where they are not. */
const linkProtection = async (protect: MessageProtection, url: URL, { clock, limits }: OpenOptions): Promise<LinkProtection | undefined> => {
  const use = await useProtection(protect, { clock, limits, logger: NO_LOG })
  let protection: RequestProtection | undefined
  try {
    protection = use.active.requests(url)
  } finally {
    if (protection === undefined) await use.release()
  }
  if (protection === undefined) return undefined
  const { option } = protect
  return {
    tokens: tokensOf(protection),
    over: requester => new ProtectedRequester({ requester, protection, option, clock, timeout: limits.requestTimeout }),
    release: use.release
  }
}

/** Several listeners as one, whose URL is that of the first; `closed` is called when all of them have closed. */
const joined = (listeners: readonly Listener[], closed: () => Promise<void> | undefined): CoapListener => {
  const first = listeners[0]
  if (first === undefined) throw new IopaError(500, 'nothing-to-serve', 'coap() serves nothing: leave udp on, or set tcp, tls or dtls.')
  const secure = listeners.find(({ reload }) => reload !== undefined)
  return {
    url: first.url,
    urls: listeners.map(({ url }) => url),
    close: async closing => {
      await Promise.all(listeners.map(listener => listener.close(closing)))
      await closed()
    },
    ...(secure === undefined ? undefined : { reload: (tls: TlsOptions) => secure.reload!(tls) })
  }
}

markFactory('coap', coap)
