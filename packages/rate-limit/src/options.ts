import type { Context } from '@iopa/appbuilder'
import { checkOptions, type OptionCheck, optionError } from '@iopa/appbuilder/extension'
import type { Quota } from './gcra.ts'
import type { RateLimitStore } from './store.ts'

/** Options of `rateLimit()`. */
export interface RateLimitOptions {
  /** Requests in a window. */
  readonly limit: number
  /** Milliseconds. Default 60,000. */
  readonly window?: number
  /** Requests at once. Default `limit`. */
  readonly burst?: number
  /** Who the budget belongs to; undefined for a request that costs nothing. Default: the user, otherwise the address. */
  readonly key?: (context: Context) => string | undefined
  /** What a request costs; 0 for nothing. Default 1. */
  readonly cost?: number | ((context: Context) => number)
  /**
   * What takes from the budget: `requests`, or `refusals`, answers 401 to wrong credentials, of an address unless `key` says otherwise. Use such a
   * limiter before authentication: while the budget of an address is used up, its requests are refused before their credentials are looked at.
   * Default `requests`.
   */
  readonly counts?: 'requests' | 'refusals'
  /** True for a request that costs nothing. */
  readonly skip?: (context: Context) => boolean
  /** Names the policy in header fields, and the budgets in a store. Default `default`. */
  readonly name?: string
  /** Sends RateLimit and RateLimit-Policy on HTTP. Default true. */
  readonly headers?: boolean
  /** Callers with a budget of their own, users and addresses each. Default 10,000. */
  readonly maxKeys?: number
  /** Keeps the budgets outside of this process, such as `redis(client)`. */
  readonly store?: RateLimitStore
  /** What a request gets while the store is away: `allow` runs it, `refuse` answers 503. Default `allow`. */
  readonly onFailure?: 'allow' | 'refuse'
  /** Milliseconds to wait for the store. Default 250. */
  readonly timeout?: number
}

const OPTIONS: Record<keyof RateLimitOptions, OptionCheck> = {
  limit: true,
  window: true,
  burst: true,
  key: 'function',
  cost: true,
  counts: true,
  skip: 'function',
  name: true,
  headers: 'flag',
  maxKeys: true,
  store: true,
  onFailure: true,
  timeout: true
}

/** The options with their defaults. */
export interface RateLimitSettings extends Quota {
  readonly key: ((context: Context) => string | undefined) | undefined
  readonly cost: number | ((context: Context) => number)
  readonly counts: 'requests' | 'refusals'
  readonly skip: ((context: Context) => boolean) | undefined
  readonly name: string
  readonly headers: boolean
  readonly maxKeys: number
  readonly store: RateLimitStore | undefined
  readonly onFailure: 'allow' | 'refuse'
  readonly timeout: number
}

// RFC 9651 section 3.3.3: what may stand between quotes as it is.
const NAME = /^[\w.:-]{1,64}$/

const positive = (name: string, value: number, whole: boolean): number => {
  if (Number.isFinite(value) && value > 0 && (!whole || Number.isInteger(value))) return value
  throw optionError(`rateLimit() needs for ${name} a ${whole ? 'whole ' : ''}number above 0, not ${String(value)}.`)
}

/** Checks the options. @throws IopaError 500 that names the one that is wrong. */
export const settingsOf = (options: RateLimitOptions, caller: unknown): RateLimitSettings => {
  checkOptions('rateLimit()', options, OPTIONS, caller)
  const {
    limit,
    window = 60_000,
    burst = limit,
    key,
    cost = 1,
    counts = 'requests',
    skip,
    name = 'default',
    headers = true,
    store,
    onFailure = 'allow'
  } = options ?? {}
  if (typeof cost !== 'function' && !(Number.isFinite(cost) && cost >= 0))
    throw optionError(`rateLimit() needs for cost a number from 0, or a function, not ${String(cost)}.`)
  if (typeof name !== 'string' || !NAME.test(name)) throw optionError('rateLimit() needs for name 1 to 64 letters, digits and - . : _.')
  if (counts !== 'requests' && counts !== 'refusals') throw optionError("rateLimit() needs for counts 'requests' or 'refusals'.")
  if (store !== undefined && typeof (store as Partial<RateLimitStore> | null)?.open !== 'function')
    throw optionError('rateLimit() needs for store one that opens budgets, such as redis(client).')
  if (onFailure !== 'allow' && onFailure !== 'refuse') throw optionError("rateLimit() needs for onFailure 'allow' or 'refuse'.")
  return {
    limit: positive('limit', limit, true),
    window: positive('window', window, false),
    burst: positive('burst', burst, true),
    key,
    cost,
    counts,
    skip,
    name,
    headers,
    maxKeys: positive('maxKeys', options.maxKeys ?? 10_000, true),
    store,
    onFailure,
    timeout: positive('timeout', options.timeout ?? 250, false)
  }
}
