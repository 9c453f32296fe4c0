import { type CodecTable, changesState, IopaError, isIopaError } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { Clock } from '../transport/clock.ts'
import type { Limits } from '../transport/limits.ts'
import { applyReturned, asPromise, type ComposedPipeline, isThenable } from './compose.ts'
import { Deadlines } from './deadlines.ts'

type Done = (context: Context) => void

const shared = (status: number, code: string, detail: string, headers?: Readonly<Record<string, string>>): IopaError => {
  const error = new IopaError(status, code, detail, headers === undefined ? {} : { headers })
  error.stack = `IopaError: ${code}`
  return Object.freeze(error)
}

const NOT_FOUND = shared(404, 'not-found', 'There is nothing at this path.')
const OVERLOADED = shared(503, 'overloaded', 'The server is working on as many requests as it may; try again.', { 'retry-after': '1' })
const TIMED_OUT = shared(504, 'timeout', 'The request took too long.')
/** The answer to every request after the app has been closed. */
export const SHUT_DOWN: IopaError = shared(503, 'shutdown', 'The server is shutting down.')
const MISSING_AWAIT = shared(500, 'missing-await', 'A middleware finished before the handler that it called: return or await next().')

/** The peer's view of an error: an IopaError as it is, anything else without its message. */
export const toIopaError = (error: unknown): IopaError =>
  isIopaError(error) && error.status >= 400 && error.status <= 599 ? error : new IopaError(500, 'internal-error', '', { cause: error })

/** Runs requests of one listener: the error boundary, the bound on work, the deadline, and the sealing of answers. */
export class Dispatcher {
  readonly #pipeline: () => ComposedPipeline
  readonly #codecs: CodecTable
  readonly #limits: Limits
  readonly #changed: (path: string, origin: Context) => void
  readonly #deadlines: Deadlines
  #inFlight = 0
  #idle: (() => void)[] = []

  /** `changed` hears of each path whose state a 2xx answer has changed. */
  constructor(pipeline: () => ComposedPipeline, codecs: CodecTable, limits: Limits, clock: Clock, changed: (path: string, origin: Context) => void) {
    this.#pipeline = pipeline
    this.#codecs = codecs
    this.#limits = limits
    this.#changed = changed
    this.#deadlines = new Deadlines(clock, limits.requestTimeout, (context, done) => {
      context.response.pending = null
      context.planEnd('timeout')
      this.#fail(context, TIMED_OUT)
      this.#finish(context, done)
    })
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Runs the pipeline; `done` is called once, and never throws out of here. */
  run(context: Context, done: Done): void {
    if (context.ended && context.endReason === 'shutdown') {
      this.#inFlight++
      context.response.fail(SHUT_DOWN)
      this.#finish(context, done)
      return
    }
    if (this.#inFlight++ >= this.#limits.inFlight) {
      context.response.fail(OVERLOADED)
      this.#finish(context, done)
      return
    }
    let value: unknown
    try {
      const pipeline = this.#pipeline()
      value = pipeline.unwrap(pipeline(context))
    } catch (error) {
      this.#fail(context, error)
      this.#finish(context, done)
      return
    }
    if (!isThenable(value)) {
      this.#complete(context, value, done)
      return
    }
    this.#deadlines.add(context, done)
    asPromise(value).then(
      settled => {
        if (context.response.sealed) return
        this.#deadlines.remove(context)
        this.#complete(context, settled, done)
      },
      (error: unknown) => {
        if (context.response.sealed) return
        this.#deadlines.remove(context)
        this.#fail(context, error)
        this.#finish(context, done)
      }
    )
  }

  /** Resolves when nothing is in work. */
  idle(): Promise<void> {
    return this.#inFlight === 0 ? Promise.resolve() : new Promise(resolve => this.#idle.push(resolve))
  }

  /** Answers what is still in work: nobody waits for its handlers any more. */
  close(): void {
    for (const [context, done] of this.#deadlines.close()) {
      context.response.pending = null
      context.response.fail(SHUT_DOWN)
      this.#finish(context, done)
    }
  }

  #complete(context: Context, value: unknown, done: Done): void {
    const pending = context.response.pending
    if (pending !== null) {
      this.#judgePending(context, value, pending, done)
      return
    }
    try {
      this.#settle(context, value)
    } catch (error) {
      this.#fail(context, error)
    }
    this.#finish(context, done)
  }

  /** A handler's promise is not fulfilled: either it was rejected and a middleware has caught that, or nobody waited for it. */
  #judgePending(context: Context, value: unknown, pending: Promise<unknown>, done: Done): void {
    let caught = false
    pending.catch(() => {
      caught = true
    })
    queueMicrotask(() =>
      queueMicrotask(() => {
        context.response.pending = null
        if (caught) this.#complete(context, value, done)
        else {
          this.#fail(context, MISSING_AWAIT)
          this.#finish(context, done)
        }
      })
    )
  }

  #settle(context: Context, value: unknown): void {
    const answer = context.response
    if (value !== undefined) applyReturned(answer, value)
    if (answer.status === 0) {
      if (answer.body !== undefined) answer.status = 200
      else if (context['iopa.Method'] === 'GET' || context['iopa.Method'] === 'HEAD') answer.fail(NOT_FOUND)
      else answer.status = 204
    }
    if (answer.ok && changesState(context['iopa.Method'])) this.#changed(answer.resource || context['iopa.PathBase'] + context['iopa.Path'], context)
  }

  #fail(context: Context, error: unknown): void {
    const visible = toIopaError(error)
    try {
      context.response.fail(visible)
    } catch (fault) {
      // What the error itself asks for, such as a header that no message can carry, must not get past this boundary.
      context.response.fail(new IopaError(500, 'internal-error'))
      this.#log(context, context.response.error as IopaError, fault)
    }
    if (visible.status >= 500) this.#log(context, visible, error)
  }

  #log(context: Context, visible: IopaError, error: unknown): void {
    const line = `iopa: ${context} ${context['iopa.Protocol']} answered ${visible.status} ${visible.code}`
    try {
      // A shared error has no stack of its own.
      context['server.Logger'].error(line, Object.isFrozen(error) ? visible.detail : error)
    } catch {
      // A logger that fails must not take the answer with it.
    }
  }

  #finish(context: Context, done: Done): void {
    try {
      context.response.seal(this.#codecs)
    } catch (error) {
      this.#fail(context, error)
      context.response.seal(this.#codecs)
    }
    this.#inFlight--
    if (this.#inFlight === 0 && this.#idle.length > 0) for (const resolve of this.#idle.splice(0)) resolve()
    try {
      done(context)
    } catch (error) {
      context['server.Logger'].error('iopa: a transport failed to send an answer', error)
      void context.end('reset')
    }
  }
}
