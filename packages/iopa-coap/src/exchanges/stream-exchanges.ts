import type { Connection, ConnectionUser, Context, Endpoint, EndReason } from '@iopa/appbuilder'
import { BERT, MAX_SZX } from '../codec/block.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { Observer } from '../observers/observers.ts'
import type { StreamSession } from '../streams/session.ts'
import { bertPayload, takesBert } from '../streams/signalling.ts'
import type { Exchange, NotificationSource, Remote, Subscriber } from './exchange.ts'

/** What a message takes beside its payload, in bytes: more is not reserved. */
export const OVERHEAD = 256

/** Signals that may wait until requests have been answered. */
const MOST_AFTERWARDS = 64
const NOTHING = new Uint8Array(0)

/** A peer on a connection. */
export class StreamConnection implements Remote {
  readonly endpoint: Endpoint
  readonly connection: Context
  readonly address: string
  readonly port: number
  readonly reliable: boolean = true
  verified = true
  readonly credit: number = Number.POSITIVE_INFINITY
  observers: Map<string, Observer> | undefined = undefined
  readonly counted: Connection
  user: ConnectionUser | undefined
  session: StreamSession | undefined
  /** Why the connection's scope ends. */
  reason: EndReason = 'disconnect'
  /** Requests that have no answer yet. */
  inFlight = 0
  #pins = 0
  readonly #afterwards: (() => void)[] = []

  constructor(endpoint: Endpoint, connection: Context, counted: Connection) {
    this.endpoint = endpoint
    this.connection = connection
    this.counted = counted
    this.address = endpoint.remoteAddress
    this.port = endpoint.remotePort
  }

  get pins(): number {
    return this.#pins
  }
  set pins(pins: number) {
    this.#pins = pins
    // Who observes may be silent for long.
    this.counted.keepAlive(pins > 0)
  }

  get maxSzx(): number {
    return this.session !== undefined && takesBert(this.session.peer) ? BERT : MAX_SZX
  }

  get maxPayload(): number {
    const { peer } = this.session!
    const room = peer.maxMessageSize - OVERHEAD
    // A block may have as many bytes as its option says, so a multiple of 1,024 where there is room for one.
    return Math.max(16, bertPayload(peer, OVERHEAD) || room)
  }

  send(message: ReceivedMessage, code: number, options: Options, payload: Uint8Array): void {
    this.session?.send(code, message.token, options, payload)
  }

  /** Calls `work` when no request is without its answer. */
  whenAnswered(work: () => void): void {
    if (this.inFlight === 0) work()
    else if (this.#afterwards.length < MOST_AFTERWARDS) this.#afterwards.push(work)
    else this.session?.abort('Too many signals wait for the answers before them')
  }

  settle(): void {
    this.inFlight--
    if (this.inFlight === 0) for (const work of this.#afterwards.splice(0)) work()
    this.counted.busy(this.inFlight)
    this.session?.resume()
  }
}

/** A request that came on a connection. */
export class StreamExchange implements Exchange {
  readonly remote: StreamConnection
  readonly message: ReceivedMessage
  readonly toMulticast: boolean = false
  ended = false

  constructor(remote: StreamConnection, message: ReceivedMessage) {
    this.remote = remote
    this.message = message
    remote.counted.busy(++remote.inFlight)
  }

  respond(code: number, options: Options, payload: Uint8Array): void {
    if (this.ended) return
    this.ended = true
    this.remote.send(this.message, code, options, payload)
    this.remote.settle()
  }

  suppress(): void {
    if (this.ended) return
    this.ended = true
    this.remote.settle()
  }

  subscriber(source: NotificationSource): Subscriber {
    return new StreamSubscriber(this.remote, this.message, source)
  }
}

/** Tells an observer on its connection; there are no types of messages and nothing to acknowledge (RFC 8323 section 7). */
class StreamSubscriber implements Subscriber {
  readonly #remote: StreamConnection
  readonly #message: ReceivedMessage
  readonly #source: NotificationSource

  constructor(remote: StreamConnection, message: ReceivedMessage, source: NotificationSource) {
    this.#remote = remote
    this.#message = message
    this.#source = source
  }

  changed(): Promise<void> | undefined {
    const { code, options, payload } = this.#source.notification()
    this.#remote.send(this.#message, code, options, payload)
    this.#source.delivered()
    const { session } = this.#remote
    return session === undefined || session.writable ? undefined : session.drained()
  }

  dismiss(code: number, options: Options): void {
    this.#remote.send(this.#message, code, options, NOTHING)
  }

  close(): void {
    // What was written cannot be taken back.
  }
}
