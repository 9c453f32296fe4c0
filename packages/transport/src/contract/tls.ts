import { checkOptions } from '../arguments/arguments.ts'

/** The certificate of one name of a server. */
interface NamedCertificate {
  readonly key: string | Uint8Array
  readonly cert: string | Uint8Array
}

/** TLS, the same for every transport; keys and certificates are PEM text or bytes. */
export interface TlsOptions {
  readonly key?: string | Uint8Array
  readonly cert?: string | Uint8Array
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /** Asks clients for a certificate and refuses those without one that `ca`, which must be given, has signed. */
  readonly requestCert?: boolean
  /** `TLSv1.2` unless given. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
  /** Clients only: false accepts a certificate that cannot be verified; for tests. */
  readonly verify?: boolean
  /** Name to verify and to ask for, where it is not the host of the URL. */
  readonly serverName?: string
  /**
   * Servers only: certificates by the name that a client asks for (RFC 6066 section 3), `example.com` or `*.example.com`; `key` and `cert` serve
   * every other name, and clients that ask for none.
   */
  readonly sni?: Readonly<Record<string, NamedCertificate>>
  /**
   * Pre-shared keys by identity; a client uses the first. A server with `psk` speaks TLS 1.2 with PSK suites alone and resumes no sessions; its certificate is not used.
   * A client offers PSK suites alone unless `ca`, `key` or `cert` is given; then the certificate is verified, and its name too.
   */
  readonly psk?: Readonly<Record<string, Uint8Array>>
}

const TLS_OPTIONS: Record<keyof TlsOptions, true> = {
  key: true,
  cert: true,
  ca: true,
  requestCert: true,
  minVersion: true,
  verify: true,
  serverName: true,
  sni: true,
  psk: true
}

/** Refuses unknown TLS options. `more` lists additional options of one transport. @throws IopaError 500 that names the option. */
export const checkTlsOptions = (name: string, given: TlsOptions | undefined, caller: unknown, more: Readonly<Record<string, true>> = {}): void =>
  checkOptions(`'tls' of ${name}`, given, { ...TLS_OPTIONS, ...more }, caller)
