import { IopaError } from '@iopa/appbuilder'

/** A value now, or later. */
export type MaybePromise<T> = T | Promise<T>

/** Changes that may wait for one document. */
const MOST_WAITING = 1024

interface Lane {
  tail: Promise<unknown>
  waiting: number
}

/** Changes of one document take turns; those of different documents do not wait for one another. */
export class Turns {
  readonly #lanes = new Map<string, Lane>()

  /** Documents with a change under way. */
  get active(): number {
    return this.#lanes.size
  }

  /** True where no change of `key` is under way: the next one need not wait. */
  isFree(key: string): boolean {
    return !this.#lanes.has(key)
  }

  /** The changes of `key` that come wait until this one, which has begun where it was free, has settled. */
  hold<T>(key: string, outcome: Promise<T>): Promise<T> {
    return this.#hold(key, { tail: outcome, waiting: 0 }, outcome)
  }

  /** Runs `work` when the changes of `key` that came before have settled: at once where there are none. */
  run<T>(key: string, work: () => MaybePromise<T>): MaybePromise<T> {
    const lane = this.#lanes.get(key)
    if (lane === undefined) {
      const outcome = work()
      return outcome instanceof Promise ? this.hold(key, outcome) : outcome
    }
    if (lane.waiting >= MOST_WAITING)
      throw new IopaError(503, 'overloaded', 'Too many changes wait for this document; try again.', { headers: { 'retry-after': '1' } })
    lane.waiting++
    const outcome = lane.tail.then(work, work).finally(() => void lane.waiting--)
    return this.#hold(key, lane, outcome)
  }

  /** Resolves when no change is under way. */
  async idle(): Promise<void> {
    while (this.#lanes.size > 0) await Promise.allSettled(Array.from(this.#lanes.values(), ({ tail }) => tail))
  }

  #hold<T>(key: string, lane: Lane, outcome: Promise<T>): Promise<T> {
    const settled = (): void => {
      if (lane.tail === tail) this.#lanes.delete(key)
    }
    const tail = outcome.then(settled, settled)
    lane.tail = tail
    this.#lanes.set(key, lane)
    return outcome
  }
}
