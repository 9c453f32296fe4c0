import { addressGroup, isLoopback, type SecuredPeer } from '@iopa/transport'
import type { AnswerRingBudget } from './answer-ring.ts'
import type { MessageLimits } from './parameters.ts'
import { Peer, type PeerHome, type PeerKeeper } from './peer.ts'
import { PeerList } from './peer-list.ts'

/** How often peers are looked through, in seconds. */
const EXPIRE_EVERY = 8
/** How many peers that were heard lately are spared when room is needed for another one. */
const LOOK_AT = 64
/** Confirmable messages that all peers of one address may be sent on trust: beyond what they have sent, before any of them has acknowledged one. */
const TRUST = 16

/** Bytes of the ids of one peer: all 65,536 that there are, and what any peer may have. */
const HANDLED_BYTES = 2 * 1024 * 1024
const HANDLED_SHARE = 32 * 1024

/** The peers of one address, by port. */
interface PeerAddress {
  readonly peers: Map<number, Peer>
  readonly home: PeerHome
}

/** A network of IPv6, and those of its addresses that have peers. */
interface PeerNetwork {
  readonly home: PeerHome
  readonly addresses: Map<string, PeerAddress>
}

/** Bounds of a peer table. */
export interface PeerTableInit {
  readonly limit: number
  /** Peers of one address, in IPv6 of one network of 64 bits; loopback is not counted. */
  readonly perAddress: number | undefined
  readonly budget: AnswerRingBudget
  readonly handledBudget: AnswerRingBudget
  /** Bytes that a peer may be sent before it was heard: 0, or Infinity where all are trusted. */
  readonly credit: number
  /** Gives up what waits for the acknowledgement of a peer that is forgotten. */
  readonly abandon: (peer: Peer) => void
}

/**
 * The peers that are remembered, bounded. When room is needed, a peer that has never acknowledged anything goes first, then one that was silent for long;
 * busy ones stay. Each peer is in one of three lists, so that room is found without looking through those that cannot make it.
 */
export class PeerTable implements PeerKeeper {
  readonly #init: PeerTableInit
  readonly #addresses = new Map<string, PeerAddress>()
  /** Those of IPv6. */
  readonly #networks = new Map<string, PeerNetwork>()
  /** In the order in which room is made. One that has become busy moves to the others when its turn comes. */
  readonly #idle = new PeerList('idle')
  readonly #busy = new PeerList('busy')
  readonly #silent = new PeerList('silent')
  #size = 0
  #expireAt = EXPIRE_EVERY

  constructor(init: PeerTableInit) {
    this.#init = init
  }

  /** The table of a message layer with these limits. */
  static within(limits: MessageLimits, amplification: number, abandon: (peer: Peer) => void): PeerTable {
    const { duplicatePeerBytes: peerBytes, duplicateShare: share = peerBytes, duplicateBytes: bytes } = limits
    return new PeerTable({
      limit: limits.peers,
      perAddress: limits.peersPerAddress,
      budget: { peerBytes, share, bytes, used: 0 },
      handledBudget: { peerBytes: HANDLED_BYTES, share: HANDLED_SHARE, bytes: bytes / 2, used: 0 },
      credit: amplification === Number.POSITIVE_INFINITY ? amplification : 0,
      abandon
    })
  }

  get size(): number {
    return this.#size
  }

  *[Symbol.iterator](): Generator<Peer> {
    yield* this.#idle
    yield* this.#busy
    yield* this.#silent
  }

  find(address: string, port: number): Peer | undefined {
    return this.#addresses.get(address)?.peers.get(port)
  }

  /** Remembers a peer from now on, in seconds; undefined when there is no room for it. */
  add(address: string, port: number, now: number): Peer | undefined {
    const { limit, perAddress = limit, budget, handledBudget, credit } = this.#init
    if (this.#sizeAt(address) >= perAddress && !isLoopback(address) && !this.#makeRoomAt(address)) return undefined
    if (this.#size >= limit && !this.#makeRoom()) return undefined
    const { home, peers } = this.#addresses.get(address) ?? this.#settle(address)
    const peer = new Peer({ address, port, now, keeper: this, home, budget, handledBudget, credit })
    this.#idle.append(peer)
    this.#size++
    home.size++
    peers.set(port, peer)
    return peer
  }

  /** The peer that an association is: it stays until `dissociate`, in seconds. Associations are bounded where they are made. */
  associate(association: SecuredPeer, now: number): Peer {
    const { budget, handledBudget } = this.#init
    const { address, port } = association.proven
    // It shares nothing with others of its address.
    const home: PeerHome = { size: 1, load: 0, trust: 0 }
    const peer = new Peer({ address, port, now, keeper: this, home, budget, handledBudget, credit: 0, association })
    peer.verified = true
    peer.pin()
    this.#busy.append(peer)
    this.#size++
    return peer
  }

  /** Forgets the peer of an association that has ended. */
  dissociate(peer: Peer): void {
    this.#forget(peer)
  }

  /** Something that kept a peer has ended: it may be forgotten again, unless something else keeps it. */
  rest(peer: Peer): void {
    const { list } = peer
    if (list === 'none' || list === 'idle') return
    if (!peer.busy) this.#move(peer, this.#idle)
    else if (peer.silent && peer.inFlight === 0 && list === 'busy') this.#move(peer, this.#silent)
  }

  /** A peer has let a message be repeated, and has never acknowledged one. */
  suspect(peer: Peer): void {
    peer.silent = true
    if (peer.list !== 'none' && peer.list !== 'silent' && peer.inFlight === 0) this.#move(peer, this.#silent)
  }

  /** A peer has acknowledged something. */
  trust(peer: Peer): void {
    peer.silent = false
    if (peer.list === 'silent') this.#move(peer, this.#busy)
  }

  /** Called now and then: forgets peers that were silent for the life of an exchange, which have nothing left that a duplicate could ask for. In seconds. */
  step(now: number, lifetime: number): void {
    if (now < this.#expireAt) return
    this.#expireAt = now + EXPIRE_EVERY
    this.expire(now - lifetime)
  }

  /** Forgets those that are idle and were last heard before, in seconds; of an association only what it has sent. */
  expire(before: number): void {
    for (const peer of this) {
      if (peer.heard >= before) continue
      if (!peer.busy) this.#forget(peer)
      else if (peer.association !== undefined && peer.inFlight === 0) peer.clear()
    }
  }

  clear(): void {
    for (const peer of this) {
      peer.requests?.ended()
      peer.clear()
      this.#takeOut(peer)
    }
    this.#size = 0
    this.#addresses.clear()
    this.#networks.clear()
  }

  /** A new address. */
  #settle(address: string): PeerAddress {
    const network = address.includes(':') ? this.#networkOf(address) : undefined
    const settled: PeerAddress = { peers: new Map(), home: network?.home ?? newHome() }
    this.#addresses.set(address, settled)
    network?.addresses.set(address, settled)
    return settled
  }

  #networkOf(address: string): PeerNetwork {
    const group = addressGroup(address)
    let network = this.#networks.get(group)
    if (network === undefined) this.#networks.set(group, (network = { home: newHome(), addresses: new Map() }))
    return network
  }

  /** An address has no peers any more. */
  #leave(address: string): void {
    this.#addresses.delete(address)
    if (!address.includes(':')) return
    const group = addressGroup(address)
    const network = this.#networks.get(group)
    network?.addresses.delete(address)
    if (network?.addresses.size === 0) this.#networks.delete(group)
  }

  /** Peers of an address, or of its network. */
  #sizeAt(address: string): number {
    const known = this.#addresses.get(address)?.home ?? (address.includes(':') ? this.#networks.get(addressGroup(address))?.home : undefined)
    return known?.size ?? 0
  }

  #makeRoom(): boolean {
    for (let peer = this.#silent.first; peer !== undefined; peer = this.#silent.first) {
      if (peer.inFlight === 0) {
        this.#forget(peer)
        return true
      }
      // Its handlers are running; it comes back when they have ended.
      this.#move(peer, this.#busy)
    }
    let oldest: Peer | undefined
    for (let spared = 0; spared < LOOK_AT; ) {
      const peer = this.#idle.first
      if (peer === undefined) break
      if (peer.busy) this.#move(peer, this.#busy)
      else if (peer.heard <= peer.lookedAt) {
        this.#forget(peer)
        return true
      } else {
        // It was heard since it was last looked at, and is looked at again when its turn comes next.
        if (oldest === undefined || peer.heard < oldest.heard) oldest = peer
        peer.lookedAt = peer.heard
        this.#move(peer, this.#idle)
        spared++
      }
    }
    if (oldest !== undefined) this.#forget(oldest)
    return oldest !== undefined
  }

  /** Makes room among the peers of one address, or of its network: the first that has not to stay goes. */
  #makeRoomAt(address: string): boolean {
    const near = address.includes(':') ? this.#networkOf(address).addresses.values() : [this.#addresses.get(address)!]
    for (const { peers } of near)
      for (const peer of peers.values()) {
        if (peer.busy && !(peer.silent && peer.inFlight === 0)) continue
        this.#forget(peer)
        return true
      }
    return false
  }

  #move(peer: Peer, to: PeerList): void {
    this.#takeOut(peer)
    to.append(peer)
  }

  #takeOut(peer: Peer): void {
    if (peer.list === 'idle') this.#idle.remove(peer)
    else if (peer.list === 'busy') this.#busy.remove(peer)
    else if (peer.list === 'silent') this.#silent.remove(peer)
  }

  #forget(peer: Peer): void {
    this.#takeOut(peer)
    this.#size--
    if (peer.association === undefined) {
      const { peers, home } = this.#addresses.get(peer.address)!
      home.size--
      peers.delete(peer.port)
      if (peers.size === 0) this.#leave(peer.address)
    }
    peer.requests?.ended()
    this.#init.abandon(peer)
    peer.clear()
  }
}

const newHome = (): PeerHome => ({ size: 0, load: 0, trust: TRUST })
