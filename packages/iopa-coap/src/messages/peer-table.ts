import { isLoopback } from '@iopa/appbuilder'
import type { DeduplicationBudget } from './deduplication.ts'
import { Peer, type PeerAddress } from './peer.ts'
import { PeerList } from './peer-list.ts'

/** How many peers that were heard lately are spared when room is needed for another one. */
const LOOK_AT = 64
/** Notifications that all peers of one address may be sent on trust: beyond what they have sent, before any of them has acknowledged one. */
const TRUST = 16

/** Bounds of a peer table. */
export interface PeerTableInit {
  readonly limit: number
  /** Peers of one address; loopback is not counted. */
  readonly perAddress: number | undefined
  readonly budget: DeduplicationBudget
  readonly handledBudget: DeduplicationBudget
  /** Bytes that a peer may be sent before it was heard: 0, or Infinity where all are trusted. */
  readonly credit: number
  /** Gives up what waits for the acknowledgement of a peer that is forgotten. */
  readonly abandon: (peer: Peer) => void
}

/**
 * The peers that are remembered, bounded. When room is needed, a peer that has never acknowledged anything goes first, then one that was silent for long;
 * busy ones stay. Each peer is in one of three lists, so that room is found without looking through those that cannot make it.
 */
export class PeerTable {
  readonly #init: PeerTableInit
  readonly #addresses = new Map<string, PeerAddress>()
  /** In the order in which room is made. One that has become busy moves to the others when its turn comes. */
  readonly #idle = new PeerList()
  readonly #busy = new PeerList()
  readonly #silent = new PeerList()
  #size = 0

  constructor(init: PeerTableInit) {
    this.#init = init
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
    let home = this.#addresses.get(address)
    if (home !== undefined && home.peers.size >= perAddress && !isLoopback(address) && !this.#makeRoomAt(home)) return undefined
    if (this.#size >= limit && !this.#makeRoom()) return undefined
    home = this.#addresses.get(address)
    if (home === undefined) this.#addresses.set(address, (home = { peers: new Map(), load: 0, trust: TRUST }))
    const peer = new Peer(address, port, now, { table: this, home, budget, handledBudget, credit })
    this.#idle.append(peer)
    this.#size++
    home.peers.set(port, peer)
    return peer
  }

  /** Something that kept a peer has ended: it may be forgotten again, unless something else keeps it. */
  rest(peer: Peer): void {
    const { list } = peer
    if (list === undefined || list === this.#idle) return
    if (!peer.busy) this.#move(peer, this.#idle)
    else if (peer.silent && peer.inFlight === 0 && list === this.#busy) this.#move(peer, this.#silent)
  }

  /** A peer has let a message be repeated, and has never acknowledged one. */
  suspect(peer: Peer): void {
    peer.silent = true
    if (peer.list !== undefined && peer.list !== this.#silent && peer.inFlight === 0) this.#move(peer, this.#silent)
  }

  /** A peer has acknowledged something. */
  trust(peer: Peer): void {
    peer.silent = false
    if (peer.list === this.#silent) this.#move(peer, this.#busy)
  }

  /** Forgets those that are idle and were last heard before, in seconds. */
  expire(before: number): void {
    for (const peer of this) if (!peer.busy && peer.heard < before) this.#forget(peer)
  }

  clear(): void {
    for (const peer of this) {
      peer.clear()
      peer.list!.remove(peer)
    }
    this.#size = 0
    this.#addresses.clear()
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

  /** Makes room among the peers of one address: the first that has not to stay goes. */
  #makeRoomAt(home: PeerAddress): boolean {
    for (const peer of home.peers.values()) {
      if (peer.busy && !(peer.silent && peer.inFlight === 0)) continue
      this.#forget(peer)
      return true
    }
    return false
  }

  #move(peer: Peer, to: PeerList): void {
    peer.list!.remove(peer)
    to.append(peer)
  }

  #forget(peer: Peer): void {
    peer.list!.remove(peer)
    this.#size--
    const { home } = peer
    home.peers.delete(peer.port)
    if (home.peers.size === 0) this.#addresses.delete(peer.address)
    this.#init.abandon(peer)
    peer.clear()
  }
}
