/**
 * One line a request, an observation and a connection, on every protocol.
 *
 * @example
 * app.use(requestId()).use(log())
 */

export type { LogDestination, LogFormat, LogStream } from './destination.ts'
export type { Log } from './log.ts'
export { log } from './log.ts'
export type { LogOptions } from './options.ts'
export type { LogEvent, LogLevel, LogRecord } from './record.ts'
export type { RequestIdOptions } from './request-id.ts'
export { requestId } from './request-id.ts'
