import type { DatagramChannel, SecuredPeer } from '@iopa/transport'
import { CODE } from '../codec/codes.ts'
import { decode, encodeEmpty } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import { isProvenBy, probe } from './address-probe.ts'
import { CoarseTimer } from './coarse-timer.ts'
import { Deduplication, fingerprintOf } from './deduplication.ts'
import { type MessageHandlers, type MessageLayerInit, NO_HANDLERS, rejects } from './layer-parts.ts'
import type { ConfirmableListener } from './message-listeners.ts'
import { type Confirmable, creditFor, type Peer } from './peer.ts'
import { PeerTable } from './peer-table.ts'
import { Retransmission } from './retransmission.ts'

/** Milliseconds of a step of the timer: a request that takes longer than one to two steps gets an Empty acknowledgement first; and while nothing is outstanding. */
const TICK = 50
const IDLE_TICK = 1000

/** The message layer of RFC 7252 section 4 over one datagram channel, for both roles. */
export class MessageLayer {
  readonly #channel: DatagramChannel | undefined
  readonly #init: MessageLayerInit
  readonly #amplification: number
  readonly #peers: PeerTable
  readonly #retransmission: Retransmission
  readonly #deduplication: Deduplication
  readonly #exchangeLifetime: number
  readonly #timer: CoarseTimer
  #handlers: MessageHandlers = NO_HANDLERS
  #closed = false
  #drained: (() => void) | undefined
  /** True while a drain waits. */
  draining = false

  constructor(init: MessageLayerInit) {
    const { channel, clock, transmission, limits, amplification = Number.POSITIVE_INFINITY, onError } = init
    this.#init = init
    this.#channel = channel
    this.#amplification = amplification
    this.#peers = PeerTable.within(limits, amplification, peer => this.#retransmission.abandon(peer))
    this.#timer = new CoarseTimer(clock, now => this.#step(now))
    this.#retransmission = new Retransmission({
      transmission,
      nstartLimit: init.nstartLimit ?? transmission.nstart,
      queue: limits.queue,
      clock,
      timer: this.#timer,
      transmit: (peer, bytes, { onTrust, toLatest }) => this.transmit(peer, bytes, onTrust, toLatest),
      suspect: peer => this.#peers.suspect(peer),
      onError
    })
    this.#exchangeLifetime = Math.ceil(transmission.exchangeLifetime / 1000)
    this.#deduplication = new Deduplication({ confirmable: this.#exchangeLifetime, nonConfirmable: Math.ceil(transmission.nonLifetime / 1000) })
  }

  /** Begins to receive, for the layer above. */
  open(handlers: MessageHandlers): void {
    this.#handlers = handlers
    this.#channel?.open({
      message: (bytes, address, port, toMulticast) => this.receive(bytes, address, port, toMulticast === true),
      error: this.#init.onError
    })
  }

  /** Seconds since the layer was made, as of the last tick. */
  get seconds(): number {
    return this.#timer.seconds
  }

  /** Every peer that is remembered. */
  get peers(): Iterable<Peer> & { readonly size: number } {
    return this.#peers
  }

  /** The peer at an address, remembered from now on; undefined when the table is full of busy ones. */
  peer(address: string, port: number): Peer | undefined {
    return this.#peers.find(address, port) ?? this.#add(address, port)
  }

  /** Takes a datagram. Never throws, whatever it holds. */
  receive(bytes: Uint8Array, address: string, port: number, toMulticast: boolean): void {
    // Nothing can be sent to port 0, so a datagram that claims to come from there is ignored.
    if (this.#closed || port === 0) return
    const message = decode(bytes)
    // A group takes non-confirmable requests and ignores all else, so that no group answers at once (RFC 7252 section 8.1).
    if (toMulticast && ('malformed' in message || message.type !== TYPE.NON || message.code === CODE.EMPTY || message.code >= 32)) return
    if ('malformed' in message) {
      this.#init.refused?.(400, 'malformed-message', address, port)
      if (message.malformed === 'reset') this.#send(encodeEmpty(TYPE.RST, message.id), port, address)
      return
    }
    const { type, code } = message
    try {
      const peer = this.#peers.find(address, port)
      if (type >= TYPE.ACK) {
        if (peer !== undefined) this.#receiveReply(peer, message, false)
      } else if (code !== CODE.EMPTY && code < 32) this.#receiveRequest(peer ?? this.#add(address, port), message, port, address, toMulticast)
      else if (peer !== undefined && code >= 64 && code < 192) this.#receiveResponse(peer, message, false)
      else if (rejects(message)) this.#send(encodeEmpty(TYPE.RST, message.id), port, address)
    } catch (error) {
      this.#init.onError(error)
    }
  }

  /** Takes a datagram of an association; `unproven` is true for one from its latest address. Never throws, whatever it holds. */
  receiveFrom(peer: Peer, bytes: Uint8Array, unproven: boolean): void {
    if (this.#closed || peer.list === 'none') return
    const message = decode(bytes)
    peer.follow()
    if (!unproven) peer.probe?.forgetEcho()
    try {
      if ('malformed' in message) {
        this.#init.refused?.(400, 'malformed-message', peer.address, peer.port)
        if (message.malformed === 'reset') this.transmit(peer, encodeEmpty(TYPE.RST, message.id), false, unproven)
        return
      }
      const { type, code } = message
      if (type >= TYPE.ACK) this.#receiveReply(peer, message, unproven)
      else if (code !== CODE.EMPTY && code < 32) this.#takeRequest(peer, message, false, unproven && !isProvenBy(peer, message, this.#timer.seconds))
      else if (code >= 64 && code < 192) this.#receiveResponse(peer, message, unproven)
      else if (rejects(message)) this.transmit(peer, encodeEmpty(TYPE.RST, message.id), false, unproven)
      if (unproven) probe(peer, this.#timer.seconds)
    } catch (error) {
      this.#init.onError(error)
    }
  }

  /** The peer that an association is, until that ends. */
  associate(association: SecuredPeer): Peer {
    this.#timer.arm(IDLE_TICK)
    return this.#peers.associate(association, this.#timer.seconds)
  }

  /** The association of a peer has ended: what waits for its acknowledgement is given up, and everything that it has sent is forgotten. */
  dissociate(peer: Peer): void {
    if (peer.list !== 'none') this.#peers.dissociate(peer)
  }

  /**
   * Sends a confirmable message, at once or when those before it are acknowledged; the id is written into the bytes, which the listener makes where none are given.
   * Undefined when too many wait, or when the layer is closed.
   */
  sendConfirmable(peer: Peer, bytes: Uint8Array | undefined, listener: ConfirmableListener): Confirmable | undefined {
    if (this.#closed || peer.list === 'none') return undefined
    this.#timer.arm(TICK)
    return this.#retransmission.send(peer, bytes, listener)
  }

  /** Sends the acknowledgement of a confirmable request, Empty or with the response, and keeps it for duplicates of the request. */
  acknowledge(peer: Peer, message: ReceivedMessage, fingerprint: number, bytes: Uint8Array, toLatest: boolean): void {
    if (this.#closed || peer.list === 'none') return
    this.#deduplication.record(peer, message, fingerprint, this.#timer.seconds, bytes)
    this.transmit(peer, bytes, false, toLatest)
  }

  /** Rejects a message with a reset. */
  reset(peer: Peer, { id }: ReceivedMessage): void {
    peer.duplicates.forget(id)
    this.transmit(peer, encodeEmpty(TYPE.RST, id))
  }

  /** Sends to a peer; an unverified one gets what it may, and with `onTrust` some more. `toLatest` answers the latest address of an association. Never throws. */
  transmit(peer: Peer, bytes: Uint8Array, onTrust = false, toLatest = false): void {
    if (peer.association !== undefined) peer.association.send(bytes, toLatest ? 'latest' : 'proven')
    else if (peer.verified || peer.admit(bytes.length, onTrust)) this.#send(bytes, peer.port, peer.address)
  }

  /** Gives up a confirmable message without calling its listener. */
  cancel(confirmable: Confirmable): void {
    this.#retransmission.cancel(confirmable)
    this.settled()
  }

  /** Resolves when every request has its response and every confirmable message is settled. */
  drained(): Promise<void> {
    return new Promise(resolve => {
      this.#drained = resolve
      this.draining = true
      this.settled()
    })
  }

  /** Something has ended that a drain may wait for. */
  settled(): void {
    if (this.#drained !== undefined && this.#handlers.idle && this.#retransmission.idle) this.#drained()
  }

  /** Stops at once: nothing is sent or received any more, and what is outstanding expires. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#timer.stop()
    this.#retransmission.close(this.#peers)
    this.#peers.clear()
    this.#drained?.()
  }

  #send(bytes: Uint8Array, port: number, address: string): void {
    if (this.#closed) return
    try {
      this.#channel?.send(bytes, port, address)
    } catch (error) {
      this.#init.onError(error)
    }
  }

  #receiveRequest(peer: Peer | undefined, message: ReceivedMessage, port: number, address: string, toMulticast: boolean): void {
    if (peer !== undefined) this.#takeRequest(peer, message, toMulticast, false)
    else {
      this.#init.refused?.(503, 'too-many-peers', address, port)
      if (!toMulticast) this.#send(this.#handlers.refusal(message), port, address)
    }
  }

  #takeRequest(peer: Peer, message: ReceivedMessage, toMulticast: boolean, unproven: boolean): void {
    const now = this.#timer.seconds
    peer.heard = now
    if (!peer.verified) peer.credit += creditFor(message.bytes.length, this.#amplification)
    const fingerprint = fingerprintOf(message)
    const repeat = this.#deduplication.repeatFor(peer, message, fingerprint, now)
    if (repeat !== undefined) {
      if (repeat.length > 0) this.transmit(peer, repeat, false, unproven)
      return
    }
    if (!this.#handlers.request(peer, message, fingerprint, toMulticast, unproven)) return
    peer.duplicates.suspend(message.id)
    this.#timer.arm(TICK)
  }

  #receiveResponse(peer: Peer, message: ReceivedMessage, unproven: boolean): void {
    const now = this.#timer.seconds
    peer.heard = now
    const fingerprint = fingerprintOf(message)
    const repeat = this.#deduplication.repeatForResponse(peer, message, fingerprint, now)
    if (repeat !== undefined) {
      if (repeat.length > 0) this.#reply(peer, repeat, unproven)
      return
    }
    if (!this.#handlers.response(peer, message)) {
      // A notification for an observation that was given up ends by this reset, whatever its type (RFC 7641 section 3.6).
      this.#reply(peer, encodeEmpty(TYPE.RST, message.id), unproven)
      return
    }
    const acknowledgement = message.type === TYPE.CON ? encodeEmpty(TYPE.ACK, message.id) : undefined
    peer.duplicates.record(message.id, fingerprint, now, acknowledgement)
    if (acknowledgement !== undefined) this.#reply(peer, acknowledgement, unproven)
  }

  /** Sends the acknowledgement or reset of a response, which does not count against what an unverified peer may be sent. */
  #reply(peer: Peer, bytes: Uint8Array, toLatest: boolean): void {
    if (peer.association === undefined) this.#send(bytes, peer.port, peer.address)
    else this.transmit(peer, bytes, false, toLatest)
  }

  /** An acknowledgement or a reset; what matches nothing is ignored (RFC 7252 section 4.2). */
  #receiveReply(peer: Peer, message: ReceivedMessage, unproven: boolean): void {
    const now = this.#timer.seconds
    peer.heard = now
    const confirmable = peer.outstanding.get(message.id)
    if (message.type === TYPE.RST) {
      if (message.code !== CODE.EMPTY) return
      if (unproven && peer.probe?.answeredBy(peer, message.id)) return
      const listener = confirmable === undefined ? peer.resetListeners.get(message.id) : confirmable.listener
      if (listener === undefined) {
        peer.stray()
        return
      }
      peer.acknowledge(now)
      if (confirmable !== undefined) {
        this.#retransmission.end(confirmable)
        this.settled()
      }
      listener.reset()
      return
    }
    if (message.code !== CODE.EMPTY && (message.code < 64 || message.code >= 192)) return
    if (confirmable === undefined) peer.stray()
    else if (confirmable.listener.acknowledged(message)) {
      peer.acknowledge(now)
      this.#retransmission.acknowledge(confirmable)
      if (this.draining) this.settled()
    }
  }

  #add(address: string, port: number): Peer | undefined {
    this.#timer.arm(IDLE_TICK)
    return this.#peers.add(address, port, this.#timer.seconds)
  }

  #step(now: number): void {
    const pending = this.#handlers.step()
    this.#retransmission.tick(now)
    this.settled()
    this.#peers.step(this.#timer.seconds, this.#exchangeLifetime)
    if (this.#closed) return
    if (!this.#retransmission.idle || pending) this.#timer.arm(TICK)
    else if (this.#peers.size > 0) this.#timer.arm(IDLE_TICK)
  }
}
