import { isLoopback } from '@iopa/appbuilder'
import { CODE, isSafe } from '../codec/codes.ts'
import { encodeEmpty, encodeReply } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import { NO_OPTIONS, Options } from '../codec/options.ts'
import type { ConfirmableListener } from '../messages/confirmable.ts'
import { fingerprintOf, IN_PROGRESS, UNSEEN } from '../messages/deduplication.ts'
import type { MessageLayer } from '../messages/message-layer.ts'
import type { MessageLimits } from '../messages/message-limits.ts'
import type { Peer } from '../messages/peer.ts'
import { creditFor } from './amplification.ts'
import { DatagramExchange } from './datagram-exchange.ts'
import { Unanswered } from './unanswered.ts'

const EMPTY = new Uint8Array(0)
const BUSY = new Options()
/** What Max-Age says to a peer that is not known yet and finds no room, and to one that has too much in work, in seconds. */
const BUSY_STRANGER = 60
const BUSY_PEER = 2

/** How requests are taken; times are in seconds. */
export interface RequestSettings {
  readonly limits: MessageLimits
  /** How many times what it has sent a peer may be sent while it is not verified. */
  readonly amplification: number
  /** Takes a request that was not seen before. */
  readonly handle: (exchange: DatagramExchange) => void
  readonly onError: (error: unknown) => void
  /** How long the id of a confirmable message, and of another one, belongs to that message. */
  readonly lifetime: number
  readonly nonLifetime: number
}

/** The requests of a message layer: each is handled once (RFC 7252 section 4.5), and answered in its acknowledgement or separately (section 5.2). */
export class Requests {
  readonly #layer: MessageLayer
  readonly #limits: MessageLimits
  readonly #amplification: number
  readonly #handle: (exchange: DatagramExchange) => void
  readonly #onError: (error: unknown) => void
  readonly #lifetime: number
  readonly #nonLifetime: number
  readonly #unanswered = new Unanswered()
  #inFlight = 0
  #closed = false

  constructor(layer: MessageLayer, { limits, amplification, handle, onError, lifetime, nonLifetime }: RequestSettings) {
    this.#layer = layer
    this.#limits = limits
    this.#amplification = amplification
    this.#handle = handle
    this.#onError = onError
    this.#lifetime = lifetime
    this.#nonLifetime = nonLifetime
  }

  get layer(): MessageLayer {
    return this.#layer
  }

  /** Requests without an answer. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** True while none waits to be acknowledged. */
  get answered(): boolean {
    return this.#unanswered.empty
  }

  /** Takes a request, or what is one once more. */
  receive(peer: Peer, message: ReceivedMessage, toMulticast: boolean): void {
    peer.heard = this.#layer.seconds
    if (!peer.verified) peer.credit += creditFor(message.bytes.length, this.#amplification)
    const { duplicates } = peer
    const fingerprint = fingerprintOf(message)
    const confirmable = message.type === TYPE.CON
    const seen = duplicates.find(message.id, fingerprint, this.#layer.seconds, confirmable ? this.#lifetime : this.#nonLifetime)
    if (seen !== UNSEEN) {
      if (seen === IN_PROGRESS || !confirmable) return
      const answer = duplicates.answer(seen)
      if (answer !== undefined) this.#layer.transmit(peer, answer)
      return
    }
    if (!isSafe(message.code) && this.#repeats(peer, message, fingerprint)) return
    if (confirmable) duplicates.begin(message.id)
    else this.#record(peer, message, fingerprint, undefined)
    const exchange = new DatagramExchange(this, peer, message, fingerprint, toMulticast)
    this.#inFlight++
    peer.inFlight++
    peer.home.load++
    if (this.#inFlight > this.#limits.inFlight || this.#isLoaded(peer)) {
      if (toMulticast) exchange.suppress()
      else exchange.respond(CODE.SERVICE_UNAVAILABLE, BUSY.reset().add(OPTION.MAX_AGE, BUSY_PEER), EMPTY)
      return
    }
    try {
      this.#handle(exchange)
    } catch (error) {
      this.#onError(error)
      exchange.respond(CODE.INTERNAL_SERVER_ERROR, NO_OPTIONS, EMPTY)
    }
    if (!confirmable) return
    duplicates.leave(message.id, !exchange.ended)
    if (!exchange.ended) {
      this.#unanswered.add(exchange)
      this.#layer.hasten()
    }
  }

  /** Sends the answer to an exchange; called by it, once. */
  respond(exchange: DatagramExchange, code: number, options: Options, payload: Uint8Array): void {
    if (this.#closed) return
    const { remote: peer, message } = exchange
    const piggybacked = message.type === TYPE.CON && !exchange.acknowledged
    const type = piggybacked ? TYPE.ACK : message.type
    const bytes = encodeReply(message, type, message.id, code, options, payload)
    if (piggybacked) {
      this.#record(peer, message, exchange.fingerprint, bytes)
      this.#layer.transmit(peer, bytes)
    } else if (type === TYPE.CON) this.#layer.sendConfirmable(peer, bytes, SEPARATE)
    else this.#layer.sendNonConfirmable(peer, bytes)
    this.#release(exchange)
  }

  /** Ends an exchange without a response; a confirmable request is acknowledged. */
  suppress(exchange: DatagramExchange): void {
    if (this.#closed) return
    if (exchange.message.type === TYPE.CON && !exchange.acknowledged) this.#acknowledge(exchange)
    this.#release(exchange)
  }

  /** Ends an exchange with a reset. */
  reject(exchange: DatagramExchange): void {
    const { remote, message } = exchange
    remote.duplicates.forget(message.id)
    this.#layer.transmit(remote, encodeEmpty(TYPE.RST, message.id))
    this.#release(exchange)
  }

  /** Acknowledges those whose answers take long. */
  step(): void {
    this.#unanswered.step(exchange => {
      exchange.acknowledged = true
      this.#acknowledge(exchange)
    })
  }

  /** Nothing is answered any more. */
  close(): void {
    this.#closed = true
    this.#unanswered.clear()
  }

  #acknowledge(exchange: DatagramExchange): void {
    const { remote: peer, message } = exchange
    const bytes = encodeEmpty(TYPE.ACK, message.id)
    this.#record(peer, message, exchange.fingerprint, bytes)
    this.#layer.transmit(peer, bytes)
  }

  /** True when a peer, or its address, has too much in work; answers that wait for acknowledgements of those before them count as well. */
  #isLoaded(peer: Peer): boolean {
    const { inFlightPerPeer, inFlightPerAddress = Number.POSITIVE_INFINITY } = this.#limits
    return peer.inFlight + peer.queue.length > inFlightPerPeer || (peer.home.load > inFlightPerAddress && !isLoopback(peer.address))
  }

  /** Remembers a request that is not to be handled again, and its answer. */
  #record(peer: Peer, { id, code }: ReceivedMessage, fingerprint: number, answer: Uint8Array | undefined): void {
    const { seconds } = this.#layer
    peer.duplicates.record(id, fingerprint, seconds, answer)
    if (!isSafe(code)) peer.handled.record(id, fingerprint, seconds, answer?.subarray(1, 2))
  }

  /** True for a request that was handled although its answer is not kept any more: it is answered with the code of that alone. */
  #repeats(peer: Peer, message: ReceivedMessage, fingerprint: number): boolean {
    const { id, type } = message
    const confirmable = type === TYPE.CON
    const at = peer.handled.find(id, fingerprint, this.#layer.seconds, confirmable ? this.#lifetime : this.#nonLifetime)
    if (at < 0) return false
    const code = peer.handled.answer(at)?.[0]
    if (code === undefined || !confirmable) return true
    const answer = code === CODE.EMPTY ? encodeEmpty(TYPE.ACK, id) : encodeReply(message, TYPE.ACK, id, code, NO_OPTIONS, EMPTY)
    this.#layer.transmit(peer, answer)
    return true
  }

  #release(exchange: DatagramExchange): void {
    const { remote } = exchange
    this.#inFlight--
    remote.home.load--
    if (--remote.inFlight === 0) remote.rest()
    this.#layer.settled()
  }
}

/** Says 5.03 to a peer for which there is no room. */
export const busyAnswer = (message: ReceivedMessage): Uint8Array => {
  const options = BUSY.reset().add(OPTION.MAX_AGE, BUSY_STRANGER)
  return encodeReply(message, message.type === TYPE.CON ? TYPE.ACK : TYPE.NON, message.id, CODE.SERVICE_UNAVAILABLE, options, EMPTY)
}

/** A separate response is repeated until it is acknowledged; nobody waits for the outcome. */
const SEPARATE: ConfirmableListener = {
  acknowledged: message => message.code === CODE.EMPTY,
  reset() {},
  expired() {}
}
