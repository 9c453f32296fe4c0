import type { Clock, TimerHandle } from '../transport/clock.ts'
import type { Run } from './run.ts'

const GENERATIONS = 8

/** Times runs out with one coarse timer and no clock of their own: each tick begins a generation, the ninth expires. */
export class Deadlines {
  readonly #clock: Clock
  readonly #tick: number
  readonly #expire: (run: Run) => void
  /** Runs by the tick in which they began, the youngest last. */
  readonly #generations: Set<Run>[] = [new Set()]
  #size = 0
  /** The one timer; null while none is armed. */
  #timer: TimerHandle | null = null

  /** `timeout` in milliseconds; a run is expired at most an eighth of it late, and never early. */
  constructor(clock: Clock, timeout: number, expire: (run: Run) => void) {
    this.#clock = clock
    this.#tick = Math.max(1, timeout / GENERATIONS)
    this.#expire = expire
  }

  add(run: Run): void {
    const youngest = this.#generations.at(-1) as Set<Run>
    run.generation = youngest
    youngest.add(run)
    this.#size++
    this.#arm()
  }

  remove(run: Run): void {
    if (run.generation?.delete(run) === true) this.#size--
    run.generation = null
  }

  /** Forgets all runs, and gives them back. */
  close(): Run[] {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#size = 0
    const runs = this.#generations.splice(0, this.#generations.length, new Set()).flatMap(generation => [...generation])
    for (const run of runs) run.generation = null
    return runs
  }

  #arm(): void {
    if (this.#timer === null && Number.isFinite(this.#tick)) this.#timer = this.#clock.setTimeout(() => this.#turn(), this.#tick)
  }

  #turn(): void {
    this.#timer = null
    this.#generations.push(new Set())
    const expired = this.#generations.length > GENERATIONS + 1 ? (this.#generations.shift() as Set<Run>) : null
    this.#size -= expired?.size ?? 0
    if (this.#size > 0) this.#arm()
    else this.#generations.splice(0, this.#generations.length - 1)
    if (expired === null) return
    // An answer that leaves now may let a request begin that was queued: it is added to a generation that is in order.
    for (const run of expired) run.generation = null
    for (const run of expired) this.#expire(run)
  }
}
