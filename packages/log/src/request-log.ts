import type { Context } from '@iopa/appbuilder'
import { deliveriesOf, isUnrouted, sentBytes } from '@iopa/appbuilder/extension'
import { peerOf } from './addresses.ts'
import type { LogSettings } from './options.ts'
import type { LogEvent, LogLevel, LogRecord } from './record.ts'
import { HIDDEN } from './redaction.ts'

/** Why a scope ended. */
export type Reason = Context['endReason']

const rounded = (ms: number): number => Math.round(ms * 1000) / 1000

/** Makes the records of requests. */
export class RequestRecords {
  readonly #settings: LogSettings
  /** Nothing but queries and named header fields is to be hidden, and nothing is to be added. */
  readonly #plain: boolean
  #said = false

  constructor(settings: LogSettings) {
    this.#settings = settings
    this.#plain = settings.headers.length === 0 && settings.fields === undefined && settings.redaction.fields.size === 0
  }

  /** True for a request that the option `skip` names. */
  skips(context: Context): boolean {
    const { skip } = this.#settings
    if (skip === undefined) return false
    try {
      return skip(context) === true
    } catch (error) {
      this.#failed(context, 'skip', error)
      return false
    }
  }

  /** The record of an observation that has begun; null for one that is not logged. */
  begun(context: Context, time: number): LogRecord | null {
    if (this.skips(context)) return null
    return this.#complete(context, this.#record(context, { level: 'info', time, event: 'observation-begun' }))
  }

  /** The record of a request that is over, of an observation or of the run of a notification; null for one that is not logged. */
  ended(context: Context, time: number, duration: number, reason: Reason): LogRecord | null {
    const { sample } = this.#settings
    if (this.skips(context)) return null
    const answer = context.response
    // No handler is needed to accept a connection or a subscription: there the answer that nothing was found says so.
    const status = answer.sealed && !(isControl(context) && isUnrouted(context)) ? answer.status : undefined
    const aborted = reason === 'disconnect' || reason === 'reset'
    const deliveries = deliveriesOf(context)
    const event: LogEvent = context['server.IsNotification'] ? 'notification' : deliveries > 0 ? 'observation-ended' : 'request'
    // An observer leaves when it likes.
    const lost = aborted && event === 'request'
    if (sample < 1 && !lost && (status ?? 0) < 400 && Math.random() >= sample) return null
    const level: LogLevel = (status ?? 0) >= 500 ? 'error' : lost || (status ?? 0) >= 400 ? 'warn' : 'info'
    const isAnswered = status !== undefined && event !== 'observation-ended'
    return this.#complete(
      context,
      this.#record(context, {
        level,
        time,
        event,
        status,
        bytes: isAnswered ? (sentBytes(context, reason === 'finish') ?? undefined) : undefined,
        duration: rounded(duration),
        code: (status ?? 0) >= 400 ? answer.error?.code : undefined,
        aborted: lost ? true : undefined,
        deliveries: deliveries > 0 ? deliveries : undefined,
        reason: reason === 'finish' || lost ? undefined : reason
      })
    )
  }

  #record(context: Context, facts: Facts): LogRecord {
    const query = context['iopa.QueryString']
    return {
      level: facts.level,
      time: facts.time,
      event: facts.event,
      requestId: context['log.RequestId'],
      method: context['iopa.Method'],
      path: context['server.RawPath'],
      query: query === '' ? undefined : this.#settings.redaction.query(query),
      status: facts.status,
      bytes: facts.bytes,
      duration: facts.duration,
      user: context['server.User']?.id,
      protocol: context['iopa.Protocol'],
      transport: undefined,
      peer: peerOf(context['server.RemoteAddress'], context['server.RemotePort']),
      code: facts.code,
      aborted: facts.aborted,
      deliveries: facts.deliveries,
      reason: facts.reason,
      replica: context['server.IsReplica'] ? true : undefined
    }
  }

  /** Adds header fields and further fields, and hides what is to be hidden. */
  #complete(context: Context, record: LogRecord): LogRecord {
    if (this.#plain) return record
    const { headers, fields, redaction } = this.#settings
    const shown: Record<string, string> = {}
    for (const name of headers) {
      const value = context['iopa.Headers'].get(name)
      if (value !== undefined) shown[name] = redaction.header(name, value)
    }
    // Not by a spread, after which each object that gets a further field has a hidden class of its own.
    const complete: Record<string, unknown> = Object.assign({} as Record<string, unknown>, record)
    if (headers.length > 0) complete['headers'] = shown
    for (const name of redaction.fields)
      if (complete[name] !== undefined)
        complete[name] = name === 'headers' ? Object.fromEntries(Object.keys(shown).map(field => [field, HIDDEN])) : HIDDEN
    if (fields !== undefined) complete['fields'] = this.#extra(context, fields)
    return complete as unknown as LogRecord
  }

  /** Requests have their lines also where a function of the app throws: CONNECT, for instance, may have no user. */
  #extra(context: Context, fields: NonNullable<LogSettings['fields']>): Readonly<Record<string, unknown>> | undefined {
    try {
      return this.#settings.redaction.extra(fields(context))
    } catch (error) {
      this.#failed(context, 'fields', error)
      return undefined
    }
  }

  /** Said once: each request may fail in the same way. */
  #failed(context: Context, option: 'fields' | 'skip', error: unknown): void {
    if (this.#said) return
    this.#said = true
    try {
      context['server.Logger'].error(`iopa: the function '${option}' of log() has thrown; lines are written without it`, error)
    } catch {
      // There is no other place to say it.
    }
  }
}

type Facts = Pick<LogRecord, 'level' | 'time' | 'event' | 'status' | 'bytes' | 'duration' | 'code' | 'aborted' | 'deliveries' | 'reason'>

const isControl = ({ method }: Context): boolean => method === 'CONNECT' || method === 'SUBSCRIBE' || method === 'UNSUBSCRIBE'
