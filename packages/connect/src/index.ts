/**
 * Express and Connect middleware in an IOPA app: it runs on HTTP requests, and its header fields, answers, errors and users are those of the app.
 *
 * @example
 * const app = new App().use(connect(helmet())).use(http({ port: 8080 }))
 */

export type { ConnectOptions, ConnectUserOptions } from './connect.ts'
export { connect } from './connect.ts'
export type { ConnectRequest } from './keys.ts'
