import { randomInt } from 'node:crypto'
import type { Context, Endpoint, SecuredPeer } from '@iopa/transport'
import { blockSize, MAX_SZX, szxFor } from '../codec/block.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import type { AddressProbe } from './address-probe.ts'
import { AnswerRing, type AnswerRingBudget } from './answer-ring.ts'
import type { ConfirmableListener, ResetListener } from './message-listeners.ts'

// Most peers never need these; a peer gets collections of its own with its first entry.
const NO_CONFIRMABLES: Map<number, Confirmable> = new Map()
const NO_QUEUE: Confirmable[] = []
const NO_LISTENERS: Map<number, ResetListener> = new Map()

/** Confirmable messages that an unverified peer may be sent on trust, beyond what it has sent (RFC 7641 section 7). */
const TRUST = 2
/** Replies that match nothing after which a matching one may be a guess: it proves no address any more. */
const MOST_STRAY = 8

/** Bytes of a message beside its payload: header, token and options. */
const BESIDE_PAYLOAD = 128

/** A request counts as at least so many bytes, so that the smallest block and a challenge fit in any case. */
const LEAST_REQUEST = 11

/** Bytes that an unverified peer may be sent for a request of so many bytes (RFC 7252 section 11.3). */
export const creditFor = (length: number, factor: number): number => Math.floor(factor * Math.max(length, LEAST_REQUEST))

/** A confirmable message on its way to a peer; an element in the list of all that are outstanding. */
export interface Confirmable {
  readonly peer: Peer
  readonly listener: ConfirmableListener
  /** Undefined until the message is sent, where its listener makes them. */
  bytes: Uint8Array | undefined
  id: number
  retransmissions: number
  /** Milliseconds to wait before the next retransmission. */
  timeout: number
  /** When that is. */
  due: number
  /** When it was sent first, in seconds. */
  sentAt: number
  state: 'queued' | 'outstanding' | 'ended'
  previous: Confirmable | undefined
  next: Confirmable | undefined
}

/** What a server sends requests to a peer with. */
export interface PeerRequests {
  /** Takes a response; false when no request waits for it. */
  response(peer: Peer, message: ReceivedMessage): boolean
  /** The peer is forgotten: nothing may be sent to it any more. */
  ended(): void
}

/** What the peers of one address share; in IPv6 those of a network of 64 bits, within which a host chooses its address. */
export interface PeerHome {
  /** How many peers they are. */
  size: number
  /** Their requests without a response, and confirmable messages for them that are queued, without requests of ours. */
  load: number
  /** Confirmable messages that they may still be sent on trust. */
  trust: number
}

/** What a peer needs of the table that it is in. */
export interface PeerKeeper {
  /** Something that kept the peer has ended. */
  rest(peer: Peer): void
  /** The peer has acknowledged something. */
  trust(peer: Peer): void
}

/** The session of a server's association: its connection, and what watches the user of that. */
export interface PeerSession {
  readonly connection: Context
  look(by: Context): void
}

/** What a peer is made of. */
export interface PeerInit {
  readonly address: string
  readonly port: number
  /** When it was heard, in seconds of the message layer. */
  readonly now: number
  readonly keeper: PeerKeeper
  readonly home: PeerHome
  readonly budget: AnswerRingBudget
  readonly handledBudget: AnswerRingBudget
  readonly credit: number
  readonly association?: SecuredPeer | undefined
}

/** One endpoint that exchanges datagrams with us, or one security association, and all that the message layer keeps for it. */
export class Peer {
  /** That of an association may change. */
  address: string
  port: number
  /** The association that it is; undefined for an endpoint, which is known by its address. */
  readonly association: SecuredPeer | undefined
  /** Set by the layer above for an association that a server has accepted. */
  session: PeerSession | undefined = undefined
  /** The ping to its latest address. */
  probe: AddressProbe | undefined = undefined
  /** Set by the layer above with the first request. */
  endpoint: Endpoint | undefined = undefined
  /** What a datagram can carry. */
  readonly reliable: boolean = false
  readonly maxSzx: number
  readonly maxPayload: number
  readonly duplicates: AnswerRing
  /** When it was last heard, in seconds of the message layer; -1 where nothing has come from a server yet. */
  heard: number
  readonly home: PeerHome
  /** Which list of the table it is in, and where there; 'none' when it has been forgotten. */
  list: 'idle' | 'busy' | 'silent' | 'none' = 'none'
  previous: Peer | undefined = undefined
  next: Peer | undefined = undefined
  /** What `heard` was when it was last spared. */
  lookedAt: number
  /** Requests of it that have no response yet. */
  inFlight = 0
  /** Bytes that it may still be sent while it is not verified. */
  credit: number
  /** True when it has shown that it receives at its address. */
  verified = false
  /** True when it lets messages be retransmitted and has never acknowledged one. */
  silent = false
  /** When it last acknowledged or reset a message of ours, in seconds; -1 for never. */
  replied = -1
  /** Listeners for a reset of a non-confirmable message, by message id. */
  resetListeners: Map<number, ResetListener> = NO_LISTENERS
  /** Confirmable messages that wait for their acknowledgement, by message id. */
  outstanding: Map<number, Confirmable> = NO_CONFIRMABLES
  /** Confirmable messages that may be outstanding: NSTART, or what it has grown to. */
  window = 0
  /** Confirmable messages that wait until NSTART lets them be sent. */
  queue: Confirmable[] = NO_QUEUE
  /** How many of them the peer has asked for: they are no requests of ours. */
  owed = 0
  /** Set while this side sends requests to it. */
  requests: PeerRequests | undefined = undefined
  readonly #keeper: PeerKeeper
  readonly #handledBudget: AnswerRingBudget
  #handled: AnswerRing | undefined
  #nextId = randomInt(65_536)
  #pins = 0
  #trusted = 0
  #strayReplies = 0

  constructor({ address, port, now, keeper, home, budget, handledBudget, credit, association }: PeerInit) {
    this.association = association
    this.maxSzx = association === undefined ? MAX_SZX : szxFor(association.maxPayload - BESIDE_PAYLOAD)
    this.maxPayload = blockSize(this.maxSzx)
    this.#keeper = keeper
    this.home = home
    this.credit = credit
    this.address = address
    this.port = port
    this.heard = now
    this.lookedAt = now
    this.duplicates = new AnswerRing(budget)
    this.#handledBudget = handledBudget
  }

  /** Ids of requests that may change something, with the codes of their responses: kept longer than the responses, so that no such request is handled twice. */
  get handled(): AnswerRing {
    return (this.#handled ??= new AnswerRing(this.#handledBudget))
  }

  get connection(): Context | undefined {
    return this.session?.connection
  }

  get user(): PeerSession | undefined {
    return this.session
  }

  /** Takes over the address that its association has proven. */
  follow(): void {
    const { address, port } = this.association!.proven
    this.address = address
    this.port = port
    const { endpoint } = this
    if (endpoint !== undefined && (endpoint.remotePort !== port || endpoint.remoteAddress !== address))
      this.endpoint = { ...endpoint, remoteAddress: address, remotePort: port }
  }

  /** Keeps it from being forgotten, until `unpin` is called as often. */
  pin(): void {
    this.#pins++
  }

  unpin(): void {
    if (--this.#pins === 0) this.rest()
  }

  /** It has shown that it receives at its address. */
  verify(): void {
    this.verified = true
    // What was sent on trust has been justified.
    this.home.trust += this.#trusted
    this.#trusted = 0
  }

  /** Takes the bytes of a datagram from what it may be sent while it is not verified; false when there is too little. */
  admit(length: number, onTrust: boolean): boolean {
    if (length <= this.credit) {
      this.credit -= length
      return true
    }
    if (!onTrust || this.#trusted >= TRUST || this.home.trust === 0) return false
    this.#trusted++
    this.home.trust--
    return true
  }

  /** It has acknowledged or reset a message of ours, at a time in seconds: it receives at its address, unless it may have guessed the id. */
  acknowledge(now: number): void {
    this.replied = now
    if (this.silent || this.list === 'silent') this.#keeper.trust(this)
    if (!this.verified && this.#strayReplies < MOST_STRAY) this.verify()
  }

  /** It has acknowledged or reset what was never sent, or was settled before. */
  stray(): void {
    if (!this.verified) this.#strayReplies++
  }

  /** Something that kept it has ended. */
  rest(): void {
    this.#keeper.rest(this)
  }

  /** Gives back the bytes of its answers. */
  clear(): void {
    this.duplicates.clear()
    this.#handled?.clear()
  }

  /** Gives a confirmable message an id, which is returned, and keeps it under that until it is settled. */
  hold(confirmable: Confirmable): number {
    const id = this.nextId()
    confirmable.id = id
    if (this.outstanding === NO_CONFIRMABLES) this.outstanding = new Map()
    this.outstanding.set(id, confirmable)
    return id
  }

  /** Queues a confirmable message. */
  enqueue(confirmable: Confirmable): void {
    if (this.queue === NO_QUEUE) this.queue = []
    this.queue.push(confirmable)
    this.#count(confirmable, 1)
  }

  /** The next of the queue. */
  dequeue(): Confirmable | undefined {
    const next = this.queue.shift()
    if (next !== undefined) this.#count(next, -1)
    return next
  }

  /** Takes a confirmable message out of the queue. */
  unqueue(confirmable: Confirmable): void {
    const at = this.queue.indexOf(confirmable)
    if (at < 0) return
    this.queue.splice(at, 1)
    this.#count(confirmable, -1)
  }

  #count({ listener }: Confirmable, change: 1 | -1): void {
    if (listener.asks === true) return
    this.owed += change
    this.home.load += change
  }

  /** Listens for a reset of the non-confirmable message of an id. */
  onReset(id: number, listener: ResetListener): void {
    if (this.resetListeners === NO_LISTENERS) this.resetListeners = new Map()
    this.resetListeners.set(id, listener)
  }

  /** A message id that no outstanding message has; each peer has its own sequence, which begins at random. */
  nextId(): number {
    do this.#nextId = (this.#nextId + 1) & 0xffff
    while (this.outstanding.size > 0 && this.outstanding.has(this.#nextId))
    return this.#nextId
  }

  /** True while something would be lost by forgetting it. */
  get busy(): boolean {
    return this.inFlight > 0 || this.#pins > 0 || this.outstanding.size > 0
  }
}
