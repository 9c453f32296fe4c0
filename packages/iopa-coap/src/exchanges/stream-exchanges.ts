import type { Connection, ConnectionUser, Context, Endpoint, EndReason } from '@iopa/transport'
import { BERT, MAX_SZX } from '../codec/block.ts'
import type { ReceivedMessage } from '../codec/message.ts'
import type { Options } from '../codec/options.ts'
import type { StreamSession } from '../streams/session.ts'
import { bertPayload, type Capabilities, takesBert } from '../streams/signalling.ts'
import type { Exchange, Remote } from './exchange.ts'

/** Bytes that are reserved for the rest of a message beside its payload. */
const OVERHEAD = 256

/** Bytes of payload that one message to a peer may carry: a multiple of 1,024 where there is room for one, since a block has as many as its option says. */
export const maxPayloadOf = (peer: Capabilities): number => Math.max(16, bertPayload(peer, OVERHEAD) || peer.maxMessageSize - OVERHEAD)

/** Signals that may wait until requests have been answered. */
const MOST_AFTERWARDS = 64

/** What a server sends requests on a connection with. */
export interface ConnectionRequests {
  /** How many wait for a response. */
  readonly waiting: number
  /** Takes a response, which may match none. */
  response(message: ReceivedMessage): void
  /** A response was too large to be taken. */
  oversized(code: number, token: Uint8Array): void
  /** The connection is closed. */
  ended(): void
}

/** A peer on a connection. */
export class StreamConnection implements Remote {
  readonly endpoint: Endpoint
  readonly connection: Context
  readonly address: string
  readonly port: number
  readonly reliable: boolean = true
  readonly verified: boolean = true
  readonly credit: number = Number.POSITIVE_INFINITY
  readonly counted: Connection
  user: ConnectionUser | undefined
  session: StreamSession | undefined
  /** Set while this side sends requests to it. */
  requests: ConnectionRequests | undefined
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

  pin(): void {
    this.#pins++
    // An observer may be silent for long.
    this.counted.keepAlive(true)
  }

  unpin(): void {
    this.counted.keepAlive(--this.#pins > 0)
  }

  /** A connection proves the address of its peer. */
  verify(): void {}

  /** True while this side awaits responses on it. */
  get asks(): boolean {
    return this.requests !== undefined && this.requests.waiting > 0
  }

  get maxSzx(): number {
    return this.session !== undefined && takesBert(this.session.peer) ? BERT : MAX_SZX
  }

  get maxPayload(): number {
    return maxPayloadOf(this.session!.peer)
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
export class StreamExchange implements Exchange<StreamConnection> {
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
}
