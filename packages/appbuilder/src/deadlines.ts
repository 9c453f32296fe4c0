import type { Context } from '@iopa/context'
import type { Clock, TimerHandle } from './clock.ts'

/** Times requests out with one coarse timer: all have the same time, so the oldest is always the first. */
export class Deadlines {
  readonly #pending = new Map<Context, (context: Context) => void>()
  readonly #clock: Clock
  readonly #timeout: number
  readonly #expire: (context: Context, done: (context: Context) => void) => void
  #timer: TimerHandle | null = null

  /** `timeout` in milliseconds; a request is expired at most a quarter of it, or a second, late. */
  constructor(clock: Clock, timeout: number, expire: (context: Context, done: (context: Context) => void) => void) {
    this.#clock = clock
    this.#timeout = timeout
    this.#expire = expire
  }

  add(context: Context, done: (context: Context) => void): void {
    this.#pending.set(context, done)
    if (this.#timer === null) this.#arm()
  }

  remove(context: Context): void {
    this.#pending.delete(context)
  }

  close(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
    this.#pending.clear()
  }

  #arm(): void {
    if (!Number.isFinite(this.#timeout)) return
    this.#timer = this.#clock.setTimeout(() => this.#sweep(), Math.max(1, Math.min(1000, this.#timeout / 4)))
  }

  #sweep(): void {
    this.#timer = null
    const oldest = this.#clock.now() - this.#timeout
    for (const [context, done] of this.#pending) {
      if (context['server.Timestamp'] > oldest) break
      this.#pending.delete(context)
      this.#expire(context, done)
    }
    if (this.#pending.size > 0) this.#arm()
  }
}
