import { randomInt } from 'node:crypto'
import type { Context, Endpoint } from '@iopa/appbuilder'
import { MAX_SZX } from '../codec/block.ts'
import type { Remote } from '../exchanges/exchange.ts'
import type { DatagramSubscriber } from '../observers/datagram-notifier.ts'
import type { Observer } from '../observers/observers.ts'
import type { Confirmable } from './confirmable.ts'
import { Deduplication, type DeduplicationBudget } from './deduplication.ts'
import type { PeerList } from './peer-list.ts'
import type { PeerTable } from './peer-table.ts'

// Most peers never need these; they get collections of their own when they do.
const NO_CONFIRMABLES: Map<number, Confirmable> = new Map()
const NO_QUEUE: Confirmable[] = []
const NO_SUBSCRIBERS: Map<number, DatagramSubscriber> = new Map()

/** Notifications that an unverified peer may be sent on trust, beyond what it has sent (RFC 7641 section 7). */
const TRUST = 2
/** Replies that match nothing after which a matching one may be a guess: it proves no address any more. */
const MOST_STRAY = 8

/** What the peers of one address have in common. */
export interface PeerAddress {
  readonly peers: Map<number, Peer>
  /** Their requests without an answer, and their answers that wait for their turn. */
  load: number
  /** Notifications that they may still be sent on trust. */
  trust: number
}

/** What a peer is made of. */
export interface PeerInit {
  readonly table: PeerTable
  readonly home: PeerAddress
  readonly budget: DeduplicationBudget
  readonly handledBudget: DeduplicationBudget
  readonly credit: number
}

/** One endpoint that we exchange datagrams with, and all that is kept for it. */
export class Peer implements Remote {
  readonly address: string
  readonly port: number
  endpoint: Endpoint | undefined = undefined
  observers: Map<string, Observer> | undefined = undefined
  readonly connection: Context | undefined = undefined
  readonly user = undefined
  readonly maxSzx: number = MAX_SZX
  readonly maxPayload: number = 1024
  readonly reliable: boolean = false
  readonly duplicates: Deduplication
  /** The ids of requests that may change something, with the codes of their answers: they must outlive those, lest such a request is handled twice. */
  readonly handled: Deduplication
  /** When it was last heard, in seconds of the message layer. */
  heard: number
  readonly home: PeerAddress
  /** Its place in the table; none when it has been forgotten. */
  list: PeerList | undefined = undefined
  previous: Peer | undefined = undefined
  next: Peer | undefined = undefined
  /** What `heard` was when it was last spared. */
  lookedAt: number
  /** Requests of it that have no answer yet. */
  inFlight = 0
  /** Bytes that it may still be sent while it is not verified. */
  credit: number
  /** True when it lets messages be repeated and has never acknowledged one. */
  silent = false
  /** When it last acknowledged or reset a message of ours, in seconds; -1 for never. */
  replied = -1
  /** Observations by the ids of their notifications that were not confirmable. */
  subscribers: Map<number, DatagramSubscriber> = NO_SUBSCRIBERS
  /** Confirmable messages that wait for their acknowledgement, by message id. */
  outstanding: Map<number, Confirmable> = NO_CONFIRMABLES
  /** Confirmable messages that may be outstanding: NSTART, or what it has grown to. */
  window = 0
  /** Confirmable messages that wait for those, see NSTART. */
  queue: Confirmable[] = NO_QUEUE
  readonly #table: PeerTable
  #nextId = randomInt(65_536)
  #pins = 0
  #verified = false
  #trusted = 0
  #strayReplies = 0

  constructor(address: string, port: number, heard: number, { table, home, budget, handledBudget, credit }: PeerInit) {
    this.#table = table
    this.home = home
    this.credit = credit
    this.address = address
    this.port = port
    this.heard = heard
    this.lookedAt = heard
    this.duplicates = new Deduplication(budget)
    this.handled = new Deduplication(handledBudget)
  }

  get pins(): number {
    return this.#pins
  }
  set pins(pins: number) {
    this.#pins = pins
    if (pins === 0) this.rest()
  }

  get verified(): boolean {
    return this.#verified
  }
  set verified(verified: boolean) {
    this.#verified = verified
    if (!verified) return
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
    this.#table.trust(this)
    if (!this.#verified && this.#strayReplies < MOST_STRAY) this.verified = true
  }

  /** It has acknowledged or reset what was never sent, or was settled before. */
  stray(): void {
    if (!this.#verified) this.#strayReplies++
  }

  /** Something that kept it has ended. */
  rest(): void {
    this.#table.rest(this)
  }

  /** Gives back the bytes of what it has sent and was answered. */
  clear(): void {
    this.duplicates.clear()
    this.handled.clear()
  }

  /** Keeps a confirmable message under its id. */
  hold(confirmable: Confirmable): void {
    if (this.outstanding === NO_CONFIRMABLES) this.outstanding = new Map()
    this.outstanding.set(confirmable.id, confirmable)
  }

  /** Puts a confirmable message behind those that wait. */
  enqueue(confirmable: Confirmable): void {
    if (this.queue === NO_QUEUE) this.queue = []
    this.queue.push(confirmable)
    this.home.load++
  }

  /** The confirmable message whose turn is next. */
  dequeue(): Confirmable | undefined {
    const next = this.queue.shift()
    if (next !== undefined) this.home.load--
    return next
  }

  /** Takes a confirmable message out that waits. */
  unqueue(confirmable: Confirmable): void {
    const at = this.queue.indexOf(confirmable)
    if (at < 0) return
    this.queue.splice(at, 1)
    this.home.load--
  }

  /** Keeps an observation under the id of a notification. */
  subscribe(id: number, subscriber: DatagramSubscriber): void {
    if (this.subscribers === NO_SUBSCRIBERS) this.subscribers = new Map()
    this.subscribers.set(id, subscriber)
  }

  /** A message id that no outstanding message has; each peer has its own sequence, which begins at random. */
  nextId(): number {
    do this.#nextId = (this.#nextId + 1) & 0xffff
    while (this.outstanding.size > 0 && this.outstanding.has(this.#nextId))
    return this.#nextId
  }

  /** True while something would be lost by forgetting it. */
  get busy(): boolean {
    return this.inFlight > 0 || this.pins > 0 || this.outstanding.size > 0
  }
}
