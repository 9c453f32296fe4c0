import { type Context, defineMiddleware, type MiddlewareFunction, type Next, type User } from '@iopa/appbuilder'
import type { DefinedMiddleware } from '@iopa/appbuilder/extension'
import type { IopaError } from '@iopa/constants'
import { sharedError } from '@iopa/transport/host'
import { AUTH_KEYS } from './keys.ts'
import { NO_CREDENTIALS, type Outcome, type Scheme, UNCLEAR } from './scheme.ts'

/** Middleware that authenticates: what stands behind it has `server.User`. */
export type Authentication = DefinedMiddleware<never, 'server.User'>

/** The same where a request without credentials passes: what stands behind it may have no user. */
export type OptionalAuthentication = DefinedMiddleware<never, never>

const SCHEMES: unique symbol = Symbol('schemes')

const challengeOf = (schemes: readonly Scheme[], refused: Scheme | null): string =>
  schemes.flatMap(scheme => (scheme === refused ? scheme.refusal : scheme.challenge) ?? []).join(', ')

/** 401 for a challenge; a scheme without one, such as a certificate, has no header. */
export const unauthenticated = (challenges: string): IopaError =>
  sharedError(401, 'unauthenticated', 'Send credentials.', challenges === '' ? undefined : { 'www-authenticate': challenges })

const refusalOf = (schemes: readonly Scheme[], refused: Scheme): IopaError => {
  const challenges = challengeOf(schemes, refused)
  const headers = challenges === '' ? undefined : { 'www-authenticate': challenges }
  return sharedError(401, 'bad-credentials', 'These credentials are not valid, or no longer.', headers)
}

/** Tries schemes in their order: the first that accepts sets the user, and the first that refuses answers 401. */
class Authenticator {
  readonly schemes: readonly Scheme[]
  readonly #optional: boolean
  readonly #challenges: string
  readonly #missing: IopaError
  readonly #refusals: readonly IopaError[]
  /** Users with these proofs are names that a scheme decides about. */
  readonly #proofs: ReadonlySet<unknown>
  /** Users that a scheme has made of such names: they are not taken for names again. */
  readonly #made = new WeakSet<User>()

  constructor(schemes: readonly Scheme[], optional: boolean) {
    this.schemes = schemes
    this.#optional = optional
    this.#challenges = challengeOf(schemes, null)
    this.#missing = unauthenticated(this.#challenges)
    this.#refusals = schemes.map(scheme => refusalOf(schemes, scheme))
    this.#proofs = new Set(schemes.flatMap(({ proof }) => proof ?? []))
  }

  run(context: Context, next: Next): unknown {
    const known = context['server.User']
    // The connection has a user already; the name that it has proven is one that a scheme may still map.
    if (known !== undefined && (!this.#proofs.has(known['by']) || this.#made.has(known))) return next()
    return this.#attempt(context, next, 0, -1)
  }

  #attempt(context: Context, next: Next, from: number, unclear: number): unknown {
    for (let at = from; at < this.schemes.length; at++) {
      const outcome = (this.schemes[at] as Scheme).authenticate(context)
      if (outcome instanceof Promise) return outcome.then(settled => this.#settled(context, next, at, unclear, settled))
      if (outcome === NO_CREDENTIALS) continue
      if (outcome !== UNCLEAR) return this.#settled(context, next, at, unclear, outcome)
      unclear = at
    }
    if (unclear >= 0) throw this.#refusals[unclear]
    if (!this.#optional) throw this.#missing
    context['auth.Challenges'] = this.#challenges
    return next()
  }

  #settled(context: Context, next: Next, at: number, unclear: number, outcome: Outcome): unknown {
    if (outcome === NO_CREDENTIALS) return this.#attempt(context, next, at + 1, unclear)
    if (outcome === UNCLEAR) return this.#attempt(context, next, at + 1, at)
    if (outcome === null) {
      // A key name that is not accepted must not stay the user.
      context['server.User'] = undefined
      throw this.#refusals[at]
    }
    if (this.schemes[at]?.proof !== undefined) this.#made.add(outcome)
    context['server.User'] = outcome
    return next()
  }
}

/** The middleware of some schemes. */
export const authentication = (name: string, schemes: readonly Scheme[], optional: boolean): Authentication => {
  const authenticator = new Authenticator(schemes, optional)
  const middleware = defineMiddleware(
    { name, provides: ['server.User'], neutral: true, keys: AUTH_KEYS, security: schemes.map(({ security }) => security) },
    (context, next) => authenticator.run(context, next)
  )
  return Object.defineProperty(middleware, SCHEMES, { value: { schemes, optional } })
}

/** The schemes of a middleware of this package; undefined for any other. */
export const schemesOf = (middleware: MiddlewareFunction): { readonly schemes: readonly Scheme[]; readonly optional: boolean } | undefined =>
  (middleware as { [SCHEMES]?: { readonly schemes: readonly Scheme[]; readonly optional: boolean } } | null)?.[SCHEMES]
