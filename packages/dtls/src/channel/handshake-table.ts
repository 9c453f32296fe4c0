import { addressGroup, type Clock, type DatagramEndpoint, isLoopback, type TimerHandle } from '@iopa/transport'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import type { ClientHandshake } from '../handshake/client-handshake.ts'
import { ServerHandshake } from '../handshake/server-handshake.ts'
import { endpointKey } from './session-table.ts'

/** Handshakes that clients may have begun at once: in all, and from one address off loopback, or one network of 64 bits of IPv6. */
const MOST_HALF_OPEN = 1024
const MOST_PER_ADDRESS = 16
const NO_ENTRIES: ReadonlySet<Entry> = new Set()

/** A handshake that is not finished, with its timer. */
export interface PendingHandshake {
  readonly handshake: ServerHandshake | ClientHandshake
  readonly peer: DatagramEndpoint
  /** Our connection id as a key, which records of the last flight carry. */
  readonly cid: string | undefined
  /** The random of the ClientHello, by which a copy of it is known; undefined for a handshake that we have begun. */
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
  /** Those that clients have begun, the oldest first, by the address that they are counted for. */
  readonly #begun = new Map<string, Set<Entry>>()
  #halfOpen = 0

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

  /** Makes room for a client from this address; false where there is none. In a full table the address with the most handshakes loses its oldest one. */
  admit(address: string): boolean {
    const own = this.#begun.get(addressGroup(address))?.size ?? 0
    if (own >= MOST_PER_ADDRESS && !isLoopback(address)) return false
    if (this.#halfOpen < MOST_HALF_OPEN) return true
    let largest = NO_ENTRIES
    for (const entries of this.#begun.values()) if (entries.size > largest.size) largest = entries
    const [oldest] = largest
    if (oldest === undefined || largest.size <= own + 1) return false
    oldest.handshake.fail(new HandshakeFailure(ALERT.USER_CANCELED, 'Clients of other addresses need the room.'), true)
    return true
  }

  add(pending: PendingHandshake): void {
    const { address, port } = pending.peer
    const entry: Entry = { ...pending, timer: undefined, due: Number.POSITIVE_INFINITY }
    this.#entries.set(endpointKey(address, port), entry)
    if (entry.hello === undefined) return
    const group = addressGroup(address)
    const begun = this.#begun.get(group) ?? new Set()
    this.#begun.set(group, begun.add(entry))
    this.#halfOpen++
  }

  delete({ address, port }: DatagramEndpoint): void {
    const key = endpointKey(address, port)
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    this.#entries.delete(key)
    this.#clock.clearTimeout(entry.timer)
    const group = addressGroup(address)
    const begun = this.#begun.get(group)
    if (begun?.delete(entry) !== true) return
    this.#halfOpen--
    if (begun.size === 0) this.#begun.delete(group)
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
