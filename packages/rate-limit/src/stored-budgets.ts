import { type Context, IopaError } from '@iopa/appbuilder'
import { clockOf } from '@iopa/appbuilder/extension'
import type { RateLimitSettings } from './options.ts'
import type { SharedBudgets, Taken } from './store.ts'

const AWAY: IopaError = new IopaError(503, 'rate-limit-unavailable', 'The budgets of callers cannot be read now: try again later.', {
  headers: { 'retry-after': '1' }
})

/** Budgets in a store, with what happens while that is away: a request waits for it a bounded time. */
export class StoredBudgets {
  readonly #budgets: SharedBudgets
  readonly #settings: Pick<RateLimitSettings, 'onFailure' | 'timeout'>
  /** When the last failure was logged, in milliseconds of the clock. */
  #logged = Number.NEGATIVE_INFINITY

  constructor(budgets: SharedBudgets, settings: Pick<RateLimitSettings, 'onFailure' | 'timeout'>) {
    this.#budgets = budgets
    this.#settings = settings
  }

  /** Null where the store is away and the request is let pass. @throws IopaError 503 where it is not. */
  async take(context: Context, key: string, cost: number): Promise<Taken | null> {
    try {
      return await this.#inTime(context, this.#budgets.take(key, cost))
    } catch (error) {
      this.#log(context, error)
      if (this.#settings.onFailure === 'allow') return null
      throw AWAY
    }
  }

  #inTime(context: Context, taking: Promise<Taken>): Promise<Taken> {
    const clock = clockOf(context)
    const { timeout } = this.#settings
    return new Promise((resolve, reject) => {
      const timer = clock.setTimeout(() => reject(new Error(`the store has not answered within ${timeout} ms`)), timeout)
      taking.then(resolve, reject).finally(() => clock.clearTimeout(timer))
    })
  }

  /** One line a second at most. */
  #log(context: Context, error: unknown): void {
    const now = clockOf(context).elapsed()
    if (now - this.#logged < 1000) return
    this.#logged = now
    const fate = this.#settings.onFailure === 'allow' ? 'requests are not limited' : 'requests are refused'
    context['server.Logger'].error(`iopa: the store of rateLimit() is away: ${fate}`, error)
  }
}
