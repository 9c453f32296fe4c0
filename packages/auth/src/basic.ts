import type { Context, User } from '@iopa/appbuilder'
import { checkOptions, markFactory, type OptionCheck, optionError } from '@iopa/appbuilder/extension'
import { type Authentication, authentication, type OptionalAuthentication } from './authentication.ts'
import { credentialsOf, namedPassword } from './credentials.ts'
import { checkFunction, checkName, quoted } from './option-checks.ts'
import { RememberedCredentials } from './remembered.ts'
import { type Outcome, REFUSED, type Scheme, userOf, type Verified } from './scheme.ts'
import { VerificationQueue } from './verification-queue.ts'

/** Options of `basic()`. */
export interface BasicOptions {
  /**
   * The user of a name and a password, or nothing. Take as long for a name that does not exist as for a wrong password: compare with a hash that
   * matches nothing.
   */
  readonly verify: (name: string, password: string, context: Context) => Verified | Promise<Verified>
  /** What a browser shows, and `realm` of the user. */
  readonly realm?: string
  /** The name of the scheme, which is `by` of the user; `basic` unless given. */
  readonly name?: string
  /** Lets requests without credentials pass, without a user. */
  readonly optional?: boolean
  /**
   * False accepts credentials without asking for them: a browser shows no dialog for a page of the app that has its own form. Put another scheme that has
   * a challenge beside it, such as `bearer()`: an answer 401 needs one (RFC 9110 section 15.5.2). True unless given.
   */
  readonly challenge?: boolean
  /** Verifications that run at once; 4 unless given. */
  readonly concurrency?: number
  /** Verifications that wait; beyond it requests get 503. 256 unless given. */
  readonly queue?: number
  /** Milliseconds for which credentials that were right are not verified again; 0 unless given. */
  readonly remember?: number
}

const OPTIONS: Record<keyof BasicOptions, OptionCheck> = {
  verify: true,
  realm: true,
  name: true,
  optional: 'flag',
  challenge: 'flag',
  concurrency: true,
  queue: true,
  remember: true
}

class Basic implements Scheme {
  readonly challenge: string | null
  readonly refusal: string | null
  readonly security: Scheme['security']
  readonly #options: BasicOptions
  readonly #name: string
  readonly #queue: VerificationQueue
  readonly #remembered: RememberedCredentials | null

  constructor(options: BasicOptions) {
    const { name = 'basic', realm, concurrency = 4, queue = 256, remember = 0, challenge = true } = options
    this.#options = options
    this.#name = name
    this.#queue = new VerificationQueue({ concurrency, queue })
    this.#remembered = remember > 0 ? new RememberedCredentials(remember) : null
    this.challenge = this.refusal = challenge ? `Basic realm=${quoted(realm ?? 'app')}, charset="UTF-8"` : null
    this.security = { name, type: 'http', scheme: 'basic' }
  }

  authenticate(context: Context): Outcome | Promise<Outcome> {
    const credentials = credentialsOf(context, 'basic')
    if (credentials === undefined || credentials === null) return credentials
    const named = namedPassword(credentials)
    if (named === null) return REFUSED
    const { name, password } = named
    const remembered = this.#remembered
    if (remembered === null) return this.#verify(name, password, context)
    const digest = remembered.digest(name, password)
    const known = remembered.get(digest, context['server.Timestamp'])
    if (known !== undefined) return known
    const verified = this.#verify(name, password, context)
    const note = (user: User | null): User | null => {
      if (user !== null) remembered.add(digest, user, context['server.Timestamp'])
      return user
    }
    return verified instanceof Promise ? verified.then(note) : note(verified)
  }

  #verify(name: string, password: string, context: Context): User | null | Promise<User | null> {
    const { verify, realm } = this.#options
    const verified = this.#queue.run(context, () => verify(name, password, context))
    return verified instanceof Promise ? verified.then(settled => userOf(settled, this.#name, realm)) : userOf(verified, this.#name, realm)
  }
}

/**
 * Authenticates by a user name and a password (RFC 7617): in the header `authorization`, and in CONNECT of MQTT.
 * `app.use(basic({ verify: (name, password) => accounts.check(name, password) }))`
 */
export function basic(options: BasicOptions & { readonly optional: true }): OptionalAuthentication
export function basic(options: BasicOptions): Authentication
export function basic(options: BasicOptions): Authentication {
  checkOptions('basic()', options, OPTIONS, basic)
  checkFunction('basic()', 'verify', options?.verify, '(name, password) => user')
  const { name = 'basic', concurrency = 4, queue = 256, remember = 0 } = options
  checkName('basic()', name)
  if (!(Number.isInteger(concurrency) && concurrency > 0)) throw optionError('The option concurrency of basic() must be a whole number from 1.')
  if (!(Number.isInteger(queue) && queue >= 0)) throw optionError('The option queue of basic() must be a whole number from 0.')
  if (!(typeof remember === 'number' && remember >= 0)) throw optionError('The option remember of basic() must be a number of milliseconds.')
  return authentication(name, [new Basic(options)], options.optional === true)
}

markFactory('basic', basic)
