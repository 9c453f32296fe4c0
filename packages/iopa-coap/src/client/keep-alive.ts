import type { Clock, TimerHandle } from '@iopa/transport'
import type { Requester } from '../exchanges/requester.ts'

/** What keeps a path alive. */
export interface KeepAliveInit {
  readonly clock: Clock
  /** Milliseconds between two pings; undefined for none. */
  readonly interval: number | undefined
  readonly requester: Requester
  /** A ping was not answered. */
  lost(): void
}

/**
 * Pings the server while something waits for messages that it sends by itself: a NAT forgets a silent path (RFC 7252 section 4.3, RFC 8323 section 5.4),
 * and then they do not arrive.
 */
export class KeepAlive {
  readonly #init: KeepAliveInit
  #holders = 0
  /** Counts the times that something began or ceased to wait, so that a ping from before them is forgotten. */
  #round = 0
  #timer: TimerHandle | undefined

  constructor(init: KeepAliveInit) {
    this.#init = init
  }

  /** Something waits, until `release` is called as often. */
  hold(): void {
    if (this.#holders++ > 0) return
    this.#round++
    this.#arm()
  }

  release(): void {
    if (--this.#holders > 0) return
    this.#round++
    this.#init.clock.clearTimeout(this.#timer)
  }

  #arm(): void {
    const { clock, interval } = this.#init
    if (interval !== undefined) this.#timer = clock.setTimeout(() => this.#ping(interval), interval)
  }

  #ping(interval: number): void {
    const { clock, requester, lost } = this.#init
    const round = this.#round
    let over = false
    const done = (answered: boolean): void => {
      if (over) return
      over = true
      if (round !== this.#round) return
      clock.clearTimeout(this.#timer)
      if (!answered) lost()
      // The next one follows the answer, so that one at most is under way.
      this.#arm()
    }
    // Over datagrams the message layer gives up by itself, after retransmissions.
    if (requester.reliable) this.#timer = clock.setTimeout(() => done(false), interval)
    requester.ping(done)
  }
}
