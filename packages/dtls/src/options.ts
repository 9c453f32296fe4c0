import { type OptionCheck, optionError } from '@iopa/transport'
import { LONGEST_KEY, readIdentity } from './key-exchange/psk-keys.ts'

/** The key of an identity; undefined for one that is unknown. */
export type PskLookup = (identity: string, signal: AbortSignal) => Uint8Array | undefined | Promise<Uint8Array | undefined>

/** Options of `dtls()`; keys and certificates are PEM text or bytes. */
export interface DtlsOptions {
  /** Pre-shared keys of 1 to 256 bytes by identity, or a function that finds them within five seconds. A client uses one of a table. */
  readonly psk?: Readonly<Record<string, Uint8Array>> | PskLookup
  /** The identity of `psk` that a client uses; the first one unless given. */
  readonly identity?: string
  /** The private key of `cert`, ECDSA on P-256. Without `cert` it is a raw public key that the peer knows. */
  readonly key?: string | Uint8Array
  /** The certificate and those of the authorities below `ca`. A server also shows its key alone to clients that ask for that. */
  readonly cert?: string | Uint8Array
  /** Authorities that are trusted. A client without it trusts those of Node, or only its `psk` or `rawPublicKeys` where it has these. */
  readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[]
  /** Asks clients for a certificate and refuses those without one that `ca` has signed. */
  readonly requestCert?: boolean
  /**
   * Raw public keys of peers by the id of their user (RFC 7250), as PEM or DER of a SubjectPublicKeyInfo. A server with certificates then refuses clients that
   * prove neither such a key nor, with `requestCert`, a certificate; a client takes servers with one of these keys.
   */
  readonly rawPublicKeys?: Readonly<Record<string, string | Uint8Array>>
  /** Clients only: false accepts a certificate or raw public key that cannot be verified; for tests. */
  readonly verify?: boolean
  /** Clients only: the name to verify and to ask for, where it is not the host of the URL. */
  readonly serverName?: string
  /** Connection ids (RFC 9146): a session follows its peer to another address. False unless given. */
  readonly cid?: boolean
  /** Milliseconds without a record after which a session ends; a day unless given. A full channel ends those that were silent for `limits.idleTimeout` first. */
  readonly idle?: number
  /** The realm of the users whose identity is proven here. */
  readonly realm?: string
}

/** Every option, and what it must be. */
export const OPTIONS: Record<keyof DtlsOptions, OptionCheck> = {
  psk: true,
  identity: 'text',
  key: true,
  cert: true,
  ca: true,
  requestCert: 'flag',
  rawPublicKeys: true,
  verify: 'flag',
  serverName: 'text',
  cid: 'flag',
  idle: true,
  realm: 'text'
}

/** A day. */
export const DEFAULT_IDLE = 86_400_000

/** @throws IopaError 500 for a key, an identity or a time that cannot be used. */
export const checkValues = ({ psk, identity, idle }: DtlsOptions): void => {
  if (idle !== undefined && !(typeof idle === 'number' && idle > 0)) throw optionError('dtls() needs for idle a number of milliseconds above 0.')
  if (psk === undefined) {
    if (identity !== undefined) throw optionError('dtls() has an identity but no psk: give the key of the identity, as { psk: { sensor: key } }.')
    return
  }
  if (typeof psk === 'function') {
    if (identity !== undefined)
      throw optionError('dtls() takes an identity only with a table of keys: write { psk: { sensor: key }, identity: "sensor" }.')
    return
  }
  if (typeof psk !== 'object' || psk === null || Object.keys(psk).length === 0)
    throw optionError("dtls() needs for psk a table of keys by identity, or a function: write { psk: { sensor: Buffer.from('...', 'hex') } }.")
  for (const [name, key] of Object.entries(psk)) {
    if (readIdentity(Buffer.from(name)) !== name) throw optionError(`The identity '${name}' of psk must be 1 to 128 bytes of UTF-8 without NUL.`)
    if (!(key instanceof Uint8Array) || key.length === 0 || key.length > LONGEST_KEY)
      throw optionError(`The key of '${name}' in psk must be 1 to ${LONGEST_KEY} bytes: write Buffer.from('...', 'hex').`)
  }
  if (identity !== undefined && !Object.hasOwn(psk, identity)) throw optionError(`dtls() has no key for its identity '${identity}': add it to psk.`)
}
