import type { Clock, DatagramChannel } from '@iopa/appbuilder'
import { CODE } from '../codec/codes.ts'
import { decode, encodeEmpty } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import type { DatagramExchange } from '../exchanges/datagram-exchange.ts'
import { busyAnswer, Requests } from '../exchanges/datagram-exchanges.ts'
import { CoarseTimer } from './coarse-timer.ts'
import type { Confirmable, ConfirmableListener } from './confirmable.ts'
import { fingerprintOf } from './deduplication.ts'
import type { MessageLimits } from './message-limits.ts'
import type { Transmission } from './parameters.ts'
import type { Peer } from './peer.ts'
import { PeerTable } from './peer-table.ts'
import { Retransmission } from './retransmission.ts'

/** The step of the one timer: a request that takes longer than one to two steps gets an empty acknowledgement first. */
const TICK = 50
/** The step while nothing is outstanding and only peers are remembered. */
const IDLE_TICK = 1000
/** How often peers are looked through, in seconds. */
const EXPIRE_EVERY = 8

/** Bytes of the ids of one peer: all 65,536 that there are, and what any peer may have. */
const HANDLED_BYTES = 2 * 1024 * 1024
const HANDLED_SHARE = 32 * 1024

/** What the layers above do with what arrives; none of these may throw. */
export interface MessageHandlers {
  /** A request that was not seen before. */
  request(exchange: DatagramExchange): void
  /** A response in a message of its own; false when nobody waits for it, and it is rejected. */
  response(peer: Peer, message: ReceivedMessage): boolean
}

/** What a message layer works on. */
export interface MessageLayerInit {
  readonly channel: DatagramChannel
  readonly clock: Clock
  readonly transmission: Transmission
  readonly limits: MessageLimits
  /** What NSTART may grow to; it does not grow unless given. */
  readonly nstartLimit?: number
  readonly handlers: MessageHandlers
  /** How many times what it has sent a peer may be sent while it is not verified; Infinity, for any, unless given. */
  readonly amplification?: number
  /** Told of what the channel reports and of faults in a handler. */
  readonly onError: (error: unknown) => void
}

/** The message layer of RFC 7252 section 4 over one datagram channel, for both roles. */
export class MessageLayer {
  readonly transmission: Transmission
  readonly #channel: DatagramChannel
  readonly #handlers: MessageHandlers
  readonly #onError: (error: unknown) => void
  readonly #peers: PeerTable
  readonly #retransmission: Retransmission
  readonly #exchangeLifetime: number
  readonly #nonLifetime: number
  readonly #timer: CoarseTimer
  readonly #requests: Requests
  #expireAt = EXPIRE_EVERY
  #closed = false
  #idle: (() => void) | undefined

  constructor(init: MessageLayerInit) {
    const { channel, clock, transmission, limits, handlers, amplification = Number.POSITIVE_INFINITY, onError } = init
    this.transmission = transmission
    this.#channel = channel
    this.#handlers = handlers
    this.#onError = onError
    this.#peers = new PeerTable({
      limit: limits.peers,
      perAddress: limits.peersPerAddress,
      budget: {
        peerBytes: limits.duplicatePeerBytes,
        share: limits.duplicateShare ?? limits.duplicatePeerBytes,
        bytes: limits.duplicateBytes,
        used: 0
      },
      handledBudget: { peerBytes: HANDLED_BYTES, share: HANDLED_SHARE, bytes: limits.duplicateBytes / 2, used: 0 },
      credit: amplification === Number.POSITIVE_INFINITY ? amplification : 0,
      abandon: peer => this.#retransmission.abandon(peer)
    })
    this.#retransmission = new Retransmission({
      transmission,
      nstartLimit: init.nstartLimit ?? transmission.nstart,
      queue: limits.queue,
      now: () => clock.elapsed(),
      seconds: () => this.seconds,
      send: (bytes, peer, onTrust) => this.transmit(peer, bytes, onTrust),
      suspect: peer => this.#peers.suspect(peer),
      onError
    })
    this.#exchangeLifetime = Math.ceil(transmission.exchangeLifetime / 1000)
    this.#nonLifetime = Math.ceil(transmission.nonLifetime / 1000)
    this.#timer = new CoarseTimer(clock, now => this.#step(now))
    this.#requests = new Requests(this, {
      limits,
      amplification,
      handle: handlers.request,
      onError,
      lifetime: this.#exchangeLifetime,
      nonLifetime: this.#nonLifetime
    })
    channel.open({ message: (bytes, address, port, toMulticast) => this.receive(bytes, address, port, toMulticast === true), error: onError })
  }

  /** Seconds since the layer was made, as of the last tick. */
  get seconds(): number {
    return this.#timer.seconds
  }

  /** Every peer that is remembered. */
  get peers(): Iterable<Peer> & { readonly size: number } {
    return this.#peers
  }

  get inFlight(): number {
    return this.#requests.inFlight
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
      if (message.malformed === 'reset') this.send(encodeEmpty(TYPE.RST, message.id), port, address)
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
    this.#timer.arm(TICK)
    return this.#retransmission.send(peer, bytes, listener)
  }

  /**
   * Sends bytes to a peer. What an unverified one may not be sent is dropped, as if it had been lost: a peer that asks again may be sent more.
   * `onTrust` allows a few datagrams beyond that. Never throws.
   */
  transmit(peer: Peer, bytes: Uint8Array, onTrust = false): void {
    if (peer.verified || peer.admit(bytes.length, onTrust)) this.send(bytes, peer.port, peer.address)
  }

  /** Sends bytes as they are. Never throws. */
  send(bytes: Uint8Array, port: number, address: string): void {
    if (this.#closed) return
    try {
      this.#channel.send(bytes, port, address)
    } catch (error) {
      this.#onError(error)
    }
  }

  /** Sends a non-confirmable message and returns the id that it got. */
  sendNonConfirmable(peer: Peer, bytes: Uint8Array): number {
    const id = peer.nextId()
    bytes[2] = id >> 8
    bytes[3] = id & 255
    this.transmit(peer, bytes)
    return id
  }

  /** Gives up a confirmable message without telling its listener. */
  cancel(confirmable: Confirmable): void {
    this.#retransmission.cancel(confirmable)
    this.settled()
  }

  /** Resolves when every request has its answer and every confirmable message is settled. */
  drained(): Promise<void> {
    return new Promise(resolve => {
      this.#idle = resolve
      this.settled()
    })
  }

  /** Something has ended that a drain may wait for. */
  settled(): void {
    if (this.#idle !== undefined && this.#requests.inFlight === 0 && this.#retransmission.idle) this.#idle()
  }

  /** Takes a step soon: there is an acknowledgement to be sent. */
  hasten(): void {
    this.#timer.arm(TICK)
  }

  /** Stops at once: nothing is sent or received any more, and what is outstanding expires. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#requests.close()
    this.#timer.stop()
    this.#retransmission.close(this.#peers)
    this.#peers.clear()
    this.#idle?.()
  }

  #receiveRequest(message: ReceivedMessage, port: number, address: string, toMulticast: boolean): void {
    const peer = this.#peers.find(address, port) ?? this.#add(address, port)
    if (peer !== undefined) this.#requests.receive(peer, message, toMulticast)
    else if (!toMulticast) this.send(busyAnswer(message), port, address)
  }

  #receiveResponse(message: ReceivedMessage, port: number, address: string): void {
    const peer = this.#peers.find(address, port)
    if (peer === undefined) {
      this.#reject(message, port, address)
      return
    }
    peer.heard = this.#timer.seconds
    const { duplicates } = peer
    const fingerprint = fingerprintOf(message)
    const confirmable = message.type === TYPE.CON
    const seen = duplicates.find(message.id, fingerprint, this.#timer.seconds, confirmable ? this.#exchangeLifetime : this.#nonLifetime)
    if (seen >= 0) {
      const answer = duplicates.answer(seen)
      if (answer !== undefined) this.send(answer, port, address)
      return
    }
    if (!this.#handlers.response(peer, message)) {
      // A notification for an observation that was given up ends by this reset, whatever its type (RFC 7641 section 3.6).
      this.send(encodeEmpty(TYPE.RST, message.id), port, address)
      return
    }
    const acknowledgement = confirmable ? encodeEmpty(TYPE.ACK, message.id) : undefined
    duplicates.record(message.id, fingerprint, this.#timer.seconds, acknowledgement)
    if (acknowledgement !== undefined) this.send(acknowledgement, port, address)
  }

  /** An acknowledgement or a reset; what matches nothing is ignored (RFC 7252 section 4.2). */
  #receiveReply(message: ReceivedMessage, port: number, address: string): void {
    const peer = this.#peers.find(address, port)
    if (peer === undefined) return
    peer.heard = this.#timer.seconds
    const confirmable = peer.outstanding.get(message.id)
    if (message.type === TYPE.RST) {
      if (message.code !== CODE.EMPTY) return
      const subscriber = confirmable === undefined ? peer.subscribers.get(message.id) : undefined
      if (confirmable !== undefined || subscriber !== undefined) peer.acknowledge(this.#timer.seconds)
      else peer.stray()
      if (confirmable === undefined) subscriber?.rejected()
      else {
        this.#settle(confirmable)
        confirmable.listener.reset()
      }
      return
    }
    if (message.code !== CODE.EMPTY && (message.code < 64 || message.code >= 192)) return
    if (confirmable === undefined) peer.stray()
    else if (confirmable.listener.acknowledged(message)) {
      peer.acknowledge(this.#timer.seconds)
      this.#retransmission.acknowledge(confirmable)
      this.settled()
    }
  }

  /** A confirmable message that means nothing here is reset, a ping among them; a non-confirmable one is ignored. */
  #reject(message: ReceivedMessage, port: number, address: string): void {
    if (message.type === TYPE.CON || message.code !== CODE.EMPTY) this.send(encodeEmpty(TYPE.RST, message.id), port, address)
  }

  #settle(confirmable: Confirmable): void {
    this.#retransmission.end(confirmable)
    this.settled()
  }

  #add(address: string, port: number): Peer | undefined {
    this.#timer.arm(IDLE_TICK)
    return this.#peers.add(address, port, this.#timer.seconds)
  }

  #step(now: number): void {
    this.#requests.step()
    this.#retransmission.tick(now)
    this.settled()
    // Peers that were silent for the life of an exchange have nothing left that a repetition could ask for.
    if (this.#timer.seconds >= this.#expireAt) {
      this.#expireAt = this.#timer.seconds + EXPIRE_EVERY
      this.#peers.expire(this.#timer.seconds - this.#exchangeLifetime)
    }
    if (this.#closed) return
    if (!this.#retransmission.idle || !this.#requests.answered) this.#timer.arm(TICK)
    else if (this.#peers.size > 0) this.#timer.arm(IDLE_TICK)
  }
}
