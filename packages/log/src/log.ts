import type { Context, Logger, Next } from '@iopa/appbuilder'
import { type Activity, type AppHandle, type Clock, clockOf, type Extension, markFactory, whenObserved } from '@iopa/appbuilder/extension'
import { peerOf } from './addresses.ts'
import { type Write, writerOf } from './destination.ts'
import { Floods } from './floods.ts'
import { LOG_KEYS } from './keys.ts'
import { type LogOptions, type LogSettings, settingsOf } from './options.ts'
import type { LogRecord } from './record.ts'
import { type Reason, RequestRecords } from './request-log.ts'

/** What `log()` gives: middleware for an app, a group or a route. Connections and refusals are logged where it is given to `use` of an app. */
export type Log = Extension<object> & { readonly neutral: true; readonly keys: typeof LOG_KEYS; invoke(context: Context, next: Next): unknown }

/**
 * Writes a line for each request when it is over, for each observation when it begins and ends, for each connection and for each refusal.
 * Use it first, so that it sees the answers of what stands behind it.
 *
 * @example
 * app.use(log())
 */
export const log = (options: LogOptions = {}): Log => new RequestLog(settingsOf(options, log))

markFactory('log', log)

class RequestLog implements Log {
  readonly name = 'log'
  readonly neutral = true
  readonly keys = LOG_KEYS
  readonly #settings: LogSettings
  readonly #records: RequestRecords
  #output: Output | null = null

  constructor(settings: LogSettings) {
    this.#settings = settings
    this.#records = new RequestRecords(settings)
  }

  extend(app: AppHandle): object {
    const output = this.#begin(app.clock, app.logger)
    app.activity(activity => this.#heard(output, activity))
    app.defer(() => output.floods.flush())
    return {}
  }

  invoke(context: Context, next: Next): unknown {
    // The app makes these GETs for itself; what they are made for has a line of its own.
    if (context['server.IsPrecondition'] || (context['server.IsNotification'] && !this.#settings.notifications)) return next()
    const method = context['iopa.Method']
    // The connection has a line when it ends.
    if (method === 'DISCONNECT') return next()
    const output = this.#output ?? this.#begin(clockOf(context), context['server.Logger'])
    const began = output.clock.elapsed()
    if (method === 'CONNECT') return this.#connect(output, context, next, began)
    if (context['iopa.Observe'] === true && !context['server.IsNotification'])
      whenObserved(context, () => {
        const record = this.#records.begun(context, output.clock.now())
        if (record !== null) output.write(record)
      })
    context.defer(reason => this.#ended(output, context, began, reason))
    return next()
  }

  /** The scope of a connection lasts as long as that: its line is written when it is accepted or refused. */
  #connect(output: Output, context: Context, next: Next, began: number): Promise<unknown> {
    const handled = next()
    const over = (): void => queueMicrotask(() => this.#ended(output, context, began, 'finish'))
    handled.then(over, over)
    return handled
  }

  #ended(output: Output, context: Context, began: number, reason: Reason): void {
    const { clock } = output
    const record = this.#records.ended(context, clock.now(), clock.elapsed() - began, reason)
    if (record === null) return
    const { status } = record
    if (status !== undefined && (status >= 500 || status === 429)) output.floods.add(record, context['server.RemoteAddress'])
    else output.write(record)
  }

  #heard({ clock, floods }: Output, activity: Activity): void {
    const { transport, address, port } = activity
    const time = clock.now()
    const peer = peerOf(address, port)
    if (activity.kind === 'refused') {
      const { status, code } = activity
      floods.add({ level: 'warn', time, event: 'refused', status, transport, peer, code }, address)
    } else if (this.#settings.connections) {
      const duration = activity.kind === 'connection-closed' ? Math.round(activity.duration) : undefined
      floods.add({ level: 'info', time, event: activity.kind, duration, transport, peer }, address)
    }
  }

  #begin(clock: Clock, logger: Logger): Output {
    if (this.#output !== null) return this.#output
    const { to, format, perSecond } = this.#settings
    const raw = writerOf(to ?? logger, to === undefined, format)
    // A log must not end what it is about.
    const write = (record: LogRecord): void => {
      try {
        const written: unknown = raw(record)
        if (written instanceof Promise) written.catch(ignored)
      } catch {
        // There is no other place to say it.
      }
    }
    return (this.#output = { clock, write, floods: new Floods(clock, perSecond, write) })
  }
}

const ignored = (): void => undefined

interface Output {
  readonly clock: Clock
  readonly write: Write
  readonly floods: Floods
}
