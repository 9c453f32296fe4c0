import { type Context, defineMiddleware, IopaError, isIopaError, type Next } from '@iopa/appbuilder'
import { addressGroup, clockOf, type DefinedMiddleware, markFactory, protocolOf, userKeyOf } from '@iopa/appbuilder/extension'
import { Callers, shortened } from './callers.ts'
import { Gcra } from './gcra.ts'
import { networkOf } from './networks.ts'
import { type RateLimitOptions, type RateLimitSettings, settingsOf } from './options.ts'
import type { Taken } from './store.ts'
import { StoredBudgets } from './stored-budgets.ts'

/** One for all: what is refused in a flood must not cost a stack. */
const LIMITED: IopaError = Object.freeze(
  Object.assign(new IopaError(429, 'rate-limited', 'Too many requests: wait as long as Retry-After says.'), { stack: 'IopaError: rate-limited' })
)

/**
 * Gives each caller one budget over all protocols, and answers 429 beyond it: `limit` requests in `window` milliseconds, `burst` of them at once. A
 * caller is a user, or without one an address.
 *
 * @example
 * app.use(rateLimit({ limit: 100 }))
 */
export const rateLimit = (options: RateLimitOptions): DefinedMiddleware<never, never> => {
  const limiter = new Limiter(settingsOf(options, rateLimit))
  const refusals = options.counts === 'refusals'
  return defineMiddleware({ name: 'rate-limit', neutral: true }, (context, next) =>
    refusals ? limiter.guard(context, next) : limiter.invoke(context, next)
  )
}

markFactory('rateLimit', rateLimit)

class Limiter {
  readonly #settings: RateLimitSettings
  readonly #rule: Gcra
  readonly #users: Callers
  readonly #addresses: Callers
  readonly #stored: StoredBudgets | null
  readonly #policy: string
  readonly #quoted: string
  /** The last IPv6 address, and what it is counted by: most come many times in a row. */
  #address = ''
  #caller = ''

  constructor(settings: RateLimitSettings) {
    this.#settings = settings
    this.#rule = new Gcra(settings)
    this.#users = new Callers(this.#rule, settings.maxKeys, () => '')
    this.#addresses = new Callers(this.#rule, settings.maxKeys, networkOf)
    this.#stored = settings.store === undefined ? null : new StoredBudgets(settings.store.open(settings), settings)
    this.#quoted = `"${settings.name}"`
    this.#policy = `${this.#quoted};q=${settings.limit};w=${Math.ceil(settings.window / 1000)}`
  }

  invoke(context: Context, next: Next): unknown {
    if (isFree(context) || this.#settings.skip?.(context) === true) return next()
    const { key, cost } = this.#settings
    const price = typeof cost === 'number' ? cost : priceOf(cost(context))
    if (price === 0) return next()
    let callers = this.#users
    let caller: string | undefined
    if (key !== undefined) caller = key(context)
    else {
      caller = userKeyOf(context['server.User'])
      if (caller === '') {
        callers = this.#addresses
        caller = this.#callerOf(context['server.RemoteAddress'])
      }
    }
    if (caller === undefined || caller === '') return next()
    if (this.#stored !== null)
      return this.#askStore(this.#stored, context, next, `${callers === this.#addresses ? 'address' : 'user'}:${shortened(caller)}`, price)
    const now = clockOf(context).elapsed()
    const wait = callers.take(caller, now, price)
    const { full } = callers
    this.#describe(context, this.#rule.left(full, now), wait === 0 ? full - now : wait)
    return wait === 0 ? next() : this.#refuse(context, wait)
  }

  /** Runs a request while its address has a budget left for wrong credentials. */
  guard(context: Context, next: Next): unknown {
    // A user that the connection or a session has proven already guesses nothing.
    if (isFree(context) || context['server.User'] !== undefined || this.#settings.skip?.(context) === true) return next()
    const { key, cost } = this.#settings
    const price = typeof cost === 'number' ? cost : priceOf(cost(context))
    const caller = key === undefined ? this.#callerOf(context['server.RemoteAddress']) : key(context)
    if (price === 0 || caller === undefined || caller === '') return next()
    return this.#guard(context, next, caller, price)
  }

  async #guard(context: Context, next: Next, caller: string, price: number): Promise<unknown> {
    const name = `${this.#settings.key === undefined ? 'address' : 'user'}:${shortened(caller)}`
    const wait =
      this.#stored === null ? this.#addresses.wait(caller, clockOf(context).elapsed(), price) : waitOf(await this.#stored.take(context, name, 0))
    if (wait > 0) return this.#refuse(context, wait)
    const charge = async (status: number, code: string | undefined): Promise<void> => {
      if (!isGuess(status, code)) return
      if (this.#stored === null) this.#addresses.charge(caller, clockOf(context).elapsed(), price)
      else await this.#stored.take(context, name, price)
    }
    try {
      const value = await next()
      await charge(context.response.status, context.response.error?.code)
      return value
    } catch (error) {
      if (isIopaError(error)) await charge(error.status, error.code)
      throw error
    }
  }

  #callerOf(address: string): string {
    if (!address.includes(':')) return address
    if (address !== this.#address) {
      this.#address = address
      this.#caller = addressGroup(address)
    }
    return this.#caller
  }

  async #askStore(stored: StoredBudgets, context: Context, next: Next, caller: string, price: number): Promise<unknown> {
    const taken = await stored.take(context, caller, price)
    if (taken === null) return next()
    this.#describe(context, taken.remaining, taken.reset)
    return taken.allowed ? next() : this.#refuse(context, taken.reset)
  }

  /** draft-ietf-httpapi-ratelimit-headers sections 3 and 4; several limiters of a request add an item each. */
  #describe(context: Context, left: number, reset: number): void {
    const scheme = context['iopa.Scheme']
    if (!this.#settings.headers || (scheme !== 'http' && scheme !== 'https')) return
    const { headers } = context.response
    headers.append('ratelimit-policy', this.#policy)
    headers.append('ratelimit', `${this.#quoted};r=${left};t=${secondsOf(reset)}`)
  }

  #refuse(context: Context, wait: number): undefined {
    const { response } = context
    response.fail(LIMITED)
    response.headers.set('retry-after', String(Math.max(1, secondsOf(wait))))
    return undefined
  }
}

/** Whole seconds, rounded up; the difference of two times is not exact. */
const secondsOf = (ms: number): number => Math.ceil((ms - 0.001) / 1000)

/** The milliseconds until there is something left in a stored budget. */
const waitOf = (taken: Taken | null): number => (taken === null || (taken.allowed && taken.remaining > 0) ? 0 : Math.max(1, taken.reset))

/** 401 to a request without credentials, or whose user has ended, says nothing of a guess. */
const isGuess = (status: number, code: string | undefined): boolean => status === 401 && code !== 'unauthenticated' && code !== 'user-expired'

/** True for what no peer has asked for, or has paid for already. */
const isFree = (context: Context): boolean => {
  if (context['server.IsNotification'] || context['server.IsReplica'] || context['server.IsPrecondition']) return true
  const method = context['iopa.Method']
  // To leave must not be refused.
  if (method === 'DISCONNECT' || method === 'UNSUBSCRIBE') return true
  // Reads of a broker for a subscription, which SUBSCRIBE has paid for; others' messages must not use up the budget of a subscriber.
  return context['iopa.Observe'] === true && protocolOf(context)['lastingSubscriptions'] === true
}

const priceOf = (cost: number): number => {
  if (cost >= 0 && Number.isFinite(cost)) return cost
  throw new TypeError(`cost() of rateLimit() gives a number from 0, not ${String(cost)}`)
}
