import { OPTION } from '../codec/option-registry.ts'
import type { DatagramExchange } from './datagram-exchange.ts'

/**
 * How many steps a request for a block waits: libcoap 4.3.1 gives up a transfer whose block comes in a separate response.
 * It is still half the time after which a client asks again.
 */
const BLOCK_PATIENCE = 20

/** Confirmable requests whose handlers have returned without an answer: after one to two steps they are acknowledged, and answered separately (RFC 7252 section 5.2.2). */
export class Unanswered {
  /** Since the last step, and from the step before. */
  #young: DatagramExchange[] = []
  #old: DatagramExchange[] = []

  get empty(): boolean {
    return this.#old.length === 0 && this.#young.length === 0
  }

  add(exchange: DatagramExchange): void {
    this.#young.push(exchange)
  }

  /** Takes a step, and gives those to `late` that have waited long enough. */
  step(late: (exchange: DatagramExchange) => void): void {
    const waited = this.#old
    this.#old = this.#young
    this.#young = []
    for (const exchange of waited) {
      if (exchange.ended) continue
      if (++exchange.sweeps < BLOCK_PATIENCE && exchange.message.options.has(OPTION.BLOCK2)) this.#old.push(exchange)
      else late(exchange)
    }
  }

  clear(): void {
    this.#young = []
    this.#old = []
  }
}
