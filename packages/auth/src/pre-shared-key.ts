import type { Context } from '@iopa/appbuilder'
import { checkOptions, markFactory, type OptionCheck } from '@iopa/appbuilder/extension'
import { type Authentication, authentication, type OptionalAuthentication } from './authentication.ts'
import { checkFunction, checkName } from './option-checks.ts'
import { type Outcome, type Scheme, userOfEither, type Verified } from './scheme.ts'

/** Options of `preSharedKey()`. */
export interface PreSharedKeyOptions {
  /** The user of the name of a key that the handshake used, or nothing; `{ id: name }` unless given. */
  readonly user?: (name: string, context: Context) => Verified | Promise<Verified>
  /** The name of the scheme, which is `by` of the user; `preSharedKey` unless given. */
  readonly name?: string
  /** Lets requests without a key pass, without a user. */
  readonly optional?: boolean
}

const OPTIONS: Record<keyof PreSharedKeyOptions, OptionCheck> = { user: true, name: true, optional: 'flag' }

class PreSharedKey implements Scheme {
  readonly challenge = null
  readonly refusal = null
  readonly takesKeyNames = true
  readonly security: Scheme['security']
  readonly #user: NonNullable<PreSharedKeyOptions['user']>
  readonly #name: string

  constructor({ name = 'preSharedKey', user = id => ({ id }) }: PreSharedKeyOptions) {
    this.#user = user
    this.#name = name
    this.security = { name, type: 'psk' }
  }

  authenticate(context: Context): Outcome | Promise<Outcome> {
    // A transport sets it, once the handshake has used the key.
    const known = context['server.User']
    return known?.['by'] === 'psk' ? userOfEither(this.#user(known.id, context), this.#name) : undefined
  }
}

/** Makes users of the names of pre-shared keys, on CoAP, UDP and MQTT with `dtls` or `tls: { psk }`. */
export function preSharedKey(options: PreSharedKeyOptions & { readonly optional: true }): OptionalAuthentication
export function preSharedKey(options?: PreSharedKeyOptions): Authentication
export function preSharedKey(options: PreSharedKeyOptions = {}): Authentication {
  checkOptions('preSharedKey()', options, OPTIONS, preSharedKey)
  const { name = 'preSharedKey', user, optional } = options
  if (user !== undefined) checkFunction('preSharedKey()', 'user', user, '(name) => user')
  checkName('preSharedKey()', name)
  return authentication(name, [new PreSharedKey(options)], optional === true)
}

markFactory('preSharedKey', preSharedKey)
