/**
 * For tests of IOPA apps and packages: a transport without a network, a clock and a network that tests move by
 * themselves, and the suites that every transport and every host must pass.
 *
 * @example
 * for (const { name, run } of transportContract({ transport: options => tcp({ port: 0, ...options }), url: ({ url }) => url.href })) {
 *   test(name, run)
 * }
 */

export { conformance } from './conformance/conformance.ts'
export type { ConformanceStatement, ConformanceSubject } from './conformance/statement.ts'
export type { ContractCase } from './contract/case.ts'
export type { StorageSubject } from './contract/storage-contract.ts'
export { storageContract } from './contract/storage-contract.ts'
export type { TransportFeatures, TransportSubject } from './contract/subject.ts'
export { transportContract } from './contract/transport-contract.ts'
export type { MemoryOptions } from './memory-transport.ts'
export { memory } from './memory-transport.ts'
export type { VirtualClock, VirtualClockOptions } from './virtual/clock.ts'
export { virtualClock } from './virtual/clock.ts'
export type { Packet, PacketFate, PacketRecord, PacketScript } from './virtual/datagrams.ts'
export type { MaskedOptions } from './virtual/masked-datagrams.ts'
export { maskedDatagrams } from './virtual/masked-datagrams.ts'
export type { VirtualMachine, VirtualNetwork, VirtualNetworkOptions } from './virtual/network.ts'
export { virtualNetwork } from './virtual/network.ts'
export type { NetworkAddress } from './virtual/network-address.ts'
export type { NetworkConditions } from './virtual/network-conditions.ts'
export { seededRandom } from './virtual/random.ts'
