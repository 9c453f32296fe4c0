import type { Context, User } from '@iopa/appbuilder'
import { IopaError } from '@iopa/appbuilder'
import type { SecurityScheme } from '@iopa/appbuilder/extension'
import { withOrigin } from '@iopa/constants'

/** The request has no credentials of the scheme. */
export const NO_CREDENTIALS = undefined
/** The credentials of the request are wrong. */
export const REFUSED = null
/** The credentials are not accepted by this scheme, but they may be those of another. */
export const UNCLEAR = false

/** What a scheme finds in a request. */
export type Outcome = User | typeof NO_CREDENTIALS | typeof REFUSED | typeof UNCLEAR

/** What `verify` and `user` may give: a user, or nothing. */
export type Verified = User | null | undefined | false

/** One way to authenticate. */
export interface Scheme {
  /** Where an IopaError is thrown, it is the answer. */
  authenticate(context: Context): Outcome | Promise<Outcome>
  /** The challenge of RFC 9110 section 11.6.1; null for a scheme that has none. */
  readonly challenge: string | null
  /** The same for a request whose credentials were refused. */
  readonly refusal: string | null
  readonly security: SecurityScheme
  /** The proof of the users that a transport has set and that the scheme decides about. */
  readonly proof?: 'psk' | 'rpk' | 'oscore'
}

/**
 * The user that a function of the app gave, with the name of the scheme as `by`; null for none.
 * @throws IopaError 500 for anything else.
 */
export const userOf = (verified: Verified, by: string, realm?: string): User | null => {
  if (verified === null || verified === undefined || verified === false) return null
  const { id } = verified as { id?: unknown }
  if (typeof id !== 'string' || id === '')
    throw withOrigin(
      new IopaError(500, 'bad-user', `What verifies users for '${by}' must give { id: '...' } with an id that is not empty, or nothing.`),
      'internal'
    )
  // The id first: a literal that begins with a spread gets a hidden class of its own each time, which all who read the user pay for.
  return realm === undefined ? { id, ...(verified as object), by } : { id, ...(verified as object), by, realm }
}

/** The same for a function that may take its time. */
export const userOfEither = (verified: Verified | Promise<Verified>, by: string, realm?: string): User | null | Promise<User | null> =>
  verified instanceof Promise || typeof (verified as { then?: unknown } | null)?.then === 'function'
    ? Promise.resolve(verified).then(settled => userOf(settled, by, realm))
    : userOf(verified as Verified, by, realm)
