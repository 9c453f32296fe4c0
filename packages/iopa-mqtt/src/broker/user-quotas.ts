import { IopaError } from '@iopa/appbuilder'
import type { QuotaOption, UserQuota } from '../user-quota.ts'
import { APP } from './quota.ts'

/** Accounts whose limits are remembered between two looks. */
const REMEMBERED = 10_000
const NONE: UserQuota = {}
const NAMES: ReadonlySet<string> = new Set<keyof UserQuota>(['sessions', 'subscriptions', 'retained', 'retainedBytes', 'queuedBytes'])

/** What single users may have, as the option `quota` says. */
export class UserQuotas {
  readonly #limits: (user: string | null, network: string) => UserQuota | undefined
  readonly #known = new Map<string, UserQuota>()
  readonly #failed: (error: unknown) => void

  /** `failed` is told when the function of the option throws, or gives no limits; then its user has none of its own. */
  constructor(option: QuotaOption | undefined, failed: (error: unknown) => void) {
    this.#failed = failed
    if (typeof option === 'function') this.#limits = option
    else {
      const users = new Map(Object.entries(option ?? {}))
      for (const quota of users.values()) assertQuota(quota)
      this.#limits = user => (user === null ? undefined : users.get(user))
    }
  }

  /** How much of something an account may have; Infinity for as much as its share. */
  limit(account: string, of: keyof UserQuota): number {
    return (account === APP ? NONE : this.#of(account))[of] ?? Number.POSITIVE_INFINITY
  }

  /** Has the function asked again: its answers may have changed. */
  forget(): void {
    this.#known.clear()
  }

  #of(account: string): UserQuota {
    let quota = this.#known.get(account)
    if (quota !== undefined) return quota
    if (this.#known.size >= REMEMBERED) this.#known.clear()
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
      return NONE
    }
  }
}

/** The id of the user whose account it is (see `userKeyOf`). */
const idOf = (account: string): string => (account.startsWith('"') ? (JSON.parse(account) as string) : account.slice(account.indexOf(' ') + 1))

/** @throws IopaError 500 for what is no quota */
const assertQuota = (quota: UserQuota): void => {
  for (const [name, value] of Object.entries(quota)) {
    if (!NAMES.has(name) || typeof value !== 'number' || !(value >= 0))
      throw new IopaError(500, 'bad-quota', `'${name}' in the quota of a user has to be one of ${[...NAMES].join(', ')}, with a number from 0 on.`)
  }
}
