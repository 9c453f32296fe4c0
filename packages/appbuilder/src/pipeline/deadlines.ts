import type { Clock, TimerHandle } from '@iopa/transport'
import type { Run } from './run.ts'

const GENERATIONS = 8

/** Runs that began within one tick, linked in place: a set of its own would cost more than the rest of a deadline. */
class Generation {
  #first: Run | null = null
  #last: Run | null = null

  /** Adds a run that is in no list. */
  push(run: Run): void {
    run.previous = this.#last
    if (this.#last === null) this.#first = run
    else this.#last.next = run
    this.#last = run
    run.generation = this
  }

  remove(run: Run): void {
    if (run.previous === null) this.#first = run.next
    else run.previous.next = run.next
    if (run.next === null) this.#last = run.previous
    else run.next.previous = run.previous
    run.previous = run.next = run.generation = null
  }

  /** Takes all runs out. */
  drain(): Run[] {
    const runs: Run[] = []
    for (let run = this.#first; run !== null; run = this.#first) {
      this.remove(run)
      runs.push(run)
    }
    return runs
  }
}

/** Times runs out with one coarse timer and no clock of their own: each tick begins a generation, the ninth expires. */
export class Deadlines {
  readonly #clock: Clock
  readonly #tick: number
  readonly #expire: (run: Run) => void
  /** Runs by the tick in which they began, the youngest last. */
  readonly #generations: Generation[] = [new Generation()]
  #youngest = this.#generations[0] as Generation
  /** Runs whose time does not pass. */
  readonly #paused = new Generation()
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
    this.#youngest.push(run)
    this.#size++
    if (this.#timer === null) this.#arm()
  }

  remove(run: Run): void {
    if (run.generation === null) return
    if (run.generation !== this.#paused) this.#size--
    run.generation.remove(run)
  }

  /** Keeps a run without a deadline, until it is removed. */
  pause(run: Run): void {
    this.remove(run)
    this.#paused.push(run)
  }

  /** Forgets all runs, and gives them back. */
  close(): Run[] {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#size = 0
    return this.#generations
      .splice(0, this.#generations.length - 1)
      .concat(this.#youngest, this.#paused)
      .flatMap(generation => generation.drain())
  }

  #arm(): void {
    if (Number.isFinite(this.#tick)) this.#timer = this.#clock.setTimeout(() => this.#turn(), this.#tick)
  }

  #turn(): void {
    this.#timer = null
    this.#youngest = new Generation()
    this.#generations.push(this.#youngest)
    // An answer that leaves now may let a request begin that was queued: it is added to a generation that is in order.
    const expired = this.#generations.length > GENERATIONS + 1 ? (this.#generations.shift() as Generation).drain() : []
    this.#size -= expired.length
    if (this.#size > 0) this.#arm()
    else this.#generations.splice(0, this.#generations.length - 1)
    for (const run of expired) this.#expire(run)
  }
}
