import type { Context } from '@iopa/appbuilder'
import { checkOptions, markFactory, type OptionCheck } from '@iopa/appbuilder/extension'
import { type Authentication, authentication, type OptionalAuthentication } from './authentication.ts'
import { checkFunction, checkName } from './option-checks.ts'
import { type Outcome, type Scheme, userOfEither, type Verified } from './scheme.ts'

/** Options of `preSharedKey()`, `rawPublicKey()` and `securityContext()`. */
export interface ProvenNameOptions {
  /** The user of the name that was proven, or nothing; `{ id: name }` unless given. */
  readonly user?: (name: string, context: Context) => Verified | Promise<Verified>
  /** The name of the scheme, which is `by` of the user; `psk`, `rpk` or `oscore` unless given. */
  readonly name?: string
  /** Lets requests without such a proof pass, without a user. */
  readonly optional?: boolean
}

const OPTIONS: Record<keyof ProvenNameOptions, OptionCheck> = { user: true, name: true, optional: 'flag' }

type Proof = NonNullable<Scheme['proof']>

class ProvenName implements Scheme {
  readonly challenge = null
  readonly refusal = null
  readonly proof: Proof
  readonly security: Scheme['security']
  readonly #user: NonNullable<ProvenNameOptions['user']>
  readonly #name: string

  constructor(proof: Proof, { name = proof, user = id => ({ id }) }: ProvenNameOptions) {
    this.proof = proof
    this.#user = user
    this.#name = name
    this.security = { name, type: proof === 'rpk' ? 'mutualTLS' : 'psk' }
  }

  authenticate(context: Context): Outcome | Promise<Outcome> {
    // A transport sets it, once the peer has proven the name.
    const known = context['server.User']
    return known?.by === this.proof ? userOfEither(this.#user(known.id, context), this.#name) : undefined
  }
}

const provenName = (factory: { readonly name: string }, proof: Proof, options: ProvenNameOptions): Authentication => {
  const call = `${factory.name}()`
  checkOptions(call, options, OPTIONS, factory as never)
  const { name = proof, user, optional } = options
  if (user !== undefined) checkFunction(call, 'user', user, '(name) => user')
  checkName(call, name, proof)
  return authentication(name, [new ProvenName(proof, options)], optional === true)
}

/** Makes users of the names of pre-shared keys, on CoAP, UDP, TCP and MQTT with `dtls` or `tls: { psk }`. */
export function preSharedKey(options: ProvenNameOptions & { readonly optional: true }): OptionalAuthentication
export function preSharedKey(options?: ProvenNameOptions): Authentication
export function preSharedKey(options: ProvenNameOptions = {}): Authentication {
  return provenName(preSharedKey, 'psk', options)
}

/** Makes users of the names of raw public keys, with `dtls({ rawPublicKeys })`. */
export function rawPublicKey(options: ProvenNameOptions & { readonly optional: true }): OptionalAuthentication
export function rawPublicKey(options?: ProvenNameOptions): Authentication
export function rawPublicKey(options: ProvenNameOptions = {}): Authentication {
  return provenName(rawPublicKey, 'rpk', options)
}

/** Makes users of the ids of security contexts, with `oscore({ contexts })`. */
export function securityContext(options: ProvenNameOptions & { readonly optional: true }): OptionalAuthentication
export function securityContext(options?: ProvenNameOptions): Authentication
export function securityContext(options: ProvenNameOptions = {}): Authentication {
  return provenName(securityContext, 'oscore', options)
}

markFactory('preSharedKey', preSharedKey)
markFactory('rawPublicKey', rawPublicKey)
markFactory('securityContext', securityContext)
