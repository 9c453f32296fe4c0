import dgram from 'node:dgram'
import {
  CAPABILITIES,
  type Channel,
  type Clock,
  type ConnectOptions,
  type DatagramNetwork,
  datagramNetwork,
  type Host,
  IopaError,
  type Limits,
  type Listener,
  systemClock,
  type Transport
} from '@iopa/appbuilder'
import { szxFor } from './block.ts'
import { connectDatagrams } from './datagram-client.ts'
import { listenDatagrams } from './datagram-listener.ts'
import { type TransmissionParameters, transmission } from './parameters.ts'
import { ResourceServer } from './resource-server.ts'

const DEFAULT_PORT = 5683
const GROUPS_IPV4 = ['224.0.1.187']
const GROUPS_IPV6 = ['ff02::fd', 'ff05::fd']

/** Options of `coap()`. */
export interface CoapOptions {
  /** Address to listen on; 127.0.0.1 unless given. */
  readonly host?: string
  /** Port to listen on; 5683 unless given, 0 lets the system choose. */
  readonly port?: number
  /** Serves off loopback although no middleware provides `server.User`. */
  readonly open?: boolean
  readonly limits?: Partial<Limits>
  /** Timing of datagrams (RFC 7252 section 4.8). */
  readonly transmission?: TransmissionParameters
  /** Largest block, in bytes: a power of two from 16 to 1024, which is the default. */
  readonly blockSize?: number
  /** Whether requests of a client are confirmable unless they say otherwise with `coap.Confirmable`; true unless given. */
  readonly confirmable?: boolean
  /**
   * How many times the bytes of its request an answer may have while the peer has not shown that it receives at its address; 3 unless given (or true), false for any.
   * Peers on loopback and on connections need not show it.
   */
  readonly amplification?: number | boolean
  /** Answers requests to the CoAP groups (224.0.1.187; ff02::fd and ff05::fd), or to these groups. */
  readonly multicast?: boolean | readonly string[]
  readonly clock?: Clock
  /** The network to bind on, in place of node:dgram. */
  readonly channel?: DatagramNetwork
}

/** CoAP for an app: a server over UDP, and clients. */
export const coap = (options: CoapOptions = {}): Transport => {
  const network = options.channel ?? datagramNetwork(dgram)
  const parameters = transmission(options.transmission)
  const { blockSize = 1024, amplification = 3 } = options
  if (szxFor(blockSize) < 0 || 16 << szxFor(blockSize) !== blockSize)
    throw new IopaError(500, 'bad-block-size', `blockSize is a power of two from 16 to 1024, not ${blockSize}.`)

  const listen = async (host: Host): Promise<Listener> => {
    const own = host.withLimits(options.limits)
    const address = options.host ?? '127.0.0.1'
    const clock = options.clock ?? host.clock
    own.assertProtected(address, options.open)
    const groups = options.multicast === true ? (address.includes(':') ? GROUPS_IPV6 : GROUPS_IPV4) : options.multicast || []
    return listenDatagrams({
      host: own,
      clock,
      network,
      address,
      port: options.port ?? DEFAULT_PORT,
      groups,
      transmission: parameters,
      server: introduce =>
        new ResourceServer(own, clock, {
          szx: szxFor(blockSize),
          amplification: typeof amplification === 'number' ? amplification : amplification ? 3 : Number.POSITIVE_INFINITY,
          leisure: parameters.leisure,
          lifetime: parameters.exchangeLifetime,
          introduce
        })
    })
  }

  const connect = async (url: URL, connecting: ConnectOptions = {}): Promise<Channel> =>
    connectDatagrams({
      url,
      options: connecting,
      clock: connecting.clock ?? options.clock ?? systemClock,
      network,
      transmission: parameters,
      szx: szxFor(blockSize),
      confirmable: options.confirmable ?? true
    })

  return {
    name: 'coap',
    schemes: ['coap', 'coap+tcp', 'coaps+tcp'],
    capabilities: { [CAPABILITIES.Coap]: { version: '5.0.0', observe: true } },
    listen,
    connect
  }
}
