import { randomBytes, randomInt, timingSafeEqual } from 'node:crypto'
import type { DatagramEndpoint } from '@iopa/transport'
import { encode } from '../codec/datagram-codec.ts'
import { type ReceivedMessage, TYPE } from '../codec/message.ts'
import { OPTION } from '../codec/option-registry.ts'
import { NO_OPTIONS } from '../codec/options.ts'
import type { Peer } from './peer.ts'

const NOTHING = new Uint8Array(0)
/** A ping that is not answered within so many seconds is followed by another one with the next message. */
const PATIENCE = 2
const MESSAGE_IDS = 65_536
/** Bytes of an Echo value: too many to guess. */
const ECHO_LENGTH = 8
/** Seconds that an Echo value may take to come back. */
const ECHO_LIFETIME = 120

/**
 * Asks the latest address of an association for a proof that the peer receives there (RFC 9146 section 6). One is the reset that answers a ping (RFC 7252
 * section 4.3): a peer that does not receive it, because the address is of a victim, can only guess the id, which is random, and there is one guess for each
 * ping. The other one is a request with the Echo of a response that went there (RFC 9175 section 2.3).
 */
export class AddressProbe {
  readonly #to: DatagramEndpoint
  #id: number | undefined
  #pingedAt = Number.NEGATIVE_INFINITY
  #echo: Uint8Array | undefined
  #echoedAt = 0

  /** `to` is the object that the association has for its latest address: it has another one after each change. */
  constructor(to: DatagramEndpoint) {
    this.#to = to
  }

  isAt(latest: DatagramEndpoint): boolean {
    return latest === this.#to
  }

  /** False while the answer to a ping may still come, in seconds. */
  mayPing(now: number): boolean {
    return now - this.#pingedAt >= PATIENCE
  }

  pinged(id: number, now: number): void {
    this.#id = id
    this.#pingedAt = now
  }

  /** The Echo for a response that goes to the latest address. */
  echo(now: number): Uint8Array {
    if (this.#echo === undefined || now - this.#echoedAt > ECHO_LIFETIME / 2) {
      this.#echo = randomBytes(ECHO_LENGTH)
      this.#echoedAt = now
    }
    return this.#echo
  }

  /** A message came from the address that is proven: a repeated answer to it would tell the Echo there, so that does not count any more. */
  forgetEcho(): void {
    this.#echo = undefined
  }

  /** True for the id of the reset that answers the ping, which came from the latest address: that is proven from now on. */
  answeredBy(peer: Peer, id: number): boolean {
    if (peer.association?.latest !== this.#to) return false
    if (id !== this.#id) {
      this.#id = undefined
      return false
    }
    confirm(peer)
    return true
  }

  /** True for the Echo in a request from the latest address: that is proven from now on. */
  echoedBy(peer: Peer, value: Uint8Array, now: number): boolean {
    const echo = this.#echo
    if (echo === undefined || peer.association?.latest !== this.#to || now - this.#echoedAt > ECHO_LIFETIME) return false
    if (value.length !== ECHO_LENGTH || !timingSafeEqual(value, echo)) return false
    confirm(peer)
    return true
  }
}

const confirm = (peer: Peer): void => {
  peer.probe = undefined
  peer.association!.confirm()
  peer.follow()
}

/** The probe of a peer's latest address; undefined where that is no other than the proven one. */
const probeOf = (peer: Peer): AddressProbe | undefined => {
  const latest = peer.association?.latest
  if (latest === undefined) return undefined
  if (peer.probe?.isAt(latest) !== true) peer.probe = new AddressProbe(latest)
  return peer.probe
}

/** No outstanding message has it. The ids of messages count up, so that a peer knows the next one. */
const randomId = ({ outstanding }: Peer): number => {
  let id: number
  do id = randomInt(MESSAGE_IDS)
  while (outstanding.has(id))
  return id
}

/** Pings the latest address of an association, unless that was pinged just now, in seconds. */
export const probe = (peer: Peer, now: number): void => {
  const asked = probeOf(peer)
  if (asked === undefined || !asked.mayPing(now)) return
  const id = randomId(peer)
  asked.pinged(id, now)
  peer.association!.send(encode({ type: TYPE.CON, code: 0, id, token: NOTHING, options: NO_OPTIONS, payload: NOTHING }), 'latest')
}

/** True where a request from the latest address has the Echo that was sent there: that address is proven from now on. */
export const isProvenBy = (peer: Peer, { options }: ReceivedMessage, now: number): boolean => {
  const echo = peer.probe === undefined ? undefined : options.get(OPTION.ECHO)
  return echo !== undefined && peer.probe!.echoedBy(peer, echo, now)
}

/** The Echo for a response to the latest address of an association; undefined where there is none that has to be proven. */
export const echoFor = (peer: Peer, now: number): Uint8Array | undefined => probeOf(peer)?.echo(now)
