import { isLoopback } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import { encodeEmpty, encodeReply } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import { NO_OPTIONS, Options } from '../codec/options.ts'
import { echoFor } from '../messages/address-probe.ts'
import type { MessageHandlers } from '../messages/layer-parts.ts'
import type { MessageLayer } from '../messages/message-layer.ts'
import type { ConfirmableListener } from '../messages/message-listeners.ts'
import type { MessageLimits } from '../messages/parameters.ts'
import type { Peer } from '../messages/peer.ts'
import type { Exchange } from './exchange.ts'

const EMPTY = new Uint8Array(0)
const BUSY = new Options()
/** Max-Age for a peer that is not known yet and finds no room, for one that has too much in flight, and while the server closes; in seconds. */
const BUSY_STRANGER = 60
const BUSY_PEER = 2
const CLOSING = 30

/**
 * How many steps a request for a block waits: libcoap 4.3.1 gives up a transfer whose block comes in a separate response.
 * It is still half the time after which a client sends again.
 */
const BLOCK_PATIENCE = 20

/** A request that came in a datagram. */
export class DatagramExchange implements Exchange<Peer> {
  readonly remote: Peer
  readonly message: ReceivedMessage
  readonly toMulticast: boolean
  /** True when it came from the latest address of an association, where it is answered. */
  readonly unproven: boolean
  /** Distinguishes the message from another of the same id. */
  fingerprint = 0
  /** True when an Empty acknowledgement was sent, so that the response follows as a message of its own. */
  acknowledged = false
  ended = false
  /** Steps that it has waited for its response. */
  steps = 0
  readonly #exchanges: DatagramExchanges

  constructor(exchanges: DatagramExchanges, remote: Peer, message: ReceivedMessage, toMulticast: boolean, unproven: boolean) {
    this.#exchanges = exchanges
    this.remote = remote
    this.message = message
    this.toMulticast = toMulticast
    this.unproven = unproven
  }

  respond(code: number, options: Options, payload: Uint8Array): void {
    if (this.ended) return
    this.ended = true
    this.#exchanges.respond(this, code, options, payload)
  }

  suppress(): void {
    if (this.ended) return
    this.ended = true
    this.#exchanges.suppress(this)
  }
}

/** How requests are taken. */
export interface DatagramExchangesInit {
  readonly limits: MessageLimits
  /** Answers requests, now or later. */
  readonly handler: { handle(exchange: DatagramExchange): void }
  readonly onError: (error: unknown) => void
}

/** The requests to a server over datagrams: each is answered in its acknowledgement, or separately (RFC 7252 section 5.2). */
export class DatagramExchanges implements MessageHandlers {
  readonly #layer: MessageLayer
  readonly #limits: MessageLimits
  readonly #handler: DatagramExchangesInit['handler']
  readonly #onError: (error: unknown) => void
  /** Requests without a response. */
  inFlight = 0
  /** False while the server closes: then requests are answered 5.03. */
  accepting = true
  /** Confirmable requests that wait for their response: since the last step, and from the step before. */
  #recent: DatagramExchange[] = []
  #waiting: DatagramExchange[] = []

  constructor(layer: MessageLayer, { limits, handler, onError }: DatagramExchangesInit) {
    this.#layer = layer
    this.#limits = limits
    this.#handler = handler
    this.#onError = onError
  }

  get idle(): boolean {
    return this.inFlight === 0
  }

  request(peer: Peer, message: ReceivedMessage, fingerprint: number, toMulticast: boolean, unproven: boolean): boolean {
    const exchange = new DatagramExchange(this, peer, message, toMulticast, unproven)
    exchange.fingerprint = fingerprint
    const { inFlight, inFlightPerPeer, inFlightPerAddress = Number.POSITIVE_INFINITY } = this.#limits
    const { home } = peer
    this.inFlight++
    peer.inFlight++
    home.load++
    // Confirmable responses that wait for the acknowledgements of those before them count as well.
    const full =
      this.inFlight > inFlight || peer.inFlight + peer.owed > inFlightPerPeer || (home.load > inFlightPerAddress && !isLoopback(peer.address))
    if (full || !this.accepting) {
      if (toMulticast) exchange.suppress()
      else exchange.respond(CODE.SERVICE_UNAVAILABLE, BUSY.reset().add(OPTION.MAX_AGE, full ? BUSY_PEER : CLOSING), EMPTY)
      return false
    }
    try {
      this.#handler.handle(exchange)
    } catch (error) {
      this.#onError(error)
      exchange.respond(CODE.INTERNAL_SERVER_ERROR, NO_OPTIONS, EMPTY)
    }
    if (exchange.ended || message.type !== TYPE.CON) return false
    this.#recent.push(exchange)
    return true
  }

  refusal(message: ReceivedMessage): Uint8Array {
    const type = message.type === TYPE.CON ? TYPE.ACK : TYPE.NON
    return encodeReply(message, type, message.id, CODE.SERVICE_UNAVAILABLE, BUSY.reset().add(OPTION.MAX_AGE, BUSY_STRANGER), EMPTY)
  }

  response(peer: Peer, message: ReceivedMessage): boolean {
    return peer.requests?.response(peer, message) ?? false
  }

  /** Acknowledges requests whose responses take longer than one to two steps. */
  step(): boolean {
    const waited = this.#waiting
    this.#waiting = this.#recent
    this.#recent = []
    for (const exchange of waited) {
      if (exchange.ended) continue
      if (++exchange.steps < BLOCK_PATIENCE && exchange.message.options.has(OPTION.BLOCK2)) this.#waiting.push(exchange)
      else {
        exchange.acknowledged = true
        this.#acknowledge(exchange)
      }
    }
    return this.#waiting.length > 0
  }

  /** Sends the response of an exchange; called by it, once. */
  respond(exchange: DatagramExchange, code: number, given: Options, payload: Uint8Array): void {
    const { remote: peer, message, unproven } = exchange
    const echo = unproven && code >> 5 === 2 ? echoFor(peer, this.#layer.seconds) : undefined
    const options = echo === undefined ? given : given.copy().set(OPTION.ECHO, echo)
    const { type } = message
    if (type !== TYPE.CON) this.#layer.transmit(peer, encodeReply(message, type, peer.nextId(), code, options, payload), false, unproven)
    else {
      const bytes = encodeReply(message, exchange.acknowledged ? TYPE.CON : TYPE.ACK, message.id, code, options, payload)
      if (exchange.acknowledged) this.#layer.sendConfirmable(peer, bytes, unproven ? SEPARATE_TO_LATEST : SEPARATE)
      else this.#layer.acknowledge(peer, message, exchange.fingerprint, bytes, unproven)
    }
    this.inFlight--
    peer.home.load--
    if (--peer.inFlight === 0 && peer.list !== 'idle') peer.rest()
    if (this.#layer.draining) this.#layer.settled()
  }

  /** Ends an exchange without a response; a confirmable request is acknowledged. */
  suppress(exchange: DatagramExchange): void {
    const { remote: peer, message } = exchange
    if (message.type === TYPE.CON && !exchange.acknowledged) this.#acknowledge(exchange)
    this.inFlight--
    peer.home.load--
    if (--peer.inFlight === 0 && peer.list !== 'idle') peer.rest()
    if (this.#layer.draining) this.#layer.settled()
  }

  #acknowledge({ remote, message, fingerprint, unproven }: DatagramExchange): void {
    this.#layer.acknowledge(remote, message, fingerprint, encodeEmpty(TYPE.ACK, message.id), unproven)
  }
}

/** A separate response is retransmitted until it is acknowledged; the outcome changes nothing. */
const SEPARATE: ConfirmableListener = {
  acknowledged: message => message.code === CODE.EMPTY,
  reset() {},
  expired() {}
}

const SEPARATE_TO_LATEST: ConfirmableListener = { ...SEPARATE, toLatest: true }
