/**
 * Validators, Cache-Control, and a cache of answers that changes empty.
 *
 * @example
 * const app = new App().use(cache({ ttl: 60 })).use(router()).use(http({ port: 8080 }))
 * app.get('/prices', cacheControl({ maxAge: 10 }), () => prices())
 */

export type { CacheExtension } from './cache.ts'
export { cache } from './cache.ts'
export type { CacheControlOptions } from './cache-control.ts'
export { cacheControl } from './cache-control.ts'
export type { CacheMiddleware } from './etag.ts'
export { etag } from './etag.ts'
export type { CacheOptions } from './options.ts'
