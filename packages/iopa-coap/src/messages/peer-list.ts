import type { Peer } from './peer.ts'

/** A list through peers, each of which is in one list at most; a Set would be slow at its start, where it has had deletions. */
export class PeerList {
  readonly #name: 'idle' | 'busy' | 'silent'
  first: Peer | undefined = undefined
  #last: Peer | undefined = undefined

  constructor(name: 'idle' | 'busy' | 'silent') {
    this.#name = name
  }

  append(peer: Peer): void {
    const last = this.#last
    peer.list = this.#name
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
    peer.previous = peer.next = undefined
    peer.list = 'none'
  }

  *[Symbol.iterator](): Generator<Peer> {
    for (let peer = this.first; peer !== undefined; ) {
      // The current one may be forgotten meanwhile.
      const next: Peer | undefined = peer.next
      yield peer
      peer = next
    }
  }
}
