/** The key of an identity; undefined for one that is unknown. */
export type PskLookup = (identity: string, signal: AbortSignal) => Uint8Array | undefined | Promise<Uint8Array | undefined>

/** Options of `dtls()`; keys and certificates are PEM text or bytes. */
export interface DtlsOptions {
  /** Pre-shared keys by identity, or a function that finds them. A client uses the first of a record. */
  readonly psk?: Readonly<Record<string, Uint8Array>> | PskLookup
  readonly key?: string | Uint8Array
  readonly cert?: string | Uint8Array
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /** Asks clients for a certificate and refuses those without one that `ca` has signed. */
  readonly requestCert?: boolean
  /** Raw public keys of peers by the id of their user (RFC 7250), as PEM or DER of a SubjectPublicKeyInfo. */
  readonly rawPublicKeys?: Readonly<Record<string, string | Uint8Array>>
  /** Clients only: false accepts a certificate or raw public key that cannot be verified; for tests. */
  readonly verify?: boolean
  /** Clients only: the name to verify and to ask for, where it is not the host of the URL. */
  readonly serverName?: string
  /** Connection ids (RFC 9146): a session follows its peer to another address. */
  readonly cid?: boolean
  /** The realm of the users whose identity is proven here. */
  readonly realm?: string
}
