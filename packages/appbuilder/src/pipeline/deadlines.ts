import type { Context } from '@iopa/context'
import type { Clock, TimerHandle } from '../transport/clock.ts'

type Done = (context: Context) => void

const GENERATIONS = 8

/** Times requests out with one coarse timer and no clock of their own: each tick begins a generation, the ninth expires. */
export class Deadlines {
  readonly #clock: Clock
  readonly #tick: number
  readonly #expire: (context: Context, done: Done) => void
  /** Requests by the tick in which they arrived, the youngest last. */
  readonly #generations: Map<Context, Done>[] = [new Map()]
  #size = 0
  #timer: TimerHandle | null = null

  /** `timeout` in milliseconds; a request is expired at most an eighth of it late. */
  constructor(clock: Clock, timeout: number, expire: (context: Context, done: Done) => void) {
    this.#clock = clock
    this.#tick = Math.max(1, timeout / GENERATIONS)
    this.#expire = expire
  }

  add(context: Context, done: Done): void {
    ;(this.#generations.at(-1) as Map<Context, Done>).set(context, done)
    this.#size++
    if (this.#timer === null) this.#arm()
  }

  remove(context: Context): void {
    for (let at = this.#generations.length - 1; at >= 0; at--) {
      if (!(this.#generations[at] as Map<Context, Done>).delete(context)) continue
      this.#size--
      return
    }
  }

  /** Forgets all requests, and gives them back. */
  close(): [Context, Done][] {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#size = 0
    return this.#generations.splice(0, this.#generations.length, new Map()).flatMap(generation => [...generation])
  }

  #arm(): void {
    if (Number.isFinite(this.#tick)) this.#timer = this.#clock.setTimeout(() => this.#turn(), this.#tick)
  }

  #turn(): void {
    this.#timer = null
    this.#generations.push(new Map())
    if (this.#generations.length > GENERATIONS + 1) {
      const expired = this.#generations.shift() as Map<Context, Done>
      this.#size -= expired.size
      for (const [context, done] of expired) this.#expire(context, done)
    }
    if (this.#size > 0) this.#arm()
    else this.#generations.splice(0, this.#generations.length - 1)
  }
}
