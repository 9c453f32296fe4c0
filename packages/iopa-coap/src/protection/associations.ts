import {
  type Clock,
  ConnectionUser,
  type Context,
  type Endpoint,
  type Host,
  type OpenedRequest,
  type Peer,
  type RequestProtection,
  type TimerHandle
} from '@iopa/transport'
import type { Remote } from '../exchanges/exchange.ts'

/** How often associations that nothing uses are looked for, in milliseconds. */
const SWEEP = 30_000

/** Bytes of payload that one protected message carries on a connection: what is larger is cut into inner blocks (RFC 8613 section 4.1.3.4.2). */
const MOST_PAYLOAD = 48 * 1024

/** Bytes that protection adds to a response: its option, a tag, and what is outside and inside. */
export const PROTECTION_OVERHEAD = 64

/** Bytes of payload that one message has room for when it is protected; on datagrams a block has as many as before. */
export const protectedPayload = ({ reliable, maxPayload }: Pick<Remote, 'reliable' | 'maxPayload'>): number =>
  reliable ? Math.max(16, Math.min(MOST_PAYLOAD, maxPayload - PROTECTION_OVERHEAD)) : maxPayload

/**
 * One security association as it is reached at one outer peer. Identity, session and user are those of the association, so that what is kept for a peer belongs
 * to it; address, bounds and messages are those of the outer peer.
 */
export class AssociatedRemote implements Remote {
  readonly endpoint: Endpoint
  readonly connection: Context
  readonly outer: Remote
  user: ConnectionUser | undefined
  /** When it was last used, in milliseconds of the clock. */
  touched = 0
  #uses = 0

  constructor(outer: Remote, endpoint: Endpoint, connection: Context) {
    this.outer = outer
    this.endpoint = endpoint
    this.connection = connection
  }

  get address(): string {
    return this.outer.address
  }
  get port(): number {
    return this.outer.port
  }
  get verified(): boolean {
    return this.outer.verified
  }
  get credit(): number {
    return this.outer.credit - PROTECTION_OVERHEAD
  }
  get maxSzx(): number {
    return this.outer.maxSzx
  }
  get maxPayload(): number {
    return protectedPayload(this.outer)
  }
  get reliable(): boolean {
    return this.outer.reliable
  }

  /** True while a request or an observation needs it. */
  get used(): boolean {
    return this.#uses > 0
  }

  verify(): void {
    this.outer.verify()
  }

  pin(): void {
    this.#uses++
    this.outer.pin()
  }

  unpin(): void {
    this.#uses--
    this.outer.unpin()
  }

  /** A request of it begins, or ends. */
  count(change: 1 | -1): void {
    this.#uses += change
  }
}

/** What associations need of the server. */
export interface AssociationsInit {
  readonly host: Host
  readonly clock: Clock
  /** The name of the protection. */
  readonly name: string
  /** Milliseconds for which one is kept that nothing uses: as long as parts of bodies are. */
  readonly lifetime: number
  /** True while it sends the blocks of a body. */
  readonly uploads: (remote: AssociatedRemote) => boolean
  /** What `context.peer` is for one that is reached at an outer peer: its requests are protected too. */
  readonly peer: (outer: Remote, endpoint: Endpoint, requests: RequestProtection) => Peer | undefined
  /** Forgets what is kept for one that has ended. */
  readonly ended: (remote: AssociatedRemote) => void
}

/** The security associations that have sent requests, each with a context whose user is the one that it proves. */
export class Associations {
  readonly #init: AssociationsInit
  readonly #byOuter = new WeakMap<Remote, Map<object, AssociatedRemote>>()
  readonly #all = new Set<AssociatedRemote>()
  #timer: TimerHandle | undefined

  constructor(init: AssociationsInit) {
    this.#init = init
  }

  get size(): number {
    return this.#all.size
  }

  /** The association of a request that came from an outer peer, which has its endpoint; undefined where there is no room for another. */
  find(outer: Remote, opened: OpenedRequest): AssociatedRemote | undefined {
    const known = this.#byOuter.get(outer)?.get(opened.association)
    const remote = known ?? this.#add(outer, opened)
    if (remote !== undefined) remote.touched = this.#init.clock.elapsed()
    return remote
  }

  /** Those that were reached at an outer peer. */
  at(outer: Remote): AssociatedRemote[] {
    return [...(this.#byOuter.get(outer)?.values() ?? [])]
  }

  /** All of them. */
  [Symbol.iterator](): Iterator<AssociatedRemote> {
    return [...this.#all][Symbol.iterator]()
  }

  close(): void {
    if (this.#timer !== undefined) this.#init.clock.clearTimeout(this.#timer)
    this.#timer = undefined
    for (const remote of [...this.#all]) void remote.connection.end('shutdown')
  }

  #add(outer: Remote, { association, user, requests }: OpenedRequest): AssociatedRemote | undefined {
    const { host, name, clock, lifetime, ended } = this.#init
    const below = outer.endpoint!
    if (this.#all.size >= host.limits.connections && !this.#makeRoom()) return undefined
    let peer: Peer | undefined
    const endpoint: Endpoint = {
      ...below,
      sessionId: `${name} ${association.id}`,
      // The peer of the connection below would be asked without protection.
      peer: () => (requests === undefined || below.peer?.() === undefined ? undefined : (peer ??= this.#init.peer(outer, endpoint, requests)))
    }
    const context = host.create({ method: 'CONNECT', path: '/', query: '', rawPath: '/', endpoint, source: null }, outer.connection)
    // Proven by the protection of the request; the user of the connection below is that of the connection.
    context['server.User'] = user
    const remote = new AssociatedRemote(outer, endpoint, context)
    const here = this.#byOuter.get(outer) ?? new Map<object, AssociatedRemote>()
    this.#byOuter.set(outer, here.set(association, remote))
    this.#all.add(remote)
    context.defer(() => {
      if (here.get(association) === remote) here.delete(association)
      this.#all.delete(remote)
      remote.user?.close()
      ended(remote)
    })
    remote.user = new ConnectionUser(host, context, () => void context.end('disconnect'))
    remote.user.look(context)
    this.#timer ??= clock.setTimeout(() => this.#sweep(lifetime), SWEEP)
    return remote
  }

  /** Drops one that nothing uses, the oldest first. */
  #makeRoom(): boolean {
    let oldest: AssociatedRemote | undefined
    for (const remote of this.#all) if (!this.#isUsed(remote) && (oldest === undefined || remote.touched < oldest.touched)) oldest = remote
    if (oldest === undefined) return false
    void oldest.connection.end('disconnect')
    return true
  }

  /** An upload may go on at another address, where the association has another remote. */
  #isUsed(remote: AssociatedRemote): boolean {
    return remote.used || this.#init.uploads(remote)
  }

  #sweep(lifetime: number): void {
    const { clock } = this.#init
    const before = clock.elapsed() - lifetime
    for (const remote of [...this.#all]) if (!this.#isUsed(remote) && remote.touched < before) void remote.connection.end('disconnect')
    this.#timer = this.#all.size === 0 ? undefined : clock.setTimeout(() => this.#sweep(lifetime), SWEEP)
  }
}
