import type { PeerCertificate } from 'node:tls'
import type { Context, User } from '@iopa/appbuilder'
import { checkOptions, markFactory, type OptionCheck } from '@iopa/appbuilder/extension'
import { type Authentication, authentication, type OptionalAuthentication } from './authentication.ts'
import { checkFunction, checkName } from './option-checks.ts'
import { type Outcome, type Scheme, userOfEither, type Verified } from './scheme.ts'

/** Options of `clientCertificate()`. */
export interface ClientCertificateOptions {
  /** The user of a certificate that TLS or DTLS has checked, or nothing. */
  readonly user: (certificate: PeerCertificate, context: Context) => Verified | Promise<Verified>
  /** The name of the scheme, which is `by` of the user; `certificate` unless given. */
  readonly name?: string
  /** Lets requests without a certificate pass, without a user. */
  readonly optional?: boolean
}

const OPTIONS: Record<keyof ClientCertificateOptions, OptionCheck> = { user: true, name: true, optional: 'flag' }

/** A user lasts no longer than the certificate. */
const withExpiry = (user: User | null, { valid_to }: PeerCertificate): User | null => {
  const expires = Date.parse(valid_to)
  if (user === null || Number.isNaN(expires)) return user
  return { ...user, valid: { ...user.valid, until: Math.min(expires, user.valid?.until ?? expires) } }
}

class ClientCertificate implements Scheme {
  readonly challenge = null
  readonly refusal = null
  readonly security: Scheme['security']
  readonly #user: ClientCertificateOptions['user']
  readonly #name: string

  constructor({ name = 'certificate', user }: ClientCertificateOptions) {
    this.#user = user
    this.#name = name
    this.security = { name, type: 'mutualTLS' }
  }

  authenticate(context: Context): Outcome | Promise<Outcome> {
    // Set only for a certificate that was checked against `ca`.
    const certificate = context['ssl.ClientCertificate'] as PeerCertificate | undefined
    if (certificate === undefined) return undefined
    const user = userOfEither(this.#user(certificate, context), this.#name)
    return user instanceof Promise ? user.then(settled => withExpiry(settled, certificate)) : withExpiry(user, certificate)
  }
}

/** Authenticates by the certificate of a client of TLS or DTLS, with `{ requestCert: true, ca }` in `tls` or `dtls()`. */
export function clientCertificate(options: ClientCertificateOptions & { readonly optional: true }): OptionalAuthentication
export function clientCertificate(options: ClientCertificateOptions): Authentication
export function clientCertificate(options: ClientCertificateOptions): Authentication {
  checkOptions('clientCertificate()', options, OPTIONS, clientCertificate)
  checkFunction('clientCertificate()', 'user', options?.user, '(certificate) => user')
  const { name = 'certificate', optional } = options
  checkName('clientCertificate()', name)
  return authentication(name, [new ClientCertificate(options)], optional === true)
}

markFactory('clientCertificate', clientCertificate)
