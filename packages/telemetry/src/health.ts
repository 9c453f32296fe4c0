import { type Context, type Next, type Reply, reply } from '@iopa/appbuilder'
import { type AppHandle, checkOptions, type Extension, kindOf, markFactory, optionError } from '@iopa/appbuilder/extension'
import { type Check, Checks } from './checks.ts'
import { inUse } from './misuse.ts'

/** Options of health. */
export interface HealthOptions {
  /** What the app depends on, by name; all of them must succeed for it to be ready. None unless given. */
  readonly checks?: Readonly<Record<string, Check>>
  /** Where liveness is asked for: 200 while the process serves. `/health` unless given. */
  readonly path?: string
  /** Where readiness is asked for: 503 before `listen`, while a check fails, and from `drain` on. `/ready` unless given. */
  readonly readyPath?: string
  /** Milliseconds that a check may take. 1000 unless given. */
  readonly timeout?: number
  /** Milliseconds for which results of checks are kept. 1000 unless given. */
  readonly cache?: number
  /** True, or a function that gives true for a request, shows the results of the checks and why they failed. False unless given. */
  readonly details?: boolean | ((context: Context) => boolean)
  /** Milliseconds between `drain` and the close of the listeners, in which load balancers see that the app is not ready. 5000 unless given. */
  readonly notice?: number
}

const OPTIONS: Record<keyof HealthOptions, true> = {
  checks: true,
  path: true,
  readyPath: true,
  timeout: true,
  cache: true,
  details: true,
  notice: true
}

/** Options of `drain`. */
export interface DrainOptions {
  /** Milliseconds until the listeners close; that of `health` unless given. */
  readonly notice?: number
  /** Milliseconds for work under way, as for `close`. */
  readonly timeout?: number
}

const DRAIN_OPTIONS: Record<keyof DrainOptions, true> = { notice: true, timeout: true }

/** What `drain` needs of the app. */
interface Closable {
  close(options?: { readonly timeout?: number }): Promise<void>
}

/** What `health` adds to the app. */
export interface HealthMethods {
  /** Says that the app is not ready, serves on for `notice` ms, then closes. In place of `close` behind a load balancer. Idempotent. */
  drain(options?: DrainOptions): Promise<void>
}

/** What `health` gives to `use`. */
export interface Health extends Extension<HealthMethods> {
  invoke(context: Context, next: Next): unknown
}

/** Liveness and readiness as resources on every protocol. */
export const health = (options: HealthOptions = {}): Health => {
  checkOptions('health()', options, OPTIONS, health)
  const { checks = {}, path = '/health', readyPath = '/ready', details = false } = options
  const { timeout = 1000, cache = 1000, notice = 5000 } = options
  checkTimes('health()', { timeout, cache, notice })
  for (const value of [path, readyPath])
    if (typeof value !== 'string' || !value.startsWith('/')) throw optionError(`health() takes paths that begin with '/', not ${kindOf(value)}.`)
  if (typeof checks !== 'object' || checks === null || Array.isArray(checks))
    throw optionError(`health() takes checks as an object of functions by name, not ${kindOf(checks)}.`)
  for (const [name, check] of Object.entries(checks))
    if (typeof check !== 'function') throw optionError(`health() takes checks as functions; '${name}' is ${kindOf(check)}.`)
  if (typeof details !== 'boolean' && typeof details !== 'function')
    throw optionError(`health() takes as details true, false or a function, not ${kindOf(details)}.`)
  if (path === readyPath) throw optionError('health() needs two paths: path and readyPath are the same.')
  const shows = typeof details === 'function' ? details : () => details
  let state: Readiness | undefined

  const ready = async (own: Readiness, context: Context): Promise<Reply> => {
    const [reason, results] = await own.now()
    const status = reason === null ? 'ready' : 'not ready'
    // A promise is no yes.
    const body = shows(context) === true ? { status, ...(reason === null ? undefined : { reason }), checks: results } : { status }
    // Caches of HTTP and CoAP must ask again; observers still share the answer.
    return reply(reason === null ? 200 : 503, body, { 'cache-control': 'max-age=0' })
  }

  return {
    name: 'health',
    needsApp: true,
    extend(handle) {
      if (state !== undefined) throw inUse('health')
      const own = new Readiness(handle, new Checks(checks, handle.clock, timeout, cache))
      state = own
      function drain(this: Closable, given: DrainOptions = {}): Promise<void> {
        checkOptions('drain()', given, DRAIN_OPTIONS, drain)
        checkTimes('drain()', given)
        return own.drain(this, given.notice ?? notice, readyPath, given.timeout)
      }
      return { drain }
    },
    invoke(context, next) {
      const asked = context['iopa.Path']
      if (state === undefined || (asked !== path && asked !== readyPath)) return next()
      const method = context['iopa.Method']
      if (method !== 'GET' && method !== 'HEAD') return next()
      return asked === path ? reply(200, { status: 'up' }, { 'cache-control': 'max-age=0' }) : ready(state, context)
    }
  }
}

markFactory('health', health)

const checkTimes = (caller: string, times: object): void => {
  for (const [name, value] of Object.entries(times) as [string, unknown][])
    if (value !== undefined && !(typeof value === 'number' && value >= 0)) throw optionError(`${caller} takes ${name} as milliseconds, 0 or more.`)
}

/** Whether an app is ready, and its way to its close. */
class Readiness {
  readonly #handle: AppHandle
  readonly #checks: Checks
  #draining: Promise<void> | null = null

  constructor(handle: AppHandle, checks: Checks) {
    this.#handle = handle
    this.#checks = checks
  }

  /** Why the app is not ready, null where it is; and the results of the checks. */
  async now(): Promise<[reason: string | null, results: Awaited<ReturnType<Checks['results']>>]> {
    if (this.#draining !== null || this.#handle.closing) return ['draining', {}]
    const transports = this.#handle.transports()
    if (transports.length > 0 && !transports.every(({ urls }) => urls.length > 0)) return ['not listening', {}]
    const results = await this.#checks.results()
    // The app may have begun to drain meanwhile.
    if (this.#draining !== null || this.#handle.closing) return ['draining', results]
    return [Object.values(results).every(({ status }) => status === 'up') ? null : 'a check fails', results]
  }

  drain(app: Closable, notice: number, path: string, timeout: number | undefined): Promise<void> {
    this.#draining ??= this.#drain(app, notice, path, timeout)
    return this.#draining
  }

  async #drain(app: Closable, notice: number, path: string, timeout: number | undefined): Promise<void> {
    const { clock } = this.#handle
    // In a turn of its own: by then the app is draining.
    await null
    if (!this.#handle.closing) {
      this.#handle.notify(path)
      await new Promise<void>(resolve => {
        const timer = clock.setTimeout(resolve, notice, { keep: true })
        // The app was closed meanwhile.
        this.#handle.defer(() => {
          clock.clearTimeout(timer)
          resolve()
        })
      })
    }
    await app.close(timeout === undefined ? {} : { timeout })
  }
}
