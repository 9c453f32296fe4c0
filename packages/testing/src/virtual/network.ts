import type { ByteNetwork, DatagramNetwork } from '@iopa/transport'
import type { VirtualClock } from './clock.ts'
import { type PacketRecord, type PacketScript, VirtualDatagrams } from './datagrams.ts'
import type { NetworkAddress } from './network-address.ts'
import { CLEAR, type NetworkConditions } from './network-conditions.ts'
import { seededRandom } from './random.ts'
import { VirtualStreams } from './streams.ts'

/** One machine on a virtual network, as transports take it for their `network` option. */
export interface VirtualMachine extends DatagramNetwork, ByteNetwork {
  /** What its sockets that are bound to every address are reached at. */
  readonly address: string
}

/** A network inside one process, with the faults of a real one, the same for the same seed. The network object is also the machine 127.0.0.1. */
export interface VirtualNetwork extends VirtualMachine {
  /** Chances, times and sizes; change them while the network runs, and what is underway arrives as it was to. */
  conditions: NetworkConditions
  /** Asked about every datagram before the conditions are. */
  script: PacketScript | undefined
  /** The latest datagrams, oldest first. */
  readonly trace: readonly PacketRecord[]
  /** Another machine. */
  machine(address: string): VirtualMachine
  /** Breaks every connection: both sides see a reset. */
  disconnect(): void
  /** Sends a datagram with any source address, even from port 0. */
  inject(bytes: Uint8Array, from: NetworkAddress, to: NetworkAddress): void
}

/** How a virtual network begins. */
export interface VirtualNetworkOptions extends Partial<NetworkConditions> {
  readonly clock: VirtualClock
  /** The same seed gives the same faults; 1 by default. */
  readonly seed?: number
  readonly script?: PacketScript
  /** Datagrams that the trace holds at least; 10,000 by default. */
  readonly traceLength?: number
}

/** Makes a network of datagrams and streams on a clock: nothing moves on it until the clock does. */
export function virtualNetwork(options: VirtualNetworkOptions): VirtualNetwork {
  const { clock, seed = 1, script, traceLength = 10_000, ...conditions } = options
  const world = { clock, random: seededRandom(seed), conditions: () => network.conditions, script: () => network.script, traceLength }
  const datagrams = new VirtualDatagrams(world)
  const streams = new VirtualStreams(world)
  const machine = (address: string): VirtualMachine => ({
    address,
    bind: async where => datagrams.bind(where, address),
    listen: async (where, accept) => streams.listen(where, accept, address),
    connect: (where, signal) => streams.connect(where, address, signal)
  })
  const network: VirtualNetwork = {
    ...machine('127.0.0.1'),
    conditions: { ...CLEAR, ...conditions },
    script,
    trace: datagrams.trace,
    machine,
    disconnect: () => streams.disconnect(),
    inject: (bytes, from, to) => datagrams.route(bytes, from, to)
  }
  return network
}
