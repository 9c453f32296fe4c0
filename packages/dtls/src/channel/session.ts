import { randomBytes } from 'node:crypto'
import type { DatagramEndpoint, SecuredEnd, SecuredPeer, User } from '@iopa/transport'
import { ALERT } from '../alerts.ts'
import { type FlightPart, flightDatagrams } from '../handshake/flight.ts'
import type { Established } from '../handshake/handshake.ts'
import { MESSAGE } from '../handshake/message.ts'
import { readFragments } from '../handshake/reassembly.ts'
import type { ProvenIdentity } from '../key-exchange/key-exchange.ts'
import type { OpenedRecord } from '../records/protection.ts'
import { CONTENT, cidKey, LARGEST_CONTENT, type ReceivedRecord } from '../records/record.ts'
import type { RecordLayer } from '../records/record-layer.ts'

/** What a session needs of its channel. */
export interface SessionOwner {
  transmit(datagram: Uint8Array, to: DatagramEndpoint): void
  deliver(bytes: Uint8Array, session: Session, unproven: boolean): void
  /** The address that is proven is another one now. */
  moved(session: Session, before: DatagramEndpoint): void
  /** The session is over; its keys are overwritten. */
  ended(session: Session, reason: SecuredEnd): void
  /** Counts up as time passes: a session that did nothing for some counts is idle. */
  readonly sweeps: number
}

/** Bytes that may go to an address that is not proven, for each byte that came from it. */
const UNPROVEN_FACTOR = 3
const WARNING = 1
const FATAL = 2
const NO_FLIGHT: readonly FlightPart[] = []

/** One association: the `SecuredPeer` that protocols see. */
export class Session implements SecuredPeer {
  readonly id: string = randomBytes(16).toString('base64url')
  /** Our connection id as a key of maps; undefined where the records carry none. */
  readonly cid: string | undefined
  proven: DatagramEndpoint
  latest: DatagramEndpoint | undefined
  /** The count at its last record. */
  lastActive: number
  readonly #owner: SessionOwner
  readonly #identity: ProvenIdentity
  readonly #records: RecordLayer
  #lastFlight: readonly FlightPart[]
  readonly #peerFinished: number
  /** Bytes that may still go to the latest address. */
  #allowance = 0
  #hasEnded = false

  constructor(owner: SessionOwner, { identity, records, lastFlight, peerFinished, ownCid }: Established, proven: DatagramEndpoint) {
    this.#owner = owner
    this.#identity = identity
    this.#records = records
    this.#lastFlight = lastFlight
    this.#peerFinished = peerFinished
    this.cid = ownCid === undefined ? undefined : cidKey(ownCid)
    this.proven = proven
    this.lastActive = owner.sweeps
  }

  get user(): User | undefined {
    return this.#identity.user
  }

  get proof(): ProvenIdentity['proof'] {
    return this.#identity.proof
  }

  get fingerprint(): string | undefined {
    return this.#identity.fingerprint
  }

  get maxPayload(): number {
    return LARGEST_CONTENT
  }

  /** Undefined where it has proven none. */
  get clientCertificate(): (() => unknown) | undefined {
    return this.#identity.clientCertificate
  }

  send(bytes: Uint8Array, to: 'proven' | 'latest' = 'proven'): void {
    if (this.#hasEnded || bytes.length > LARGEST_CONTENT) return
    const latest = to === 'latest' ? this.latest : undefined
    if (latest !== undefined) {
      const size = bytes.length + this.#records.sealer!.overhead
      if (size > this.#allowance) return
      this.#allowance -= size
    }
    this.#seal(CONTENT.APPLICATION_DATA, bytes, latest ?? this.proven)
    this.#checkExhausted()
  }

  /** The last record numbers are for the end alone (RFC 6347 section 4.1): none is used twice. */
  #checkExhausted(): void {
    if (this.#records.sealer?.isExhausted) this.end('lost')
  }

  confirm(): void {
    if (this.latest === undefined || this.#hasEnded) return
    const before = this.proven
    this.proven = this.latest
    this.latest = undefined
    this.#owner.moved(this, before)
  }

  close(): void {
    this.end('closed')
  }

  /** Ends the association and tells the peer. */
  end(reason: SecuredEnd): void {
    if (this.#hasEnded) return
    // First, for a network that brings the answer at once.
    this.#hasEnded = true
    this.#seal(CONTENT.ALERT, Uint8Array.of(WARNING, ALERT.CLOSE_NOTIFY), this.proven)
    this.#finish(reason)
  }

  #finish(reason: SecuredEnd): void {
    this.#hasEnded = true
    this.#records.wipe()
    this.#lastFlight = NO_FLIGHT
    this.#owner.ended(this, reason)
  }

  #seal(type: number, content: Uint8Array, to: DatagramEndpoint): void {
    this.#owner.transmit(this.#records.sealer!.seal(type, content), to)
  }

  /** A record of epoch 1. False for one that is not authentic, or a replay: it changes nothing. */
  receive(record: ReceivedRecord, from: DatagramEndpoint): boolean {
    const { opener } = this.#records
    if (opener === undefined || this.#hasEnded) return false
    const highest = opener.highest
    const opened = opener.open(record)
    if (opened === undefined) {
      if (opener.isWornOut) this.end('lost')
      return false
    }
    this.lastActive = this.#owner.sweeps
    const isElsewhere = from.port !== this.proven.port || from.address !== this.proven.address
    if (record.sequence > highest) this.#track(isElsewhere ? from : undefined, record.end - record.start)
    this.#handle(opened, isElsewhere)
    return true
  }

  /** The newest record says where the peer is (RFC 9146 section 6); one with an older number was delayed, and says nothing. */
  #track(from: DatagramEndpoint | undefined, size: number): void {
    if (from === undefined) {
      this.latest = undefined
      return
    }
    if (from.port !== this.latest?.port || from.address !== this.latest.address) {
      this.latest = from
      this.#allowance = 0
    }
    this.#allowance += UNPROVEN_FACTOR * size
  }

  #handle({ type, content }: OpenedRecord, isElsewhere: boolean): void {
    if (type === CONTENT.APPLICATION_DATA) {
      // The peer has our last flight.
      this.#lastFlight = NO_FLIGHT
      this.#owner.deliver(content, this, isElsewhere)
    } else if (type === CONTENT.ALERT) this.#handleAlert(content)
    else if (type === CONTENT.HANDSHAKE && !isElsewhere) this.#handleHandshake(content)
  }

  #handleAlert(content: Uint8Array): void {
    if (content.length !== 2) return
    if (content[1] === ALERT.CLOSE_NOTIFY) this.end('closed')
    else if (content[0] === FATAL) this.#finish('lost')
  }

  /** A Finished that comes again asks for our last flight; everything else would be a renegotiation. */
  #handleHandshake(content: Uint8Array): void {
    const first = readFragments(content)?.[0]
    if (first === undefined) return
    if (first.type !== MESSAGE.FINISHED) this.#seal(CONTENT.ALERT, Uint8Array.of(WARNING, ALERT.NO_RENEGOTIATION), this.proven)
    else if (first.sequence === this.#peerFinished)
      for (const datagram of flightDatagrams(this.#lastFlight, this.#records)) this.#owner.transmit(datagram, this.proven)
    this.#checkExhausted()
  }
}
