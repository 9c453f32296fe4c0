import { DISCONNECTED } from '../message/refusal.ts'
import type { Inflow } from './inflow.ts'
import type { Outflow } from './outflow.ts'
import type { PeerWatch } from './peer-watch.ts'
import type { HttpRequest } from './request.ts'

/** Leads the size of the next chunk (RFC 9112 section 7.1), and changes nothing. */
const LEADING_ZERO = '0'
const MOST_PROBES = 3
/** Milliseconds that a stream which has no chunks may be silent. */
const SILENCE = 5000

/**
 * A peer that has ended its side while its answer leaves. It may still read, or be gone altogether, which looks the same.
 * One that is gone answers whatever it is sent with a reset, and the next write meets that.
 */
export class HalfClosedPeer {
  readonly #request: HttpRequest
  readonly #outflow: Outflow
  #probes = 0

  constructor(request: HttpRequest, inflow: Inflow, outflow: Outflow) {
    this.#request = request
    this.#outflow = outflow
    this.starve(inflow)
    this.probe()
    setImmediate(() => this.probe())
  }

  /** Sends what makes no difference to a peer that reads. */
  probe(): void {
    if (!this.#request.chunked || this.#probes === MOST_PROBES) return
    this.#probes++
    this.#outflow.text(LEADING_ZERO)
    this.#outflow.flush()
  }

  /** Fails the body of the request where it is not whole: what has not come by now never will. */
  starve(inflow: Inflow): void {
    if (this.#request.unread && inflow.empty) this.#request.break(DISCONNECTED)
  }

  /** True when a stream that no probe can be sent in is silent: then the peer counts as gone. */
  gone(now: number, watch: PeerWatch, received: number): boolean {
    return !this.#request.chunked && watch.silent(now, SILENCE, received)
  }
}
