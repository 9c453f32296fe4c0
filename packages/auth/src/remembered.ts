import { createHmac, randomBytes } from 'node:crypto'
import type { User } from '@iopa/appbuilder'

/** Credentials that are remembered; the oldest go first. */
const MOST_REMEMBERED = 1000

/** Credentials that were verified a short time ago, by a keyed digest: neither the password nor something to guess it from is kept. */
export class RememberedCredentials {
  readonly #key = randomBytes(32)
  readonly #lifetime: number
  readonly #users = new Map<string, { readonly user: User; readonly from: number; readonly until: number }>()

  /** `lifetime` in milliseconds. */
  constructor(lifetime: number) {
    this.#lifetime = lifetime
  }

  /** Neither a name nor a password holds the NUL between them. */
  digest(name: string, password: string): string {
    return createHmac('sha256', this.#key).update(`${name}\0${password}`).digest('base64')
  }

  get(digest: string, now: number): User | undefined {
    const known = this.#users.get(digest)
    if (known === undefined) return undefined
    if (now >= known.from && now < known.until) return known.user
    this.#users.delete(digest)
    return undefined
  }

  add(digest: string, user: User, now: number): void {
    const { until = Number.POSITIVE_INFINITY } = user.valid ?? {}
    this.#users.delete(digest)
    this.#users.set(digest, { user, from: now, until: Math.min(now + this.#lifetime, until) })
    if (this.#users.size > MOST_REMEMBERED) this.#users.delete(this.#users.keys().next().value as string)
  }
}
