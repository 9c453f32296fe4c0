/**
 * For tests of IOPA apps and packages: a transport without a network, a clock and a network that tests move by
 * themselves, and the suites that every transport and every host must pass.
 *
 * @example
 * for (const { name, run } of transportContract({ transport: options => tcp({ port: 0, ...options }), url: ({ url }) => url.href })) {
 *   test(name, run)
 * }
 */

export type { ConformanceStatement, ConformanceSubject } from './conformance.ts'
export { conformance } from './conformance.ts'
export type { ContractCase } from './contract-case.ts'
export type { MemoryOptions } from './memory-transport.ts'
export { memory } from './memory-transport.ts'
export type { NetworkAddress } from './network-address.ts'
export type { NetworkConditions } from './network-conditions.ts'
export { seededRandom } from './random.ts'
export type { TransportFeatures, TransportSubject } from './transport-contract.ts'
export { transportContract } from './transport-contract.ts'
export type { VirtualClock, VirtualClockOptions } from './virtual-clock.ts'
export { virtualClock } from './virtual-clock.ts'
export type { Packet, PacketFate, PacketRecord, PacketScript } from './virtual-datagrams.ts'
export type { VirtualMachine, VirtualNetwork, VirtualNetworkOptions } from './virtual-network.ts'
export { virtualNetwork } from './virtual-network.ts'
