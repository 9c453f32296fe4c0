import type { DeduplicationBudget } from './deduplication.ts'
import { Peer } from './peer.ts'

/** How many peers are looked at when room is needed for another one. */
const LOOK_AT = 64

/** The peers that are remembered, bounded: one that was silent for long makes room, busy ones stay. */
export class PeerTable {
  readonly #limit: number
  readonly #budget: DeduplicationBudget
  readonly #peers = new Map<string, Map<number, Peer>>()
  // A list through the peers, in the order in which room is made; a Set would be slow at its begin, where it has had deletions.
  #first: Peer | undefined
  #last: Peer | undefined
  #size = 0

  constructor(limit: number, budget: DeduplicationBudget) {
    this.#limit = limit
    this.#budget = budget
  }

  get size(): number {
    return this.#size
  }

  *[Symbol.iterator](): Generator<Peer> {
    for (let peer = this.#first; peer !== undefined; ) {
      // The one that is given out may be forgotten meanwhile.
      const next: Peer | undefined = peer.next
      yield peer
      peer = next
    }
  }

  find(address: string, port: number): Peer | undefined {
    return this.#peers.get(address)?.get(port)
  }

  /** Remembers a peer from now on, in seconds; undefined when the table is full of busy ones. */
  add(address: string, port: number, now: number): Peer | undefined {
    if (this.#size >= this.#limit && !this.#makeRoom()) return undefined
    const peer = new Peer(address, port, now, this.#budget)
    this.#append(peer)
    this.#size++
    const ports = this.#peers.get(address)
    if (ports === undefined) this.#peers.set(address, new Map([[port, peer]]))
    else ports.set(port, peer)
    return peer
  }

  /** Forgets whoever is idle and was last heard before, in seconds. */
  expire(before: number): void {
    for (const peer of this) if (!peer.busy && peer.heard < before) this.#forget(peer)
  }

  clear(): void {
    for (const peer of this) peer.duplicates.clear()
    this.#first = this.#last = undefined
    this.#size = 0
    this.#peers.clear()
  }

  /** Forgets the first that is idle and was not heard since it was looked at; who was, is looked at again when its turn comes next. */
  #makeRoom(): boolean {
    let oldest: Peer | undefined
    for (let looked = 0; looked < LOOK_AT && looked < this.#size; looked++) {
      const peer = this.#first!
      if (!peer.busy && peer.heard <= peer.lookedAt) {
        this.#forget(peer)
        return true
      }
      if (!peer.busy && (oldest === undefined || peer.heard < oldest.heard)) oldest = peer
      peer.lookedAt = peer.heard
      this.#unlink(peer)
      this.#append(peer)
    }
    if (oldest !== undefined) this.#forget(oldest)
    return oldest !== undefined
  }

  #forget(peer: Peer): void {
    this.#unlink(peer)
    this.#size--
    peer.duplicates.clear()
    const ports = this.#peers.get(peer.address)
    ports?.delete(peer.port)
    if (ports?.size === 0) this.#peers.delete(peer.address)
  }

  #append(peer: Peer): void {
    const last = this.#last
    peer.previous = last
    if (last === undefined) this.#first = peer
    else last.next = peer
    this.#last = peer
  }

  #unlink(peer: Peer): void {
    const { previous, next } = peer
    if (previous === undefined) this.#first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    peer.previous = peer.next = undefined
  }
}
