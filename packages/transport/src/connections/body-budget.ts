import type { BodyHolder, HeldBytes } from '@iopa/context/host'
import { addressGroup, isLoopback } from '@iopa/context/host'
import { sharedError } from '../errors/shared-error.ts'

const NO_ROOM = sharedError(503, 'bodies-in-memory', 'The server has reached its limit of bodies in memory: try again later.', { 'retry-after': '1' })

/** Bytes of heap where the platform does not say. */
const UNKNOWN_HEAP = 1024 ** 3

/** The part of the heap that bodies may take, as a divisor. */
const HEAP_SHARE = 4

/** The part of the budget that one user may use once half of it is used, as a divisor. */
const SHARE = 8

/** What says whose a body is. */
type Owned = Pick<BodyHolder, 'server.User' | 'server.RemoteAddress'>

/** The bytes of all bodies that the requests of an app hold in memory, shared out by user. */
class BodyBudget implements HeldBytes {
  /** Bytes; more are refused. */
  readonly limit: number
  /** Bytes that are held now. */
  used = 0
  tight = false
  /** Bodies that found no room. */
  refused = 0
  readonly #holders = new Map<object, number>()
  readonly #owners = new Map<string, number>()
  readonly #waiting: (() => void)[] = []

  constructor(limit: number) {
    this.limit = limit
  }

  hold(holder: BodyHolder, bytes: number, body: object = holder): void {
    const before = this.#holders.get(body)
    const more = bytes - (before ?? 0)
    if (more <= 0) return
    const owner = this.ownerOf(holder)
    if (holder.endpoint.holdsBack !== true && !this.hasRoom(owner, more)) {
      this.refused++
      throw NO_ROOM
    }
    this.#holders.set(body, bytes)
    this.take(owner, more)
    if (before !== undefined) return
    holder.defer(() => {
      this.give(owner, this.#holders.get(body) as number)
      this.#holders.delete(body)
    })
  }

  /** True where `bytes` more of `owner` fit: below half of the budget always, above it within the owner's share. */
  hasRoom(owner: string, bytes: number): boolean {
    const used = this.used + bytes
    if (used > this.limit) return false
    return owner === '' || used * 2 <= this.limit || ((this.#owners.get(owner) ?? 0) + bytes) * SHARE <= this.limit
  }

  /** Counts bytes that are in memory already. */
  take(owner: string, bytes: number): void {
    this.used += bytes
    this.tight = this.used * 2 > this.limit
    this.#owners.set(owner, (this.#owners.get(owner) ?? 0) + bytes)
  }

  give(owner: string, bytes: number): void {
    this.used -= bytes
    this.tight = this.used * 2 > this.limit
    const left = (this.#owners.get(owner) as number) - bytes
    if (left > 0) this.#owners.set(owner, left)
    else this.#owners.delete(owner)
    if (this.#waiting.length > 0) for (const free of this.#waiting.splice(0)) free()
  }

  whenFreed(freed: () => void): void {
    this.#waiting.push(freed)
  }

  /** Empty where no share binds, as on loopback, where a proxy may speak for many. */
  ownerOf(holder: Owned): string {
    const user = holder['server.User']
    if (user !== undefined) return `user ${user.id}`
    const address = holder['server.RemoteAddress']
    if (address === '' || isLoopback(address)) return ''
    return addressGroup(address)
  }
}

/**
 * Bounds the bodies of an app to `limit` bytes, or, where that is Infinity, to a quarter of the heap that the platform gives the process. A transport gives
 * it to the app, so that a core without one does not carry it.
 */
export const bodyBudget = (limit: number, heap: number = UNKNOWN_HEAP): HeldBytes =>
  new BodyBudget(Number.isFinite(limit) ? limit : heap / HEAP_SHARE)

/** Shorter ones are bounded by the connections. */
const UNCOUNTED = 16 * 1024

/** A buffer of a transport that grows with what its peer sends, counted with the bodies of the app before there is a request. */
export class HeldBuffer {
  readonly #bodies: HeldBytes | undefined
  #owner = ''
  #bytes = 0

  constructor(bodies: HeldBytes | undefined) {
    this.#bodies = bodies
  }

  /** Sets the current number of bytes and their owner. @throws IopaError 503 when there is no room. */
  resize(bytes: number, owned: Owned): void {
    const bodies = this.#bodies
    const counted = bytes > UNCOUNTED ? bytes : 0
    if (bodies === undefined || counted === this.#bytes) return
    if (counted < this.#bytes) {
      bodies.give(this.#owner, this.#bytes - counted)
      this.#bytes = counted
      return
    }
    const more = counted - this.#bytes
    // What it holds stays with its first owner.
    if (this.#bytes === 0) this.#owner = bodies.ownerOf(owned)
    if (!bodies.hasRoom(this.#owner, more)) throw NO_ROOM
    bodies.take(this.#owner, more)
    this.#bytes = counted
  }

  free(): void {
    if (this.#bytes > 0) this.#bodies?.give(this.#owner, this.#bytes)
    this.#bytes = 0
  }
}
