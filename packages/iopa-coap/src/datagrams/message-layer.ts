import type { Clock, DatagramChannel, TimerHandle } from '@iopa/appbuilder'
import { CODE } from '../codec/codes.ts'
import { decode, encodeEmpty, encodeMessage, type ReceivedMessage } from '../codec/datagram-codec.ts'
import { TYPE } from '../codec/message.ts'
import { NO_OPTIONS, OptionWriter } from '../codec/option-writer.ts'
import { OPTION } from '../codec/options.ts'
import type { Transmission } from '../parameters.ts'
import type { Confirmable, ConfirmableListener } from './confirmable.ts'
import { IN_PROGRESS, UNSEEN } from './deduplication.ts'
import { DatagramExchange } from './exchange.ts'
import type { Peer } from './peer.ts'
import { PeerTable } from './peer-table.ts'
import { Retransmission } from './retransmission.ts'

/** The step of the one timer: a request that takes longer than one to two steps gets an empty acknowledgement first. */
const TICK = 50
/**
 * How many steps a request for a block waits: libcoap 4.3.1 gives up a transfer whose block comes in a separate response.
 * It is still half the time after which a client asks again.
 */
const BLOCK_PATIENCE = 20
/** The step while nothing is outstanding and only peers are remembered. */
const IDLE_TICK = 1000
/** How often peers are looked through, in seconds. */
const EXPIRE_EVERY = 8
const EMPTY = new Uint8Array(0)

/** What the layers above do with what arrives; none of these may throw. */
export interface MessageHandlers {
  /** A request that was not seen before. */
  request(exchange: DatagramExchange): void
  /** A response in a message of its own; false when nobody waits for it, and it is rejected. */
  response(peer: Peer, message: ReceivedMessage): boolean
}

/** Bounds of a message layer. */
export interface MessageLimits {
  /** Peers that are remembered; beyond it the one that was silent for longest is forgotten. */
  readonly peers: number
  /** Requests without an answer, in all and for each peer; beyond it they are answered 5.03. */
  readonly inFlight: number
  readonly inFlightPerPeer: number
  /** Bytes of answers kept for repetition, for each peer and in all. */
  readonly duplicatePeerBytes: number
  readonly duplicateBytes: number
  /** Confirmable messages that wait for their turn, for each peer. */
  readonly queue: number
}

/** What a message layer works on. */
export interface MessageLayerInit {
  readonly channel: DatagramChannel
  readonly clock: Clock
  readonly transmission: Transmission
  readonly limits: MessageLimits
  readonly handlers: MessageHandlers
  /** Told of what the channel reports and of faults in a handler. */
  readonly onError: (error: unknown) => void
}

/** The message layer of RFC 7252 section 4 over one datagram channel, for both roles. */
export class MessageLayer {
  readonly transmission: Transmission
  readonly #channel: DatagramChannel
  readonly #clock: Clock
  readonly #limits: MessageLimits
  readonly #handlers: MessageHandlers
  readonly #onError: (error: unknown) => void
  readonly #peers: PeerTable
  readonly #retransmission: Retransmission
  readonly #exchangeLifetime: number
  readonly #nonLifetime: number
  readonly #start: number
  #seconds = 0
  #expireAt = EXPIRE_EVERY
  /** Requests since the last tick that have no answer yet, and those from the tick before. */
  #young: DatagramExchange[] = []
  #old: DatagramExchange[] = []
  #timer: TimerHandle
  #timerDue = Number.POSITIVE_INFINITY
  #inFlight = 0
  #closed = false
  #idle: (() => void) | undefined

  constructor(init: MessageLayerInit) {
    const { channel, clock, transmission, limits, handlers, onError } = init
    this.transmission = transmission
    this.#channel = channel
    this.#clock = clock
    this.#limits = limits
    this.#handlers = handlers
    this.#onError = onError
    this.#peers = new PeerTable(limits.peers, { peerBytes: limits.duplicatePeerBytes, bytes: limits.duplicateBytes, used: 0 })
    this.#retransmission = new Retransmission({
      transmission,
      queue: limits.queue,
      now: () => clock.now(),
      send: (bytes, peer) => this.#send(bytes, peer.port, peer.address),
      onError
    })
    this.#exchangeLifetime = Math.ceil(transmission.exchangeLifetime / 1000)
    this.#nonLifetime = Math.ceil(transmission.nonLifetime / 1000)
    this.#start = clock.now()
    channel.open({ message: (bytes, address, port, toMulticast) => this.receive(bytes, address, port, toMulticast === true), error: onError })
  }

  /** Seconds since the layer was made, as of the last tick. */
  get seconds(): number {
    return this.#seconds
  }

  /** Every peer that is remembered. */
  get peers(): Iterable<Peer> & { readonly size: number } {
    return this.#peers
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** The peer at an address, remembered from now on; undefined when the table is full of busy ones. */
  peer(address: string, port: number): Peer | undefined {
    return this.#peers.find(address, port) ?? this.#add(address, port)
  }

  /** Takes a datagram. Never throws, whatever it holds. */
  receive(bytes: Uint8Array, address: string, port: number, toMulticast: boolean): void {
    // Nothing can be sent to port 0, so nothing is done for who claims it.
    if (this.#closed || port === 0) return
    const message = decode(bytes)
    // What came to a group is a non-confirmable request or is ignored, so that no group answers at once (RFC 7252 section 8.1).
    if (toMulticast && ('malformed' in message || message.type !== TYPE.NON || message.code === CODE.EMPTY || message.code >= 32)) return
    if ('malformed' in message) {
      if (message.malformed === 'reset') this.#send(encodeEmpty(TYPE.RST, message.id), port, address)
      return
    }
    try {
      if (message.type >= TYPE.ACK) this.#receiveReply(message, port, address)
      else if (message.code !== CODE.EMPTY && message.code < 32) this.#receiveRequest(message, port, address, toMulticast)
      else if (message.code >= 64 && message.code < 192) this.#receiveResponse(message, port, address)
      else this.#reject(message, port, address)
    } catch (error) {
      this.#onError(error)
    }
  }

  /**
   * Sends a confirmable message, at once or when those before it are acknowledged; the id is written into the bytes, which the listener makes where none are given.
   * Undefined when too many wait, or when the channel is closed.
   */
  sendConfirmable(peer: Peer, bytes: Uint8Array | undefined, listener: ConfirmableListener): Confirmable | undefined {
    if (this.#closed) return undefined
    this.#arm(TICK)
    return this.#retransmission.send(peer, bytes, listener)
  }

  /** Sends a non-confirmable message and returns the id that it got. */
  sendNonConfirmable(peer: Peer, bytes: Uint8Array): number {
    const id = peer.nextId()
    bytes[2] = id >> 8
    bytes[3] = id & 255
    this.#send(bytes, peer.port, peer.address)
    return id
  }

  /** Gives up a confirmable message without telling its listener. */
  cancel(confirmable: Confirmable): void {
    this.#retransmission.cancel(confirmable)
    if (this.#idle !== undefined) this.#checkIdle()
  }

  /** Sends the answer to an exchange; called by it, once. */
  respond(exchange: DatagramExchange, code: number, options: OptionWriter, payload: Uint8Array): void {
    if (this.#closed) return
    const { remote: peer, message } = exchange
    const piggybacked = message.type === TYPE.CON && !exchange.acknowledged
    const type = piggybacked ? TYPE.ACK : message.type
    const bytes = encodeMessage(type, code, message.id, message.bytes, message.tokenStart, message.tokenEnd, options, payload)
    if (piggybacked) {
      peer.duplicates.record(message.id, exchange.fingerprint, this.#seconds, bytes)
      this.#send(bytes, peer.port, peer.address)
    } else if (type === TYPE.CON) this.sendConfirmable(peer, bytes, SEPARATE)
    else this.sendNonConfirmable(peer, bytes)
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
    this.#send(encodeEmpty(TYPE.RST, message.id), remote.port, remote.address)
    this.#release(exchange)
  }

  /** Resolves when every request has its answer and every confirmable message is settled. */
  drained(): Promise<void> {
    return new Promise(resolve => {
      this.#idle = resolve
      this.#checkIdle()
    })
  }

  /** Stops at once: nothing is sent or received any more, and what is outstanding expires. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#clock.clearTimeout(this.#timer)
    this.#retransmission.close(this.#peers)
    this.#peers.clear()
    this.#young = []
    this.#old = []
    this.#idle?.()
  }

  #receiveRequest(message: ReceivedMessage, port: number, address: string, toMulticast: boolean): void {
    const peer = this.#peers.find(address, port) ?? this.#add(address, port)
    if (peer === undefined) {
      if (toMulticast) return
      const type = message.type === TYPE.CON ? TYPE.ACK : TYPE.NON
      const options = BUSY.reset().uint(OPTION.MAX_AGE, 60)
      this.#send(
        encodeMessage(type, CODE.SERVICE_UNAVAILABLE, message.id, message.bytes, message.tokenStart, message.tokenEnd, options, EMPTY),
        port,
        address
      )
      return
    }
    peer.heard = this.#seconds
    const { duplicates } = peer
    const fingerprint = fingerprintOf(message)
    const confirmable = message.type === TYPE.CON
    const seen = duplicates.find(message.id, fingerprint, this.#seconds, confirmable ? this.#exchangeLifetime : this.#nonLifetime)
    if (seen !== UNSEEN) {
      if (seen === IN_PROGRESS || !confirmable) return
      const answer = duplicates.answer(seen)
      if (answer !== undefined) this.#send(answer, port, address)
      return
    }
    if (confirmable) duplicates.begin(message.id)
    else duplicates.record(message.id, fingerprint, this.#seconds, undefined)
    const exchange = new DatagramExchange(this, peer, message, fingerprint, toMulticast)
    this.#inFlight++
    peer.inFlight++
    if (this.#inFlight > this.#limits.inFlight || peer.inFlight > this.#limits.inFlightPerPeer) {
      if (toMulticast) exchange.suppress()
      else exchange.respond(CODE.SERVICE_UNAVAILABLE, BUSY.reset().uint(OPTION.MAX_AGE, 2), EMPTY)
      return
    }
    try {
      this.#handlers.request(exchange)
    } catch (error) {
      this.#onError(error)
      exchange.respond(CODE.INTERNAL_SERVER_ERROR, NO_OPTIONS, EMPTY)
    }
    if (!confirmable) return
    duplicates.leave(message.id, !exchange.ended)
    if (!exchange.ended) {
      this.#young.push(exchange)
      this.#arm(TICK)
    }
  }

  #receiveResponse(message: ReceivedMessage, port: number, address: string): void {
    const peer = this.#peers.find(address, port)
    if (peer === undefined) {
      this.#reject(message, port, address)
      return
    }
    peer.heard = this.#seconds
    const { duplicates } = peer
    const fingerprint = fingerprintOf(message)
    const confirmable = message.type === TYPE.CON
    const seen = duplicates.find(message.id, fingerprint, this.#seconds, confirmable ? this.#exchangeLifetime : this.#nonLifetime)
    if (seen >= 0) {
      const answer = duplicates.answer(seen)
      if (answer !== undefined) this.#send(answer, port, address)
      return
    }
    if (!this.#handlers.response(peer, message)) {
      // A notification for an observation that was given up ends by this reset, whatever its type (RFC 7641 section 3.6).
      this.#send(encodeEmpty(TYPE.RST, message.id), port, address)
      return
    }
    const acknowledgement = confirmable ? encodeEmpty(TYPE.ACK, message.id) : undefined
    duplicates.record(message.id, fingerprint, this.#seconds, acknowledgement)
    if (acknowledgement !== undefined) this.#send(acknowledgement, port, address)
  }

  /** An acknowledgement or a reset; what matches nothing is ignored (RFC 7252 section 4.2). */
  #receiveReply(message: ReceivedMessage, port: number, address: string): void {
    const peer = this.#peers.find(address, port)
    if (peer === undefined) return
    peer.heard = this.#seconds
    const confirmable = peer.outstanding.get(message.id)
    if (message.type === TYPE.RST) {
      if (message.code !== CODE.EMPTY) return
      if (confirmable === undefined) peer.subscribers.get(message.id)?.rejected()
      else {
        this.#settle(confirmable)
        confirmable.listener.reset()
      }
      return
    }
    if (confirmable === undefined || (message.code !== CODE.EMPTY && (message.code < 64 || message.code >= 192))) return
    if (confirmable.listener.acknowledged(message)) this.#settle(confirmable)
  }

  /** A confirmable message that means nothing here is reset, a ping among them; a non-confirmable one is ignored. */
  #reject(message: ReceivedMessage, port: number, address: string): void {
    if (message.type === TYPE.CON || message.code !== CODE.EMPTY) this.#send(encodeEmpty(TYPE.RST, message.id), port, address)
  }

  #settle(confirmable: Confirmable): void {
    this.#retransmission.end(confirmable)
    if (this.#idle !== undefined) this.#checkIdle()
  }

  #acknowledge(exchange: DatagramExchange): void {
    const { remote: peer, message } = exchange
    const bytes = encodeEmpty(TYPE.ACK, message.id)
    peer.duplicates.record(message.id, exchange.fingerprint, this.#seconds, bytes)
    this.#send(bytes, peer.port, peer.address)
  }

  #release(exchange: DatagramExchange): void {
    this.#inFlight--
    exchange.remote.inFlight--
    if (this.#idle !== undefined) this.#checkIdle()
  }

  #send(bytes: Uint8Array, port: number, address: string): void {
    if (this.#closed) return
    try {
      this.#channel.send(bytes, port, address)
    } catch (error) {
      this.#onError(error)
    }
  }

  #checkIdle(): void {
    if (this.#inFlight === 0 && this.#retransmission.idle) this.#idle?.()
  }

  #add(address: string, port: number): Peer | undefined {
    this.#arm(IDLE_TICK)
    return this.#peers.add(address, port, this.#seconds)
  }

  #arm(milliseconds: number): void {
    if (this.#timerDue <= milliseconds) return
    if (this.#timerDue !== Number.POSITIVE_INFINITY) this.#clock.clearTimeout(this.#timer)
    else this.#seconds = this.#elapsed()
    this.#timerDue = milliseconds
    this.#timer = this.#clock.setTimeout(this.#tick, milliseconds)
  }

  #elapsed(): number {
    return Math.floor((this.#clock.now() - this.#start) / 1000)
  }

  readonly #tick = (): void => {
    this.#timerDue = Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    this.#seconds = Math.floor((now - this.#start) / 1000)
    const late = this.#old
    this.#old = this.#young
    this.#young = []
    for (const exchange of late) {
      if (exchange.ended) continue
      if (++exchange.sweeps < BLOCK_PATIENCE && exchange.message.options.has(OPTION.BLOCK2)) {
        this.#old.push(exchange)
        continue
      }
      exchange.acknowledged = true
      this.#acknowledge(exchange)
    }
    this.#retransmission.tick(now)
    if (this.#idle !== undefined) this.#checkIdle()
    // Peers that were silent for the life of an exchange have nothing left that a repetition could ask for.
    if (this.#seconds >= this.#expireAt) {
      this.#expireAt = this.#seconds + EXPIRE_EVERY
      this.#peers.expire(this.#seconds - this.#exchangeLifetime)
    }
    if (this.#closed) return
    if (!this.#retransmission.idle || this.#old.length > 0) this.#arm(TICK)
    else if (this.#peers.size > 0) this.#arm(IDLE_TICK)
  }
}

const BUSY = new OptionWriter()

/** A separate response is repeated until it is acknowledged; nobody waits for the outcome. */
const SEPARATE: ConfirmableListener = {
  acknowledged: message => message.code === CODE.EMPTY,
  reset() {},
  expired() {}
}

/** Tells apart messages of one id: a hash of token and code. */
const fingerprintOf = (message: ReceivedMessage): number => {
  const { bytes, tokenStart, tokenEnd } = message
  let hash = message.code | (bytes.length << 8)
  for (let at = tokenStart; at < tokenEnd; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193)
  return hash | 0
}
