import type { IopaError } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { Host, Subscription } from '../contract/host.ts'
import { FailureLog } from '../errors/failure-log.ts'
import { Account, type AccountHost, Watch } from './account.ts'

/** Revoked users whose requests that began before are remembered. */
const REMEMBERED = 10_000

/** The name of what `usersOf` makes. */
export const USERS = 'iopa.users'

/** The watched users of an app. A transport whose connections or observers last calls it when it begins to listen: from then on they end with their users. */
export const usersOf = (host: Pick<Host, 'shared' | 'clock' | 'logger' | 'limits'>): UserWatches => host.shared(USERS, () => new UserWatches(host))

/** More about what is watched. */
export interface WatchOptions {
  /** The context in whose run the user was set, where it is another one. */
  readonly by?: Context
  /** Called after each check of the user that passes. */
  readonly checked?: () => void
}

/** Ends what outlives its request when its user expires, fails the check, or is revoked. */
export class UserWatches {
  readonly #host: AccountHost
  /** By the id of the user, and by login. */
  readonly #accounts = new Map<string, Map<string, Account>>()
  /** The last context that there was when a user was revoked. */
  readonly #revoked = new Map<string, number>()
  readonly #listeners = new Set<(id: string) => void>()

  constructor({ clock, logger, limits }: Pick<Host, 'clock' | 'logger' | 'limits'>) {
    this.#host = { clock, logger, limits, failures: new FailureLog(clock, logger, limits.failureLogs, 'checks of users failed') }
  }

  /**
   * Watches the user of a context, such as a connection's, until it is disposed: `ended` is called once, with a 401, when the user expires,
   * fails its check, or is revoked. Null where there is no user.
   */
  watch(context: Context, ended: (error: IopaError) => void, { by = context, checked }: WatchOptions = {}): Subscription | null {
    const user = context['server.User']
    if (user === undefined) return null
    const { id } = user
    const valid = user.valid ?? {}
    const { until = Number.POSITIVE_INFINITY, login = '' } = valid
    const account = this.#accountOf(id, login)
    const watch = new Watch(by['iopa.Id'] <= (this.#revoked.get(id) ?? -1) ? 0 : until, ended, checked)
    account.add(watch, valid)
    return { [Symbol.dispose]: () => account.delete(watch) }
  }

  #accountOf(id: string, login: string): Account {
    let logins = this.#accounts.get(id)
    if (logins === undefined) this.#accounts.set(id, (logins = new Map()))
    const known = logins.get(login)
    if (known !== undefined) return known
    const own = logins
    const account = new Account(this.#host, () => {
      if (own.get(login) === account) own.delete(login)
      if (own.size === 0 && this.#accounts.get(id) === own) this.#accounts.delete(id)
    })
    own.set(login, account)
    return account
  }

  /** Ends everything of one login of a user (`valid.login`). */
  endLogin(id: string, login: string): void {
    this.#accounts.get(id)?.get(login)?.end(Number.POSITIVE_INFINITY, 'user-expired')
  }

  /** Ends everything of a user, and what requests that are under way would begin; `lastId` is the id of the last context. */
  revoke(id: string, lastId: number): void {
    this.#revoked.delete(id)
    this.#revoked.set(id, lastId)
    if (this.#revoked.size > REMEMBERED) this.#revoked.delete(this.#revoked.keys().next().value as string)
    for (const account of [...(this.#accounts.get(id)?.values() ?? [])]) account.end(Number.POSITIVE_INFINITY, 'user-revoked')
    for (const listener of this.#listeners) listener(id)
  }

  /** Gets the ids of revoked users, for state that lasts without a connection. */
  revocations(listener: (id: string) => void): Subscription {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) }
  }
}
