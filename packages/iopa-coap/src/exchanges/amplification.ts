import { type Clock, isLoopback } from '@iopa/appbuilder'
import { EchoValues } from './echo.ts'
import type { Exchange, Remote } from './exchange.ts'

/** How old an Echo value may come back, in milliseconds. */
const ECHO_LIFETIME = 120_000

/** Bytes of the least block. */
export const SHORT = 16
/** Bytes of an Echo option in an answer. */
export const ECHO_OPTION = 14

/** A request counts as at least so many bytes, so that the least block and a challenge fit in any case. */
const LEAST_REQUEST = 11

/** What a request of so many bytes lets an unverified peer be sent. */
export const creditFor = (length: number, factor: number): number => Math.floor(factor * Math.max(length, LEAST_REQUEST))

/** Keeps answers to whoever may have given a false address within a multiple of the request (RFC 7252 section 11.3, RFC 9175 section 2.4). */
export class AmplificationGuard {
  readonly #clock: Clock
  readonly #factor: number
  readonly #echo = new EchoValues(ECHO_LIFETIME)

  /** `factor` is that multiple; Infinity trusts everybody. */
  constructor(clock: Clock, factor: number) {
    this.#clock = clock
    this.#factor = factor
  }

  /** Trusts a remote that is new where its address cannot be false: on a connection and on loopback. */
  introduce(remote: Remote): void {
    if (remote.reliable || this.#factor === Number.POSITIVE_INFINITY || isLoopback(remote.address)) remote.verified = true
  }

  /** Trusts a remote that sends back what it was sent. */
  verify(remote: Remote, echo: Uint8Array): void {
    remote.verified = this.#echo.verify(echo, remote.address, remote.port, this.#clock.elapsed())
  }

  /** What a remote has to send back. */
  challenge(remote: Remote): Uint8Array {
    return this.#echo.issue(remote.address, remote.port, this.#clock.elapsed())
  }

  /** True when an answer to an unverified remote may have so many bytes. One with a short payload may take what the remote has left from requests before. */
  allows({ remote, message }: Exchange, length: number, payload: number): boolean {
    return length <= remote.credit && (payload <= SHORT || length <= this.#factor * message.bytes.length)
  }

  /** Bytes of payload that the answer may have, beside `options` bytes of options. */
  room({ remote, message }: Exchange, options: number): number {
    if (remote.verified) return Number.POSITIVE_INFINITY
    const own = Math.floor(this.#factor * message.bytes.length)
    const overhead = 5 + message.tokenEnd - message.tokenStart + options
    // What was sent before counts, repetitions too.
    if (remote.credit < own) return remote.credit - overhead
    return own - overhead
  }
}
