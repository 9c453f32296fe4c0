import { randomInt } from 'node:crypto'
import type { Context, Endpoint } from '@iopa/appbuilder'
import { MAX_SZX } from '../codec/block.ts'
import type { Remote } from '../server/exchange.ts'
import type { Observer } from '../server/observers.ts'
import type { Confirmable } from './confirmable.ts'
import { Deduplication, type DeduplicationBudget } from './deduplication.ts'
import type { DatagramSubscriber } from './subscriber.ts'

// Most peers never need these; they get collections of their own when they do.
const NO_CONFIRMABLES: Map<number, Confirmable> = new Map()
const NO_QUEUE: Confirmable[] = []
const NO_SUBSCRIBERS: Map<number, DatagramSubscriber> = new Map()

/** One endpoint that we exchange datagrams with, and all that is kept for it. */
export class Peer implements Remote {
  readonly address: string
  readonly port: number
  endpoint: Endpoint | undefined = undefined
  observers: Map<string, Observer> | undefined = undefined
  readonly connection: Context | undefined = undefined
  readonly maxSzx: number = MAX_SZX
  readonly maxPayload: number = 1024
  readonly reliable: boolean = false
  readonly duplicates: Deduplication
  /** When it was last heard, in seconds of the message layer. */
  heard: number
  /** Its place in the table. */
  previous: Peer | undefined = undefined
  next: Peer | undefined = undefined
  /** What `heard` was when it was last spared. */
  lookedAt: number
  /** Requests of it that have no answer yet. */
  inFlight = 0
  pins = 0
  verified = false
  /** Observations by the id of their last notification, where that was not confirmable. */
  subscribers: Map<number, DatagramSubscriber> = NO_SUBSCRIBERS
  /** Confirmable messages that wait for their acknowledgement, by message id. */
  outstanding: Map<number, Confirmable> = NO_CONFIRMABLES
  /** Confirmable messages that may be outstanding: NSTART, or what it has grown to. */
  window = 0
  /** Confirmable messages that wait for those, see NSTART. */
  queue: Confirmable[] = NO_QUEUE
  #nextId = randomInt(65_536)

  constructor(address: string, port: number, heard: number, budget: DeduplicationBudget) {
    this.address = address
    this.port = port
    this.heard = heard
    this.lookedAt = heard
    this.duplicates = new Deduplication(budget)
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
  }

  /** Keeps an observation under the id of its last notification. */
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
