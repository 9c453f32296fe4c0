import type { DeduplicationBudget } from './deduplication.ts'
import { Peer } from './peer.ts'

/** How many peers are looked at when room is needed for another one. */
const LOOK_AT = 64

/** The peers that are remembered, bounded: the one that was silent for longest makes room, busy ones stay. */
export class PeerTable {
  readonly #limit: number
  readonly #budget: DeduplicationBudget
  readonly #peers = new Map<string, Map<number, Peer>>()
  /** In the order in which room is made: whoever was spared is moved to the end. */
  readonly #order = new Set<Peer>()

  constructor(limit: number, budget: DeduplicationBudget) {
    this.#limit = limit
    this.#budget = budget
  }

  get size(): number {
    return this.#order.size
  }

  [Symbol.iterator](): Iterator<Peer> {
    return this.#order[Symbol.iterator]()
  }

  find(address: string, port: number): Peer | undefined {
    return this.#peers.get(address)?.get(port)
  }

  /** Remembers a peer from now on, in seconds; undefined when the table is full of busy ones. */
  add(address: string, port: number, now: number): Peer | undefined {
    if (this.#order.size >= this.#limit && !this.#makeRoom()) return undefined
    const peer = new Peer(address, port, now, this.#budget)
    this.#order.add(peer)
    const ports = this.#peers.get(address)
    if (ports === undefined) this.#peers.set(address, new Map([[port, peer]]))
    else ports.set(port, peer)
    return peer
  }

  /** Forgets whoever is idle and was last heard before, in seconds. */
  expire(before: number): void {
    for (const peer of this.#order) if (!peer.busy && peer.heard < before) this.#forget(peer)
  }

  clear(): void {
    for (const peer of this.#order) peer.duplicates.clear()
    this.#order.clear()
    this.#peers.clear()
  }

  #makeRoom(): boolean {
    let oldest: Peer | undefined
    let looked = 0
    for (const peer of this.#order) {
      if (looked++ === LOOK_AT) break
      this.#order.delete(peer)
      this.#order.add(peer)
      if (!peer.busy && (oldest === undefined || peer.heard < oldest.heard)) oldest = peer
    }
    if (oldest !== undefined) this.#forget(oldest)
    return oldest !== undefined
  }

  #forget(peer: Peer): void {
    this.#order.delete(peer)
    peer.duplicates.clear()
    const ports = this.#peers.get(peer.address)
    ports?.delete(peer.port)
    if (ports?.size === 0) this.#peers.delete(peer.address)
  }
}
