/**
 * Cookies that are read, set and signed, and sessions with a store, for HTTP.
 *
 * @example
 * const app = new App()
 *   .use(sessions({ store: memorySessions(), user: session => session.get<User>('user') }))
 *   .use(router())
 *   .use(http({ port: 8080 }))
 */

export type { CookieAttributes } from './attributes.ts'
export type { CookiesOptions } from './cookies.ts'
export { cookies } from './cookies.ts'
export type { CookieJar } from './jar.ts'
export type { MemorySessionsOptions } from './memory-sessions.ts'
export { memorySessions } from './memory-sessions.ts'
export type { Session } from './session.ts'
export type { SessionPlace, SessionStore } from './session-store.ts'
export type { SessionsOptions } from './sessions.ts'
export { sessions } from './sessions.ts'
