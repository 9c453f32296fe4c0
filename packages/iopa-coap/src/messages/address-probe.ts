import { randomInt } from 'node:crypto'
import type { DatagramEndpoint } from '@iopa/transport'
import { encode } from '../codec/datagram-codec.ts'
import { TYPE } from '../codec/message.ts'
import { NO_OPTIONS } from '../codec/options.ts'
import type { Peer } from './peer.ts'

const NOTHING = new Uint8Array(0)
/** A ping that is not answered within so many seconds is followed by another one with the next message. */
const PATIENCE = 2
const MESSAGE_IDS = 65_536

/**
 * A ping (RFC 7252 section 4.3) to the latest address of an association: the reset that answers it from there proves that the peer receives there (RFC 9146
 * section 6). A peer that does not, because the address is of a victim, can only guess the id: it is random, and there is one guess for each ping.
 */
export class AddressProbe {
  #id: number | undefined
  readonly #to: DatagramEndpoint
  readonly #sentAt: number

  constructor(id: number, to: DatagramEndpoint, sentAt: number) {
    this.#id = id
    this.#to = to
    this.#sentAt = sentAt
  }

  /** True while its answer may still come, in seconds, from an address that is still the latest. */
  current(latest: DatagramEndpoint, now: number): boolean {
    return now - this.#sentAt < PATIENCE && this.#isAt(latest)
  }

  /** True for the id of the reset that answers it, which came from the latest address: that is proven from now on. */
  answeredBy(peer: Peer, id: number): boolean {
    const latest = peer.association?.latest
    if (latest === undefined || !this.#isAt(latest)) return false
    if (id !== this.#id) {
      this.#id = undefined
      return false
    }
    peer.probe = undefined
    peer.association!.confirm()
    peer.follow()
    return true
  }

  #isAt({ address, port }: DatagramEndpoint): boolean {
    return port === this.#to.port && address === this.#to.address
  }
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
  const { association } = peer
  const latest = association?.latest
  if (association === undefined || latest === undefined || peer.probe?.current(latest, now)) return
  const id = randomId(peer)
  peer.probe = new AddressProbe(id, { address: latest.address, port: latest.port }, now)
  association.send(encode({ type: TYPE.CON, code: 0, id, token: NOTHING, options: NO_OPTIONS, payload: NOTHING }), 'latest')
}
