import {
  addressGroup,
  type Client,
  type Endpoint,
  type Host,
  IopaError,
  isLoopback,
  type Limits,
  type Link,
  type OpenOptions,
  type Peer,
  type PeerClientOptions,
  type TimerHandle
} from '@iopa/transport'
import type { Remote } from '../exchanges/exchange.ts'
import { COAP_KEYS } from '../keys.ts'
import type { LinkProtection } from './link-init.ts'

/** Clients to one peer. */
const PER_PEER = 16
/** How often silent peers are looked for, in milliseconds. */
const SWEEP = 10_000

/** A link to a peer of a listener. */
export interface PeerLink extends Link {
  /** True when the peer has been silent for so many milliseconds, where silence means anything. */
  silentFor(time: number): boolean
  /** The session is over: what waits fails with `peer-gone`. */
  end(): void
}

/** The two ends of a remote. */
export interface PeerEndpoint<R extends Remote> extends Endpoint {
  readonly remote: R
  peer(this: PeerEndpoint<R>): Peer
}

/** How a listener reaches its peers. */
export interface PeerClientsInit<R extends Remote> {
  readonly host: Host
  /** Milliseconds for which a peer is remembered that is silent. */
  readonly silence: number
  /** Opens a link over the session of a remote, once that has shown that it receives. Rejects where the session is over. */
  open(remote: R, options: OpenOptions, url: URL, protection: LinkProtection | undefined): Promise<PeerLink>
}

/** The clients of a listener to its peers: those of one peer, of one address and of all are bounded. Nothing is kept for a peer that is asked nothing. */
export class PeerClients<R extends Remote> {
  /** That of every endpoint: one function for all of them. */
  readonly peer: PeerEndpoint<R>['peer']
  readonly #init: PeerClientsInit<R>
  /** One for each remote whose `context.peer` was read. */
  readonly #peers = new WeakMap<R, Peer>()
  readonly #places = new Places<R>()
  readonly #links = new Map<PeerLink, number>()
  #sweep: TimerHandle | undefined

  constructor(init: PeerClientsInit<R>) {
    this.#init = init
    const clients = this
    this.peer = function () {
      return clients.of(this.remote, this)
    }
  }

  /** What `context.peer` is for a remote. */
  of(remote: R, endpoint: Endpoint): Peer {
    let peer = this.#peers.get(remote)
    if (peer === undefined) {
      peer = { client: (options = {}) => this.#client(remote, endpoint, options, undefined) }
      this.#peers.set(remote, peer)
    }
    return peer
  }

  /** What `context.peer` is for a security association that is reached at a remote. */
  over(remote: R, endpoint: Endpoint, protection: LinkProtection): Peer {
    return { client: (options = {}) => this.#client(remote, endpoint, options, protection) }
  }

  /** Ends all clients: the listener closes. */
  close(): void {
    for (const link of [...this.#links.keys()]) void link.close()
    if (this.#sweep !== undefined) this.#init.host.clock.clearTimeout(this.#sweep)
    this.#sweep = undefined
  }

  async #client(remote: R, endpoint: Endpoint, options: PeerClientOptions, protection: LinkProtection | undefined): Promise<Client> {
    const { host } = this.#init
    const { scheme, remoteAddress, remotePort } = endpoint
    const url = new URL(`${scheme}://${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort}`)
    const { silence = this.#init.silence } = options
    const open = (opening: OpenOptions): Promise<Link> => this.#open(remote, opening, url, silence, protection)
    return host.connect({ url, observable: ['FETCH'], keys: COAP_KEYS, open }, options)
  }

  async #open(remote: R, opening: OpenOptions, url: URL, silence: number, protection: LinkProtection | undefined): Promise<Link> {
    const leave = this.#places.enter(remote, this.#init.host.limits)
    try {
      const link = await this.#init.open(remote, opening, url, protection)
      this.#links.set(link, silence)
      this.#arm()
      void link.closed.then(() => {
        this.#links.delete(link)
        leave()
      })
      return link
    } catch (error) {
      leave()
      throw error
    }
  }

  #arm(): void {
    const { clock } = this.#init.host
    if (this.#sweep !== undefined || this.#links.size === 0) return
    this.#sweep = clock.setTimeout(() => {
      this.#sweep = undefined
      for (const [link, silence] of [...this.#links]) if (link.silentFor(silence)) link.end()
      this.#arm()
    }, SWEEP)
  }
}

/** Counts the clients of a listener. Half of the peers that it remembers may have one, so that there is room for others. */
class Places<R extends Remote> {
  readonly #remotes = new Map<R, number>()
  readonly #addresses = new Map<string, number>()
  #size = 0

  /** Takes a place; gives what leaves it. @throws IopaError 503 */
  enter(remote: R, { connections, connectionsPerAddress }: Limits): () => void {
    const { address } = remote
    const group = addressGroup(address)
    const own = this.#remotes.get(remote) ?? 0
    const near = this.#addresses.get(group) ?? 0
    if (own >= PER_PEER) throw tooMany(`${PER_PEER} clients of this peer`)
    const most = Math.max(1, Math.floor(connections / 2))
    if (this.#size >= most) throw tooMany(`${most} clients of peers of this listener`)
    const nearby = Math.max(1, Math.floor(connectionsPerAddress / 2))
    if (near >= nearby && !isLoopback(address)) throw tooMany(`${nearby} clients of peers of this address`)
    const count = (change: 1 | -1): void => {
      this.#size += change
      add(this.#remotes, remote, change)
      add(this.#addresses, group, change)
    }
    count(1)
    let entered = true
    return () => {
      if (entered) count(-1)
      entered = false
    }
  }
}

const add = <K>(counts: Map<K, number>, key: K, change: number): void => {
  const count = (counts.get(key) ?? 0) + change
  if (count > 0) counts.set(key, count)
  else counts.delete(key)
}

const tooMany = (what: string): IopaError => new IopaError(503, 'too-many-clients', `${what} are open: close those that are not needed, or keep one.`)
