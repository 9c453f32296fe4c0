import { idOfUserKey, optionError } from '@iopa/transport'
import type { QuotaOption, UserQuota } from '../../options.ts'
import { APP } from './quota.ts'

/** Accounts whose limits are remembered until the next `forget`. */
const REMEMBERED = 10_000
const NONE: UserQuota = {}
const NAMES: ReadonlySet<string> = new Set<keyof UserQuota>(['sessions', 'subscriptions', 'retained', 'retainedBytes', 'queuedBytes'])

/** The limits of single users, from the option `quota`. */
export class UserQuotas {
  readonly #limits: (user: string | null, network: string) => UserQuota | undefined
  #known = new Map<string, UserQuota>()
  /** The limits before the last `forget`: valid while the function fails. */
  #before: ReadonlyMap<string, UserQuota> = this.#known
  readonly #failed: (error: unknown) => void

  /** `failed` is called when the function throws or returns something else than limits; the limits before then stay valid. */
  constructor(option: QuotaOption | undefined, failed: (error: unknown) => void) {
    this.#failed = failed
    if (typeof option === 'function') this.#limits = option
    else {
      if (option !== undefined) assertPlain(option, "The option 'quota' of mqtt() has to be a function, or an object of user ids")
      const users = new Map(Object.entries(option ?? {}))
      for (const quota of users.values()) assertQuota(quota)
      this.#limits = user => (user === null ? undefined : users.get(user))
    }
  }

  /** The limit of an account; Infinity if only its share bounds it. */
  limit(account: string, of: keyof UserQuota): number {
    return (account === APP ? NONE : this.#of(account))[of] ?? Number.POSITIVE_INFINITY
  }

  /** Calls the function again from now on: its answers may have changed. */
  forget(): void {
    this.#before = this.#known
    this.#known = new Map()
  }

  #of(account: string): UserQuota {
    let quota = this.#known.get(account)
    if (quota !== undefined) return quota
    if (this.#known.size >= REMEMBERED) this.forget()
    this.#known.set(account, (quota = this.#ask(account)))
    return quota
  }

  #ask(account: string): UserQuota {
    try {
      const quota = (account.startsWith('@') ? this.#limits(null, account.slice(1)) : this.#limits(idOf(account), '')) ?? NONE
      assertQuota(quota)
      return quota
    } catch (error) {
      this.#failed(error)
      return this.#before.get(account) ?? NONE
    }
  }
}

/** The user id of an account (see `userKeyOf`). */
const idOf = (account: string): string => (/^["[]/.test(account) ? idOfUserKey(account) : account.slice(account.indexOf(' ') + 1))

/** @throws IopaError 500 for a Map, an array, a promise and other objects that are not plain */
const assertPlain = (value: unknown, sentence: string): void => {
  const prototype: unknown = typeof value === 'object' && value !== null ? Object.getPrototypeOf(value) : undefined
  if (prototype === null || (prototype !== undefined && Object.getPrototypeOf(prototype) === null && !Array.isArray(value))) return
  if (value instanceof Promise) value.catch(() => undefined)
  throw optionError(`${sentence}, and not ${kindOf(value)}.`)
}

const kindOf = (value: unknown): string =>
  typeof value === 'object' && value !== null ? `a ${value.constructor.name}` : value === null ? 'null' : `a ${typeof value}`

/** @throws IopaError 500 for an invalid quota */
const assertQuota = (quota: UserQuota): void => {
  assertPlain(quota, 'The quota of a user has to be an object of numbers')
  for (const [name, value] of Object.entries(quota)) {
    if (!NAMES.has(name) || typeof value !== 'number' || !(value >= 0))
      throw optionError(`'${name}' in the quota of a user has to be one of ${[...NAMES].join(', ')}, with a number from 0 on.`)
  }
}
