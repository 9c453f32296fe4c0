/** How much a caller may do. */
export interface Quota {
  /** Requests in a window. */
  readonly limit: number
  /** Milliseconds. */
  readonly window: number
  /** Requests at once. */
  readonly burst: number
}

/**
 * The generic cell rate algorithm (ITU-T I.371): a caller is one number, the time at which its budget will be full again. Each request moves it by the
 * time that earns one request; a request that would move it further ahead than the burst is refused, and moves nothing.
 */
export class Gcra {
  /** Milliseconds that earn one request. */
  readonly interval: number
  /** How far ahead the time may be, in milliseconds. */
  readonly tolerance: number
  readonly burst: number

  constructor({ limit, window, burst }: Quota) {
    this.interval = window / limit
    this.tolerance = this.interval * burst
    this.burst = burst
  }

  /** The time after a request of this cost at `now`; negative where it is refused: the milliseconds until it would not be. */
  take(full: number, now: number, cost: number): number {
    const next = Math.max(full, now) + this.interval * Math.min(cost, this.burst)
    const excess = next - now - this.tolerance
    // Sums of fractions must not refuse the last request of a burst.
    return excess > ROUNDING ? -excess : next
  }

  /** The milliseconds until a request of this cost would not be refused; 0 for none. */
  wait(full: number, now: number, cost: number): number {
    return Math.max(0, -this.take(full, now, cost))
  }

  /** The time after something of this cost that has happened at `now`, whatever the budget; at most a whole budget is owed. */
  charge(full: number, now: number, cost: number): number {
    return Math.min(Math.max(full, now) + this.interval * cost, now + 2 * this.tolerance)
  }

  /** Requests that are left at `now`. */
  left(full: number, now: number): number {
    return Math.max(0, Math.floor((this.tolerance - Math.max(0, full - now) + ROUNDING) / this.interval))
  }
}

const ROUNDING = 1e-6
