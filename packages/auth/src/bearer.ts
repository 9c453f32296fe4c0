import type { Context, User } from '@iopa/appbuilder'
import { checkOptions, markFactory, type OptionCheck, optionError } from '@iopa/appbuilder/extension'
import { CONTROL_METHODS } from '@iopa/constants'
import { type Authentication, authentication, type OptionalAuthentication } from './authentication.ts'
import { credentialsOf, LONGEST_CREDENTIALS, namedPassword } from './credentials.ts'
import { type JwtOptions, JwtVerifier } from './jwt.ts'
import { checkFunction, checkName, quoted } from './option-checks.ts'
import { type Outcome, REFUSED, type Scheme, UNCLEAR, userOfEither, type Verified } from './scheme.ts'

/** Options of `bearer()`: `verify` or `jwt`. */
export interface BearerOptions {
  /** The user of an opaque token, or nothing. */
  readonly verify?: (token: string, context: Context) => Verified | Promise<Verified>
  /** Verifies tokens as JWT (RFC 7519). */
  readonly jwt?: JwtOptions
  /** Takes the token also from the password of an MQTT CONNECT, with any user name. */
  readonly connectPassword?: boolean
  /** The realm of the challenge, and `realm` of the user. */
  readonly realm?: string
  /** The name of the scheme, which is `by` of the user; `bearer` unless given. */
  readonly name?: string
  /** Lets requests without a token pass, without a user. */
  readonly optional?: boolean
}

const OPTIONS: Record<keyof BearerOptions, OptionCheck> = {
  verify: true,
  jwt: true,
  connectPassword: 'flag',
  realm: true,
  name: true,
  optional: 'flag'
}

type Verify = (token: string, context: Context) => Verified | Promise<Verified>

class Bearer implements Scheme {
  readonly challenge: string
  readonly refusal: string
  readonly security: Scheme['security']
  readonly #verify: Verify
  readonly #name: string
  readonly #realm: string | undefined
  readonly #connectPassword: boolean

  constructor({ name = 'bearer', realm, jwt, connectPassword }: BearerOptions, verify: Verify) {
    this.#verify = verify
    this.#name = name
    this.#realm = realm
    this.#connectPassword = connectPassword === true
    // RFC 6750 section 3: a request without a token gets no error code.
    this.challenge = `Bearer realm=${quoted(realm ?? 'app')}`
    this.refusal = `${this.challenge}, error="invalid_token"`
    this.security = { name, type: 'http', scheme: 'bearer', ...(jwt === undefined ? undefined : { format: 'JWT' }) }
  }

  authenticate(context: Context): Outcome | Promise<Outcome> {
    const token = credentialsOf(context, 'bearer')
    if (token === null) return REFUSED
    if (token !== undefined) return this.#userOf(token, context)
    if (!this.#connectPassword || context['iopa.Method'] !== CONTROL_METHODS.CONNECT) return undefined
    const password = connectPasswordOf(context)
    if (password === undefined) return undefined
    // It may as well be the password of a user.
    const user = this.#userOf(password, context)
    return user instanceof Promise ? user.then(settled => settled ?? UNCLEAR) : (user ?? UNCLEAR)
  }

  #userOf(token: string, context: Context): User | null | Promise<User | null> {
    return userOfEither(this.#verify(token, context), this.#name, this.#realm)
  }
}

/** The password of an MQTT CONNECT, which only a transport makes. */
const connectPasswordOf = (context: Context): string | undefined => {
  const credentials = credentialsOf(context, 'basic')
  const password = typeof credentials === 'string' ? namedPassword(credentials)?.password : undefined
  return password === undefined || password === '' || password.length > LONGEST_CREDENTIALS ? undefined : password
}

/** Authenticates by a bearer token (RFC 6750) in the header `authorization`: an opaque one that the app verifies, or a JWT. */
export function bearer(options: BearerOptions & { readonly optional: true }): OptionalAuthentication
export function bearer(options: BearerOptions): Authentication
export function bearer(options: BearerOptions): Authentication {
  checkOptions('bearer()', options, OPTIONS, bearer)
  const { name = 'bearer', verify, jwt, optional } = options ?? {}
  checkName('bearer()', name)
  if ((verify === undefined) === (jwt === undefined)) throw optionError('bearer() takes one of verify, for opaque tokens, and jwt.')
  if (jwt !== undefined) {
    const verifier = new JwtVerifier(jwt, bearer)
    return authentication(name, [new Bearer(options, (token, context) => verifier.verify(token, context))], optional === true)
  }
  checkFunction('bearer()', 'verify', verify, '(token) => user')
  return authentication(name, [new Bearer(options, verify as Verify)], optional === true)
}

markFactory('bearer', bearer)
