import type { DatagramAddress, DatagramChannel, DatagramReceiver } from '@iopa/transport'
import type { VirtualClock } from './clock.ts'
import { keyOf, type NetworkAddress, resolveHost, systemError } from './network-address.ts'
import { arrivals, delayOf, type NetworkConditions } from './network-conditions.ts'

/** A datagram on its way. */
export interface Packet {
  /** 1 for the first datagram of the network, counted over all channels. */
  readonly number: number
  readonly from: NetworkAddress
  readonly to: NetworkAddress
  /** A copy of what was sent; a script may change it in place. */
  readonly bytes: Uint8Array
  /** When it was sent, in milliseconds of the clock. */
  readonly time: number
}

/**
 * What a script says about a datagram: `drop` it, `pass` it without any fault, or deliver it so many milliseconds from now,
 * one copy for each number. Undefined leaves it to the network's conditions.
 */
export type PacketFate = 'drop' | 'pass' | readonly number[] | undefined

/** Decides about datagrams one by one. */
export type PacketScript = (packet: Packet) => PacketFate

/** Fate of a datagram. `unreachable`: nothing listened when it arrived; `closed`: its sender was closed. */
export interface PacketRecord extends Packet {
  readonly fate: 'underway' | 'delivered' | 'duplicated' | 'lost' | 'too-large' | 'unreachable' | 'closed'
}

/** What the datagrams of a virtual network have in common. */
export interface DatagramWorld {
  readonly clock: VirtualClock
  readonly random: () => number
  readonly conditions: () => NetworkConditions
  readonly script: () => PacketScript | undefined
  readonly traceLength: number
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }

// What an IPv4 datagram can hold: the system itself refuses more.
const LARGEST = 65_507
const FIRST_FREE_PORT = 49_152

interface Socket {
  receiver: DatagramReceiver | undefined
  readonly groups: Set<string>
}

/** Datagrams between the sockets of one process; every delivery is a timer of the clock. */
export class VirtualDatagrams {
  readonly trace: Mutable<PacketRecord>[] = []
  readonly #world: DatagramWorld
  /** Sockets by address and port; more than one where they share the port. */
  readonly #sockets = new Map<string, Socket[]>()
  /** Members of multicast groups, by group and port. */
  readonly #groups = new Map<string, Set<Socket>>()
  #packets = 0
  #freePort = FIRST_FREE_PORT

  constructor(world: DatagramWorld) {
    this.#world = world
  }

  bind({ host, port, shared }: DatagramAddress, machine: string): DatagramChannel {
    const own: NetworkAddress = { address: resolveHost(host, machine), port: port || this.#portFor(resolveHost(host, machine)) }
    const key = keyOf(own.address, own.port)
    const bound = this.#sockets.get(key) ?? []
    if (bound.length > 0 && !shared) throw systemError('EADDRINUSE', 'bind', key)
    const socket: Socket = { receiver: undefined, groups: new Set() }
    this.#sockets.set(key, bound)
    bound.push(socket)
    return {
      localAddress: host,
      localPort: own.port,
      raw: null,
      open: receiver => {
        socket.receiver = receiver
      },
      send: (bytes, toPort, toAddress) => this.#send(bytes, own, { address: resolveHost(toAddress, own.address), port: toPort }, socket, bound),
      join: group => {
        const groupKey = keyOf(group, own.port)
        socket.groups.add(groupKey)
        this.#groups.set(groupKey, (this.#groups.get(groupKey) ?? new Set()).add(socket))
      },
      close: async () => {
        for (const group of socket.groups) this.#groups.get(group)?.delete(socket)
        if (bound.includes(socket)) bound.splice(bound.indexOf(socket), 1)
        if (bound.length === 0 && this.#sockets.get(key) === bound) this.#sockets.delete(key)
      }
    }
  }

  #send(bytes: Uint8Array, from: NetworkAddress, to: NetworkAddress, socket: Socket, bound: readonly Socket[]): void {
    if (!bound.includes(socket)) this.#record(bytes, from, to).fate = 'closed'
    else if (bytes.length > LARGEST) {
      this.#record(bytes, from, to).fate = 'too-large'
      this.#world.clock.setTimeout(() => socket.receiver?.error(systemError('EMSGSIZE', 'send', keyOf(to.address, to.port))), 0)
    } else this.route(bytes, from, to)
  }

  /** Sends a datagram under any name. */
  route(bytes: Uint8Array, from: NetworkAddress, to: NetworkAddress): void {
    const { clock, random, conditions, script } = this.#world
    const record = this.#record(bytes, from, to)
    if (bytes.length > conditions().mtu) {
      record.fate = 'too-large'
      return
    }
    const fate = script()?.(record)
    const delays =
      fate === undefined ? arrivals(conditions(), random) : fate === 'drop' ? [] : fate === 'pass' ? [delayOf(conditions(), random)] : fate
    if (delays.length === 0) record.fate = 'lost'
    for (const delay of delays) clock.setTimeout(() => this.#deliver(record), delay)
  }

  #record(bytes: Uint8Array, from: NetworkAddress, to: NetworkAddress): Mutable<PacketRecord> {
    const record: Mutable<PacketRecord> = { number: ++this.#packets, from, to, bytes: bytes.slice(), time: this.#world.clock.now(), fate: 'underway' }
    this.trace.push(record)
    // In batches: shifting for every packet would move the whole trace each time.
    if (this.trace.length >= 2 * this.#world.traceLength) this.trace.splice(0, this.trace.length - this.#world.traceLength)
    return record
  }

  #deliver(record: Mutable<PacketRecord>): void {
    const key = keyOf(record.to.address, record.to.port)
    const group = this.#groups.get(key)
    const receivers = [...(group ?? this.#sockets.get(key)?.slice(0, 1) ?? [])]
    if (receivers.length === 0 && record.fate === 'underway') record.fate = 'unreachable'
    else if (receivers.length > 0) record.fate = record.fate === 'delivered' || record.fate === 'duplicated' ? 'duplicated' : 'delivered'
    // A copy for each receiver, which may keep the bytes.
    for (const { receiver } of receivers) receiver?.message(record.bytes.slice(), record.from.address, record.from.port, group !== undefined)
  }

  #portFor(address: string): number {
    while (this.#sockets.has(keyOf(address, this.#freePort))) this.#freePort++
    // Ports are not given out again, as a system would not for a while; past the last one it starts over.
    const port = this.#freePort++
    if (this.#freePort > 65_535) this.#freePort = FIRST_FREE_PORT
    return port
  }
}
