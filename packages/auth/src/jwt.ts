import { createPublicKey, type KeyObject } from 'node:crypto'
import type { Context, User } from '@iopa/appbuilder'
import { checkOptions, type OptionCheck, optionError } from '@iopa/appbuilder/extension'
import {
  type CryptoKey,
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JSONWebKeySet,
  type JWK,
  type JWSHeaderParameters,
  type JWTPayload,
  jwtVerify
} from 'jose'
import { type KeyFinder, RemoteKeys } from './remote-keys.ts'
import type { Verified } from './scheme.ts'

/** How JWTs are verified. One of `jwks`, `key` and `secret` is given. */
export interface JwtOptions {
  /** `iss` must be this, or one of these. */
  readonly issuer: string | readonly string[]
  /** `aud` must hold this, or one of these. */
  readonly audience: string | readonly string[]
  /** The URL of the public keys of the issuer, or the keys themselves (RFC 7517). */
  readonly jwks?: string | URL | JSONWebKeySet
  /** The public key: PEM, a JWK, a KeyObject or a CryptoKey. */
  readonly key?: string | JWK | KeyObject | CryptoKey
  /** The secret of HMAC, of at least 32 bytes. */
  readonly secret?: string | Uint8Array
  /** `alg` must be one of these: signatures with `jwks` and `key`, HS256, HS384 and HS512 with `secret`. Those are also the defaults. */
  readonly algorithms?: readonly string[]
  /** Seconds by which the clocks of issuer and server may differ; 0 unless given. */
  readonly clockTolerance?: number
  /** The user of verified claims, or nothing; `{ id: sub, roles }` unless given. */
  readonly user?: (claims: JWTPayload, context: Context) => Verified | Promise<Verified>
}

const OPTIONS: Record<keyof JwtOptions, OptionCheck> = {
  issuer: true,
  audience: true,
  jwks: true,
  key: true,
  secret: true,
  algorithms: 'texts',
  clockTolerance: true,
  user: true
}

const SIGNATURES = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const HMACS = ['HS256', 'HS384', 'HS512']

/** Claims of tokens that are remembered, so that the signature of one token is checked once. */
const MOST_REMEMBERED = 1000
/** Longer tokens are verified each time. */
const LONGEST_REMEMBERED = 4096

/** A compact JWS (RFC 7515 section 7.1); anything else is not even parsed. */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

type Keys = { readonly key: CryptoKey | KeyObject | JWK | Uint8Array } | { readonly find: KeyFinder }

/** Verifies JWTs: signature, `alg`, `iss`, `aud`, `exp` (required) and `nbf`. */
export class JwtVerifier {
  readonly #keys: Keys
  readonly #remote: RemoteKeys | null
  readonly #checks: {
    readonly issuer: string | string[]
    readonly audience: string | string[]
    readonly algorithms: string[]
    readonly clockTolerance: number
    readonly requiredClaims: string[]
  }
  readonly #user: NonNullable<JwtOptions['user']>
  readonly #remembered = new Map<string, JWTPayload>()
  /** The set of keys with which the remembered tokens were verified. */
  #version = 0

  constructor(options: JwtOptions, caller: unknown) {
    checkOptions('jwt of bearer()', options, OPTIONS, caller)
    const { issuer, audience, clockTolerance = 0, user = userOfClaims } = options
    if (!isNames(issuer)) throw optionError('jwt needs the option issuer: what iss must be.')
    if (!isNames(audience))
      throw optionError('jwt needs the option audience: what aud must hold, so that a token for another service is not accepted.')
    if (!(clockTolerance >= 0)) throw optionError('The option clockTolerance of jwt must be a number of seconds.')
    if (typeof user !== 'function') throw optionError('The option user of jwt must be a function (claims) => user.')
    this.#remote = typeof options.jwks === 'string' || options.jwks instanceof URL ? new RemoteKeys(options.jwks) : null
    this.#keys = keysOf(options, this.#remote)
    this.#user = user
    const list = (names: string | readonly string[]): string | string[] => (typeof names === 'string' ? names : [...names])
    this.#checks = {
      issuer: list(issuer),
      audience: list(audience),
      algorithms: algorithmsOf(options),
      clockTolerance,
      requiredClaims: ['exp']
    }
  }

  /** The user of a token, or null. @throws IopaError 503 while the keys cannot be fetched. */
  async verify(token: string, context: Context): Promise<User | null> {
    const claims = await this.#claims(token, context)
    if (claims === null) return null
    const user = await this.#user(claims, context)
    if (user === null || user === undefined || user === false) return null
    const until = this.#expiryOf(claims)
    return { ...user, valid: { ...user.valid, until: Math.min(until, user.valid?.until ?? until) } }
  }

  /** Milliseconds since 1970. */
  #expiryOf({ exp = 0 }: JWTPayload): number {
    return (exp + this.#checks.clockTolerance) * 1000
  }

  #isCurrent(claims: JWTPayload, now: number): boolean {
    const { nbf = 0 } = claims
    return now < this.#expiryOf(claims) && now >= (nbf - this.#checks.clockTolerance) * 1000
  }

  async #claims(token: string, context: Context): Promise<JWTPayload | null> {
    const now = context['server.Timestamp']
    const known = this.#recall(token, now)
    if (known !== undefined) return known
    if (!COMPACT.test(token)) return null
    try {
      const options = { ...this.#checks, currentDate: new Date(now) }
      const keys = this.#keys
      const { payload } =
        'find' in keys
          ? await jwtVerify(token, (header: JWSHeaderParameters, jws: FlattenedJWSInput) => keys.find(header, jws, context), options)
          : await jwtVerify(token, keys.key, options)
      // The library counts whole seconds: what has ended must not begin again.
      if (!this.#isCurrent(payload, now)) return null
      this.#remember(token, payload)
      return payload
    } catch (error) {
      // A key that fits no algorithm of the token is a fault of the token, too.
      if (error instanceof errors.JOSEError || error instanceof TypeError) return null
      throw error
    }
  }

  #recall(token: string, now: number): JWTPayload | undefined {
    const version = this.#remote?.version ?? 0
    if (version !== this.#version) {
      this.#version = version
      this.#remembered.clear()
      return undefined
    }
    const claims = this.#remembered.get(token)
    if (claims === undefined) return undefined
    // Keys that are due for a look are looked at by a full verification.
    if (this.#isCurrent(claims, now) && this.#remote?.isDue(now) !== true) return claims
    this.#remembered.delete(token)
    return undefined
  }

  #remember(token: string, claims: JWTPayload): void {
    if (token.length > LONGEST_REMEMBERED || (this.#remote?.version ?? 0) !== this.#version) return
    this.#remembered.set(token, claims)
    if (this.#remembered.size > MOST_REMEMBERED) this.#remembered.delete(this.#remembered.keys().next().value as string)
  }
}

const isNames = (value: unknown): boolean =>
  typeof value === 'string' ? value !== '' : Array.isArray(value) && value.length > 0 && value.every(name => typeof name === 'string' && name !== '')

/** Of all claims only those that are the same in each token of a user, so that observers with different tokens share. */
const userOfClaims = ({ sub, roles }: JWTPayload): Verified =>
  typeof sub !== 'string' || sub === ''
    ? null
    : Array.isArray(roles) && roles.every(role => typeof role === 'string')
      ? { id: sub, roles }
      : { id: sub }

const keysOf = ({ jwks, key, secret }: JwtOptions, remote: RemoteKeys | null): Keys => {
  if ([jwks, key, secret].filter(given => given !== undefined).length !== 1) throw optionError('jwt takes one of jwks, key and secret.')
  if (remote !== null) return { find: (header, jws, context) => remote.find(header, jws, context) }
  if (jwks !== undefined) {
    const find = createLocalJWKSet(jwks as JSONWebKeySet)
    return { find: (header, jws) => find(header, jws) }
  }
  if (secret !== undefined) {
    const bytes = typeof secret === 'string' ? new TextEncoder().encode(secret) : secret
    if (!(bytes instanceof Uint8Array) || bytes.length < 32)
      throw optionError('The secret of jwt must have at least 32 bytes (RFC 7518 section 3.2).')
    return { key: bytes }
  }
  const given = typeof key === 'string' ? createPublicKey(key) : (key as KeyObject | CryptoKey | JWK)
  if ('kty' in given ? given.kty === 'oct' : (given as { type: string }).type === 'secret')
    throw optionError('The key of jwt must be a public key: give a secret as secret.')
  return { key: given }
}

/** Signatures and HMAC are never mixed: a public key must not serve as a secret (RFC 8725 section 2.1). */
const algorithmsOf = ({ algorithms, secret }: JwtOptions): string[] => {
  const known = secret === undefined ? SIGNATURES : HMACS
  const unknown = algorithms?.find(name => !known.includes(name))
  if (unknown !== undefined || algorithms?.length === 0)
    throw optionError(
      `The algorithms of jwt with ${secret === undefined ? 'a public key' : 'a secret'} are some of ${known.join(', ')}, not ${unknown}.`
    )
  return [...(algorithms ?? known)]
}
