/** How a network treats what passes through it; chances are from 0 to 1, times milliseconds, sizes bytes. */
export interface NetworkConditions {
  /** Time on the way: one number, or the two between which everything gets its own; 1 by default. */
  readonly delay: number | readonly [least: number, most: number]
  /** Chance that a datagram is lost; 0 by default. */
  readonly loss: number
  /** Chance that a datagram arrives twice; 0 by default. */
  readonly duplication: number
  /** Chance that a datagram is held back long enough for later ones to overtake it; 0 by default. */
  readonly reordering: number
  /** By how much a datagram that is held back, or a second copy, comes late at most; 100 by default. */
  readonly lateness: number
  /** The largest datagram that passes; larger ones are lost. 65,507 by default, what IPv4 allows. */
  readonly mtu: number
  /** The largest piece of a stream that arrives at once: writes are cut into random pieces up to it. 0, the default, cuts nothing. */
  readonly splitting: number
  /** Chance that a write on a stream arrives in one piece with the write before; 0 by default. */
  readonly coalescing: number
  /** What a stream holds for a receiver that has paused, before its sender has to wait; 65,536 by default. */
  readonly window: number
}

/** A network without faults. */
export const CLEAR: NetworkConditions = Object.freeze({
  delay: 1,
  loss: 0,
  duplication: 0,
  reordering: 0,
  lateness: 100,
  mtu: 65_507,
  splitting: 0,
  coalescing: 0,
  window: 65_536
})

/** When each copy of one datagram arrives, from now: empty when it is lost. */
export function arrivals(conditions: NetworkConditions, random: () => number): number[] {
  const { loss, duplication, reordering, lateness } = conditions
  if (random() < loss) return []
  const first = delayOf(conditions, random) + (random() < reordering ? random() * lateness : 0)
  return random() < duplication ? [first, delayOf(conditions, random) + random() * lateness] : [first]
}

/** One time on the way. */
export function delayOf({ delay }: NetworkConditions, random: () => number): number {
  return typeof delay === 'number' ? delay : delay[0] + random() * (delay[1] - delay[0])
}
