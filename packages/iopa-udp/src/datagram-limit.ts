import { type Clock, isLoopback } from '@iopa/transport'

/** The largest payload of a datagram: 65,535 bytes less the headers of UDP and IPv4 (RFC 768, RFC 791). */
export const MAX_DATAGRAM = 65_507

const LEAST = 256
const FACTOR = 3

/** How much a request of `size` bytes may bring back: an address off loopback may be forged, and must not be flooded from here. */
export const answerLimit = (address: string, size: number): number =>
  isLoopback(address) ? MAX_DATAGRAM : Math.min(MAX_DATAGRAM, Math.max(FACTOR * size, LEAST))

const PER_SECOND = 100

/** Bounds the answers to invalid datagrams, so that two servers cannot answer each other's errors without end. */
export class FaultBudget {
  readonly #clock: Clock
  #second = 0
  #spent = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** False when this second's answers are used up. */
  take(): boolean {
    const second = Math.floor(this.#clock.elapsed() / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#spent = 0
    }
    return this.#spent++ < PER_SECOND
  }
}
