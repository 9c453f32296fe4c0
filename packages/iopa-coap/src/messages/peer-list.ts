import type { Peer } from './peer.ts'

/** A list through peers, each of which is in one list at most; a Set would be slow at its begin, where it has had deletions. */
export class PeerList {
  first: Peer | undefined
  #last: Peer | undefined

  append(peer: Peer): void {
    const last = this.#last
    peer.list = this
    peer.previous = last
    if (last === undefined) this.first = peer
    else last.next = peer
    this.#last = peer
  }

  remove(peer: Peer): void {
    const { previous, next } = peer
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    peer.previous = peer.next = peer.list = undefined
  }

  *[Symbol.iterator](): Generator<Peer> {
    for (let peer = this.first; peer !== undefined; ) {
      // The one that is given out may be forgotten meanwhile.
      const next: Peer | undefined = peer.next
      yield peer
      peer = next
    }
  }
}
