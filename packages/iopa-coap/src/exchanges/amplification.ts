import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { type Clock, isLoopback } from '@iopa/transport'
import { blockSize } from '../codec/block.ts'
import type { Exchange, Remote } from './exchange.ts'

/** How old an Echo value may come back, in milliseconds. */
const ECHO_LIFETIME = 120_000
/** Bytes of the time and of the authentication tag in an Echo value. */
const TIME = 4
const TAG = 8

/** Bytes of the smallest block. */
export const SHORT = 16
/** Bytes of an Echo option in a response. */
const ECHO_OPTION = 14

/** Keeps responses to an address that may be forged within a multiple of the request (RFC 7252 section 11.3, RFC 9175 section 2.4). */
export class AmplificationGuard {
  readonly #clock: Clock
  readonly #factor: number
  readonly #echo = new EchoValues(ECHO_LIFETIME)

  /** `factor` is that multiple; with Infinity every remote is trusted. */
  constructor(clock: Clock, factor: number) {
    this.#clock = clock
    this.#factor = factor
  }

  /** Trusts a new remote whose address cannot be forged: on a connection and on loopback. */
  introduce(remote: Remote): void {
    if (remote.reliable || this.#factor === Number.POSITIVE_INFINITY || isLoopback(remote.address)) remote.verify()
  }

  /** Trusts a remote that sends back the Echo that it was sent. */
  verify(remote: Remote, echo: Uint8Array): void {
    if (this.#echo.verify(echo, remote.address, remote.port, this.#clock.elapsed())) remote.verify()
  }

  /** The Echo that a remote has to send back. */
  challenge(remote: Remote): Uint8Array {
    return this.#echo.issue(remote.address, remote.port, this.#clock.elapsed())
  }

  /** The Echo to offer in a response to an unverified remote, which has `options` bytes of options; undefined where there is no room for it. */
  offer(exchange: Exchange, options: number, payload: number): Uint8Array | undefined {
    return this.allows(exchange, options + ECHO_OPTION, payload) ? this.challenge(exchange.remote) : undefined
  }

  /** True when an unverified remote may be sent a response with so many bytes of options and payload. One with a short payload may take what is left from requests before. */
  allows({ remote, message }: Exchange, options: number, payload: number): boolean {
    // The response has the token of the request, behind a header of the same length.
    const length = message.tokenEnd + options + (payload === 0 ? 0 : 1 + payload)
    return length <= remote.credit && (payload <= SHORT || length <= this.#factor * message.bytes.length)
  }

  /** Bytes of payload that the response may have, beside `options` bytes of options. */
  room({ remote, message }: Exchange, options: number): number {
    if (remote.verified) return Number.POSITIVE_INFINITY
    const own = Math.floor(this.#factor * message.bytes.length)
    const overhead = 1 + message.tokenEnd + options
    // What was sent before counts, retransmissions too.
    return Math.min(remote.credit, own) - overhead
  }
}

/** The largest size exponent up to `szx` whose blocks fit into `room`, at least 0; smaller where that leaves room for an Echo, with which the peer gets whole blocks. */
export const clampedForEcho = (szx: number, room: number): number => {
  const most = room >= SHORT + ECHO_OPTION && room < blockSize(szx) ? room - ECHO_OPTION : room
  let smaller = szx
  while (smaller > 0 && blockSize(smaller) > most) smaller--
  return smaller
}

/** Makes and checks values of the Echo option without keeping any: a time and its authentication (RFC 9175 appendix A, item 2). */
export class EchoValues {
  readonly #key = randomBytes(32)
  readonly #lifetime: number

  /** `lifetime` in milliseconds: how old a value may come back. */
  constructor(lifetime: number) {
    this.#lifetime = lifetime
  }

  /** A value that only the host at this address can send back. */
  issue(address: string, port: number, now: number): Uint8Array {
    const value = new Uint8Array(TIME + TAG)
    new DataView(value.buffer).setUint32(0, Math.floor(now / 1000))
    value.set(this.#tag(value, address, port), TIME)
    return value
  }

  verify(value: Uint8Array, address: string, port: number, now: number): boolean {
    if (value.length !== TIME + TAG) return false
    const age = now - new DataView(value.buffer, value.byteOffset, value.length).getUint32(0) * 1000
    return age > -2000 && age <= this.#lifetime && timingSafeEqual(value.subarray(TIME), this.#tag(value, address, port))
  }

  #tag(value: Uint8Array, address: string, port: number): Uint8Array {
    return createHmac('sha256', this.#key).update(value.subarray(0, TIME)).update(`${port} ${address}`).digest().subarray(0, TAG)
  }
}
