import { checkOptions, markFactory } from '@iopa/appbuilder/extension'
import { type IRateLimiterRedisOptions, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible'
import type { Quota } from './gcra.ts'
import type { RateLimitStore, SharedBudgets, Taken } from './store.ts'

/** Options of `redis()`. */
export interface RedisOptions {
  /** Begins each key in Redis. Default `iopa-rate-limit`. */
  readonly prefix?: string
  /** The client is one of the package `redis`; a client of `ioredis` is the default. */
  readonly useRedisPackage?: boolean
}

const OPTIONS: Record<keyof RedisOptions, true> = { prefix: true, useRedisPackage: true }

/**
 * Keeps budgets in Redis, for several processes: `rateLimit({ limit: 100, store: redis(client) })`. The client belongs to the caller, who closes it.
 */
export const redis = (client: unknown, options: RedisOptions = {}): RateLimitStore => {
  checkOptions('redis()', options, OPTIONS, redis)
  const { prefix = 'iopa-rate-limit', useRedisPackage = false } = options
  return {
    open: ({ limit, window, name }: Quota & { readonly name: string }): SharedBudgets => {
      const settings: IRateLimiterRedisOptions = {
        storeClient: client,
        keyPrefix: `${prefix}:${name}`,
        points: limit,
        duration: window / 1000,
        useRedisPackage,
        // Otherwise each request waits for a client that is away; this one fails at once.
        rejectIfRedisNotReady: true
      }
      const limiter = new RateLimiterRedis(settings)
      return { take: (key, cost) => take(limiter, key, cost) }
    }
  }
}

markFactory('redis', redis)

const take = async (limiter: RateLimiterRedis, key: string, cost: number): Promise<Taken> => {
  try {
    return takenOf(await limiter.consume(key, cost), true)
  } catch (refused) {
    if (refused instanceof RateLimiterRes) return takenOf(refused, false)
    throw refused
  }
}

const takenOf = ({ remainingPoints, msBeforeNext }: RateLimiterRes, allowed: boolean): Taken => ({
  allowed,
  remaining: remainingPoints,
  reset: Math.max(0, msBeforeNext)
})
