import type { Context } from '@iopa/appbuilder'
import { checkOptions, kindOf, optionError } from '@iopa/appbuilder/extension'

/** Options of `cache`. */
export interface CacheOptions {
  /** Seconds for which an answer 200 is kept that does not say so itself. Without it only answers with a Cache-Control or Expires are kept. */
  readonly ttl?: number
  /** Bytes of all answers that are kept, 64 MiB by default. An answer of more than an eighth of it is not kept. */
  readonly size?: number
  /** Answers that are kept, 10,000 by default. Beyond half of them, and of the bytes, one user or address has a sixteenth at most. */
  readonly entries?: number
  /** What beside method, host, path, query, Accept and user tells requests apart; undefined for a request that the cache lets pass. */
  readonly key?: (context: Context) => string | undefined
  /** Header fields of requests that tell them apart, beside those that an answer names in Vary. They are added to its Vary. */
  readonly vary?: readonly string[]
  /** Seconds for which the old answer is given to others while one request gets a new one, 0 by default; `stale-while-revalidate` of an answer goes before. */
  readonly stale?: number
  /** True where no answer depends on the user, Authorization or cookies: all users share them then. */
  readonly shared?: boolean
}

/** Options with their defaults; times in milliseconds. */
export interface CacheSettings {
  readonly ttl: number | null
  readonly size: number
  readonly entries: number
  readonly key: ((context: Context) => string | undefined) | undefined
  readonly vary: readonly string[]
  readonly stale: number
  readonly shared: boolean
}

const OPTIONS: Record<keyof CacheOptions, true> = { ttl: true, size: true, entries: true, key: true, vary: true, stale: true, shared: true }

/** Places for all entries are made at once. */
const MOST_ENTRIES = 10_000_000

/** @throws IopaError 500 `bad-option`. */
export const settingsOf = (options: CacheOptions, caller: unknown): CacheSettings => {
  checkOptions('cache()', options, OPTIONS, caller)
  const { ttl, size = 64 * 1024 * 1024, entries = 10_000, key, vary = [], stale = 0, shared = false } = options
  if (ttl !== undefined) checkNumber('ttl', ttl, 0)
  checkNumber('size', size, 1)
  checkNumber('entries', entries, 1)
  if (entries > MOST_ENTRIES) throw optionError(`'entries' of cache() must be at most ${MOST_ENTRIES}.`)
  checkNumber('stale', stale, 0)
  if (key !== undefined && typeof key !== 'function') throw optionError(`'key' of cache() must be a function, not ${kindOf(key)}.`)
  if (!Array.isArray(vary) || vary.some(name => typeof name !== 'string' || !/^[\w-]+$/.test(name)))
    throw optionError("'vary' of cache() must be a list of names of header fields.")
  if (typeof shared !== 'boolean') throw optionError(`'shared' of cache() must be true or false, not ${kindOf(shared)}.`)
  return { ttl: ttl === undefined ? null : ttl * 1000, size, entries, key, vary: vary.map(name => name.toLowerCase()), stale: stale * 1000, shared }
}

const checkNumber = (name: string, value: number, least: number): void => {
  const fits =
    typeof value === 'number' && Number.isFinite(value) && value >= least && (name === 'ttl' || name === 'stale' || Number.isInteger(value))
  if (!fits) throw optionError(`'${name}' of cache() must be a number from ${least}, not ${kindOf(value)}.`)
}
