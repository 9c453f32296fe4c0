/**
 * One budget of requests per user over all protocols.
 *
 * @example
 * app.use(rateLimit({ limit: 100 }))
 */

export type { Quota } from './gcra.ts'
export type { RateLimitOptions } from './options.ts'
export { rateLimit } from './rate-limit.ts'
export type { RateLimitStore, SharedBudgets, Taken } from './store.ts'
