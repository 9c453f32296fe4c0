/**
 * Compressed answers of HTTP: Brotli, Zstandard and gzip.
 *
 * @example
 * const app = new App().use(compress()).use(router()).use(http({ port: 8080 }))
 */

export { compress } from './compress.ts'
export type { Encoding } from './encoders.ts'
export type { CompressOptions } from './options.ts'
