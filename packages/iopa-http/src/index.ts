/**
 * HTTP for IOPA apps: requests become contexts, observation becomes server-sent events.
 *
 * @example
 * const app = new App().use(router()).use(http({ port: 8080 }))
 * app.get('/hello', () => 'Hello World')
 * await app.listen()
 */

export { http } from './http.ts'
export type { EventOptions, Http2Options, HttpClientOptions, HttpOptions } from './options.ts'
