import type { Context } from '@iopa/appbuilder'
import { checkOptions, type OptionCheck, optionError } from '@iopa/appbuilder/extension'
import type { LogDestination, LogFormat } from './destination.ts'
import { Redaction } from './redaction.ts'

/** Options of `log()`. */
export interface LogOptions {
  /** Where lines go: a logger such as `console` or pino, a stream, or a function of line and record. Default: the logger of the app. */
  readonly to?: LogDestination
  /** Default: `pretty` where lines go to a terminal, otherwise `json`. */
  readonly format?: LogFormat
  /** Header fields of requests that lines show. Default none. */
  readonly headers?: readonly string[]
  /** Further fields of the line of a request. */
  readonly fields?: (context: Context) => Readonly<Record<string, unknown>>
  /** What is hidden besides tokens, as paths: `query.pin`, `headers.x-tenant`, `user`, `device.serial`. */
  readonly redact?: readonly string[]
  /** Share of the requests that are logged, 0 to 1; those with a status from 400, and those that were aborted, always are. Default 1. */
  readonly sample?: number
  /** True for a request without a line; called when it is over. */
  readonly skip?: (context: Context) => boolean
  /** Lines of connections. Default true. */
  readonly connections?: boolean
  /** A line for each run of a notification as well. Default false. */
  readonly notifications?: boolean
  /** Lines of one kind in a second: refusals, connections, requests with 429 or from 500. Further ones are counted in one line. Default 50. */
  readonly perSecond?: number
}

const OPTIONS: Record<keyof LogOptions, OptionCheck> = {
  to: true,
  format: true,
  headers: 'texts',
  fields: 'function',
  redact: 'texts',
  sample: true,
  skip: 'function',
  connections: 'flag',
  notifications: 'flag',
  perSecond: true
}

/** The options with their defaults. */
export interface LogSettings {
  readonly to: LogDestination | undefined
  readonly format: LogFormat | undefined
  readonly headers: readonly string[]
  readonly fields: LogOptions['fields']
  readonly redaction: Redaction
  readonly sample: number
  readonly skip: LogOptions['skip']
  readonly connections: boolean
  readonly notifications: boolean
  readonly perSecond: number
}

/** Checks the options. @throws IopaError 500 that names the one that is wrong. */
export const settingsOf = (options: LogOptions, caller: unknown): LogSettings => {
  checkOptions('log()', options, OPTIONS, caller)
  const { to, format, headers = [], fields, redact = [], sample = 1, skip, connections = true, notifications = false, perSecond = 50 } = options
  if (
    to !== undefined &&
    typeof to !== 'function' &&
    typeof (to as { info?: unknown } | null)?.info !== 'function' &&
    typeof (to as { write?: unknown } | null)?.write !== 'function'
  )
    throw optionError('log() needs for to a logger, a stream or a function (line, record).')
  if (format !== undefined && format !== 'json' && format !== 'pretty') throw optionError("log() needs for format 'json' or 'pretty'.")
  if (!(typeof sample === 'number' && sample >= 0 && sample <= 1))
    throw optionError(`log() needs for sample a number from 0 to 1, not ${String(sample)}.`)
  if (!Number.isInteger(perSecond) || perSecond < 1) throw optionError(`log() needs for perSecond a whole number from 1, not ${String(perSecond)}.`)
  return {
    to,
    format,
    headers: headers.map(name => name.toLowerCase()),
    fields,
    redaction: new Redaction(redact),
    sample,
    skip,
    connections,
    notifications,
    perSecond
  }
}
