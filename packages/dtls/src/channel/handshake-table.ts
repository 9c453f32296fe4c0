import { type Clock, type DatagramEndpoint, isLoopback, type TimerHandle } from '@iopa/transport'
import type { ClientHandshake } from '../handshake/client-handshake.ts'
import { ServerHandshake } from '../handshake/server-handshake.ts'
import { endpointKey } from './session-table.ts'

/** Handshakes that clients may have begun at once: in all, and from one address off loopback. */
const MOST_HALF_OPEN = 1024
const MOST_PER_ADDRESS = 16

/** A handshake that is not finished, with its timer. */
export interface PendingHandshake {
  readonly handshake: ServerHandshake | ClientHandshake
  readonly peer: DatagramEndpoint
  /** Our connection id as a key, which records of the last flight carry. */
  readonly cid: string | undefined
  /** The random of the ClientHello, by which a copy of it is known. */
  readonly hello: Uint8Array | undefined
}

interface Entry extends PendingHandshake {
  timer: TimerHandle
  due: number
}

/** The unfinished handshakes of a channel, one for each endpoint. */
export class HandshakeTable {
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  readonly #perAddress = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#entries.size
  }

  at(key: string): PendingHandshake | undefined {
    return this.#entries.get(key)
  }

  [Symbol.iterator](): IterableIterator<PendingHandshake> {
    return this.#entries.values()
  }

  /** True where a client from this address may begin another one. */
  hasRoom(address: string): boolean {
    return this.#entries.size < MOST_HALF_OPEN && (isLoopback(address) || (this.#perAddress.get(address) ?? 0) < MOST_PER_ADDRESS)
  }

  add(pending: PendingHandshake): void {
    const { address, port } = pending.peer
    this.#entries.set(endpointKey(address, port), { ...pending, timer: undefined, due: Number.POSITIVE_INFINITY })
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
  }

  delete({ address, port }: DatagramEndpoint): void {
    const key = endpointKey(address, port)
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#clock.clearTimeout(entry.timer)
    const left = this.#perAddress.get(address)! - 1
    if (left === 0) this.#perAddress.delete(address)
    else this.#perAddress.set(address, left)
  }

  /** Sets the timer of a handshake to when it is due. */
  arm({ address, port }: DatagramEndpoint): void {
    const entry = this.#entries.get(endpointKey(address, port))
    if (entry === undefined || entry.handshake.due === entry.due) return
    this.#clock.clearTimeout(entry.timer)
    entry.due = entry.handshake.due
    const expire = (): void => {
      entry.due = Number.POSITIVE_INFINITY
      entry.handshake.expire()
      this.arm(entry.peer)
    }
    // A caller waits for the handshake of a client.
    entry.timer = this.#clock.setTimeout(expire, Math.max(0, entry.due - this.#clock.elapsed()), {
      keep: !(entry.handshake instanceof ServerHandshake)
    })
  }
}
