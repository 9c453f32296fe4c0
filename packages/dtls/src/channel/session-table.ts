import { type DatagramEndpoint, isLoopback, type Limits } from '@iopa/transport'
import type { Session } from './session.ts'

/** An address and port as a key of maps. */
export const endpointKey = (address: string, port: number): string => `${address} ${port}`

const keyOf = ({ address, port }: DatagramEndpoint): string => endpointKey(address, port)

type Bounds = Pick<Limits, 'connections' | 'connectionsPerAddress'>

/** The sessions of a channel: by their proven address, and by connection id. */
export class SessionTable {
  readonly #bounds: Bounds
  readonly #byEndpoint = new Map<string, Session>()
  readonly #byCid = new Map<string, Session>()
  /** All sessions, with the address that each is counted for. */
  readonly #all = new Map<Session, string>()
  readonly #perAddress = new Map<string, number>()

  constructor(bounds: Bounds) {
    this.#bounds = bounds
  }

  get size(): number {
    return this.#all.size
  }

  [Symbol.iterator](): IterableIterator<Session> {
    return this.#all.keys()
  }

  at(key: string): Session | undefined {
    return this.#byEndpoint.get(key)
  }

  withCid(cid: string): Session | undefined {
    return this.#byCid.get(cid)
  }

  /** True where another session from this address is within the bounds. */
  hasRoom(address: string): boolean {
    return this.#all.size < this.#bounds.connections && this.#hasShare(address)
  }

  #hasShare(address: string): boolean {
    return isLoopback(address) || (this.#perAddress.get(address) ?? 0) < this.#bounds.connectionsPerAddress
  }

  add(session: Session): void {
    const { address } = session.proven
    this.#all.set(session, address)
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
    this.#byEndpoint.set(keyOf(session.proven), session)
    if (session.cid !== undefined) this.#byCid.set(session.cid, session)
  }

  /** Finds a session at its new address from now on. */
  move(session: Session, before: DatagramEndpoint): void {
    if (this.#byEndpoint.get(keyOf(before)) === session) this.#byEndpoint.delete(keyOf(before))
    this.#byEndpoint.set(keyOf(session.proven), session)
  }

  /** False for a session that was not added. */
  delete(session: Session): boolean {
    const address = this.#all.get(session)
    if (address === undefined) return false
    this.#all.delete(session)
    const left = this.#perAddress.get(address)! - 1
    if (left === 0) this.#perAddress.delete(address)
    else this.#perAddress.set(address, left)
    // Another session may have taken the address since.
    if (this.#byEndpoint.get(keyOf(session.proven)) === session) this.#byEndpoint.delete(keyOf(session.proven))
    if (session.cid !== undefined) this.#byCid.delete(session.cid)
    return true
  }

  /**
   * The session that was silent for longest, undefined where none was for so many counts: its end makes room for another one from this address. An address
   * that has its whole share loses one of its own, and never one of a stranger.
   */
  idlest(address: string, sweeps: number, least: number): Session | undefined {
    const isAny = this.#hasShare(address)
    let idlest: Session | undefined
    for (const [session, from] of this.#all) {
      if (!isAny && from !== address) continue
      if (sweeps - session.lastActive >= least && session.lastActive < (idlest?.lastActive ?? Number.POSITIVE_INFINITY)) idlest = session
    }
    return idlest
  }
}
