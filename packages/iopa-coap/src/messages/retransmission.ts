import type { Clock } from '@iopa/transport'
import type { CoarseTimer } from './coarse-timer.ts'
import type { ConfirmableListener } from './message-listeners.ts'
import type { Transmission } from './parameters.ts'
import type { Confirmable, Peer } from './peer.ts'

/** What retransmission needs of the message layer. */
export interface RetransmissionInit {
  readonly transmission: Transmission
  /**
   * What NSTART may grow to: by one with each message that was acknowledged the first time it was sent, and back with the first that was not, so that
   * there is never more under way than the path has just carried (RFC 7252 sections 4.7 and 4.8.1).
   */
  readonly nstartLimit: number
  /** Confirmable messages that may wait for their turn, for each peer. */
  readonly queue: number
  readonly clock: Pick<Clock, 'elapsed'>
  /** The time of the message layer. */
  readonly timer: Pick<CoarseTimer, 'seconds'>
  transmit(peer: Peer, bytes: Uint8Array, listener: ConfirmableListener): void
  /** A peer lets a message be retransmitted, and has never acknowledged one. */
  readonly suspect: (peer: Peer) => void
  /** Called with faults in a listener. */
  readonly onError: (error: unknown) => void
}

/** Confirmable messages until they are acknowledged: sent again after doubling waits, a few at a time for each peer (RFC 7252 sections 4.2 and 4.7). */
export class Retransmission {
  readonly #init: RetransmissionInit
  #first: Confirmable | undefined

  constructor(init: RetransmissionInit) {
    this.#init = init
  }

  /** True while no message waits for its acknowledgement. */
  get idle(): boolean {
    return this.#first === undefined
  }

  /**
   * Sends a message, at once or when those before it are settled; undefined when too many wait.
   * Without bytes its listener makes them when the message is sent; there are at most as many of those as listeners, so they are always queued.
   */
  send(peer: Peer, bytes: Uint8Array | undefined, listener: ConfirmableListener): Confirmable | undefined {
    const confirmable: Confirmable = {
      peer,
      listener,
      bytes,
      id: 0,
      retransmissions: 0,
      timeout: 0,
      due: 0,
      sentAt: 0,
      state: 'queued',
      previous: undefined,
      next: undefined
    }
    if (peer.outstanding.size < this.#windowOf(peer)) this.#begin(confirmable)
    else if (bytes === undefined || peer.queue.length < this.#init.queue) peer.enqueue(confirmable)
    else return undefined
    return confirmable
  }

  /** Gives up a message without calling its listener. */
  cancel(confirmable: Confirmable): void {
    if (confirmable.state === 'outstanding') this.end(confirmable)
    else if (confirmable.state === 'queued') {
      confirmable.state = 'ended'
      confirmable.peer.unqueue(confirmable)
    }
  }

  /** Takes a message out that the peer has acknowledged. */
  acknowledge(confirmable: Confirmable): void {
    const { peer } = confirmable
    if (confirmable.retransmissions === 0) peer.window = Math.min(this.#windowOf(peer) + 1, this.#init.nstartLimit)
    this.end(confirmable)
  }

  /** Takes a message out that is settled; the next one of that peer follows. */
  end(confirmable: Confirmable): void {
    const { peer } = confirmable
    this.#takeOut(confirmable)
    if (peer.queue.length > 0 && peer.outstanding.size < this.#windowOf(peer)) {
      do this.#begin(peer.dequeue()!)
      while (peer.queue.length > 0 && peer.outstanding.size < this.#windowOf(peer))
    } else peer.rest()
  }

  /** Gives up everything that a peer has not acknowledged, and what waits behind it: it would wait as long, one after the other. */
  abandon(peer: Peer): void {
    if (peer.outstanding.size === 0 && peer.queue.length === 0) return
    const given = [...peer.outstanding.values()]
    for (const confirmable of given) this.#takeOut(confirmable)
    for (let next = peer.dequeue(); next !== undefined; next = peer.dequeue()) given.push(next)
    peer.rest()
    for (const confirmable of given) this.#expire(confirmable)
  }

  /** Sends again what is due. */
  tick(now: number): void {
    let due: Confirmable[] | undefined
    for (let confirmable = this.#first; confirmable !== undefined; confirmable = confirmable.next) {
      // A clock that was set back must not stop anything.
      if (confirmable.due - now > confirmable.timeout) confirmable.due = now + confirmable.timeout
      if (confirmable.due <= now) (due ??= []).push(confirmable)
    }
    // A listener may end others of the list, so it is walked before the first one is called.
    if (due !== undefined) for (const confirmable of due) if (confirmable.state === 'outstanding') this.#repeat(confirmable, now)
  }

  /** Expires everything, what is queued included. */
  close(peers: Iterable<Peer>): void {
    this.#first = undefined
    for (const peer of peers) {
      const waiting = [...peer.outstanding.values(), ...peer.queue]
      peer.outstanding.clear()
      peer.queue = []
      peer.owed = 0
      for (const confirmable of waiting) this.#expire(confirmable)
    }
  }

  #windowOf(peer: Peer): number {
    return Math.max(peer.window, this.#init.transmission.nstart)
  }

  #takeOut(confirmable: Confirmable): void {
    const { peer, previous, next } = confirmable
    if (previous === undefined) this.#first = next
    else previous.next = next
    if (next !== undefined) next.previous = previous
    confirmable.previous = confirmable.next = undefined
    confirmable.state = 'ended'
    peer.outstanding.delete(confirmable.id)
  }

  #begin(confirmable: Confirmable): void {
    const { peer } = confirmable
    const bytes = (confirmable.bytes ??= confirmable.listener.renewal!()!)
    const { ackTimeout, ackRandomFactor } = this.#init.transmission
    const id = peer.hold(confirmable)
    bytes[2] = id >> 8
    bytes[3] = id & 255
    confirmable.state = 'outstanding'
    confirmable.sentAt = this.#init.timer.seconds
    confirmable.timeout = ackTimeout * (1 + Math.random() * (ackRandomFactor - 1))
    confirmable.due = this.#init.clock.elapsed() + confirmable.timeout
    const first = this.#first
    if (first !== undefined) first.previous = confirmable
    confirmable.next = first
    this.#first = confirmable
    this.#init.transmit(peer, bytes, confirmable.listener)
  }

  #repeat(confirmable: Confirmable, now: number): void {
    const { peer } = confirmable
    if (confirmable.retransmissions >= this.#init.transmission.maxRetransmit) {
      if (peer.replied < confirmable.sentAt) this.abandon(peer)
      else {
        this.end(confirmable)
        this.#expire(confirmable)
      }
      return
    }
    if (peer.replied < 0) this.#init.suspect(peer)
    confirmable.retransmissions++
    confirmable.peer.window = 0
    confirmable.timeout *= 2
    confirmable.due = now + confirmable.timeout
    const renewal = confirmable.listener.renewal?.()
    if (renewal !== undefined && confirmable.state === 'outstanding') {
      peer.outstanding.delete(confirmable.id)
      const id = peer.hold(confirmable)
      renewal[2] = id >> 8
      renewal[3] = id & 255
      confirmable.bytes = renewal
    }
    this.#init.transmit(peer, confirmable.bytes!, confirmable.listener)
  }

  #expire(confirmable: Confirmable): void {
    confirmable.state = 'ended'
    try {
      confirmable.listener.expired()
    } catch (error) {
      this.#init.onError(error)
    }
  }
}
