/**
 * Cross-origin requests: preflights and answers, for HTTP.
 *
 * @example
 * const app = new App()
 *   .use(cors({ origin: 'https://app.example.com', credentials: true }))
 *   .use(router())
 *   .use(http({ port: 8080 }))
 */

export { cors } from './cors.ts'
export type { CorsOptions } from './options.ts'
export type { OriginCheck } from './origins.ts'
