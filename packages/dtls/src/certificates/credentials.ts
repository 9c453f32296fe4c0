import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { IopaError, optionError } from '@iopa/transport'
import type { DtlsOptions } from '../options.ts'
import { isSigningKey, publicKeyInfo, readCertificates, readPrivateKey, readPublicKey } from './signing-keys.ts'

/** What one side proves itself with. */
export interface OwnCredential {
  readonly key: KeyObject
  /** The chain in DER, the own certificate first; empty for a raw public key alone. */
  readonly chain: readonly Uint8Array[]
  /** The SubjectPublicKeyInfo, which is the raw public key. */
  readonly info: Uint8Array
}

/** The options of `dtls()` that have to do with certificates and raw public keys, read once. */
export interface Credentials {
  readonly own: OwnCredential | undefined
  /** Undefined without `ca`. */
  readonly authorities: readonly X509Certificate[] | undefined
  readonly requestCert: boolean
  /** The ids of users by their SubjectPublicKeyInfo as hexadecimal digits; undefined without the option. */
  readonly rawPublicKeys: ReadonlyMap<string, string> | undefined
  readonly serverName: string | undefined
  readonly verify: boolean
  readonly realm: string | undefined
}

/** @throws IopaError 500 for what cannot be read, or does not fit together. */
export const credentialsOf = (options: DtlsOptions): Credentials => {
  const { ca, requestCert = false, rawPublicKeys, serverName, verify = true, realm } = options
  // Without it every certificate of a public authority would do.
  if (requestCert && ca === undefined)
    throw new IopaError(500, 'tls-without-ca', 'requestCert needs ca: pass the authorities of the client certificates.')
  return {
    own: ownOf(options),
    authorities: ca === undefined ? undefined : authoritiesOf(ca),
    requestCert,
    rawPublicKeys: rawPublicKeys === undefined ? undefined : rawKeysOf(rawPublicKeys),
    serverName,
    verify,
    realm
  }
}

let publicAuthorities: readonly X509Certificate[] | undefined

/** The authorities that Node trusts: what a client without `ca` checks a server against. */
export const defaultAuthorities = (): readonly X509Certificate[] =>
  (publicAuthorities ??= rootCertificates.map(certificate => new X509Certificate(certificate)))

const ownOf = ({ key: givenKey, cert }: DtlsOptions): OwnCredential | undefined => {
  if (givenKey === undefined && cert === undefined) return undefined
  if (givenKey === undefined) throw new IopaError(500, 'tls-without-key', 'dtls has cert but no key: add the private key of the certificate.')
  const key = readOption('key', () => readPrivateKey(givenKey))
  if (!isSigningKey(key)) throw optionError('key of dtls() must be an ECDSA key on P-256: make one with openssl ecparam -name prime256v1 -genkey.')
  const chain = cert === undefined ? [] : readOption('cert', () => readCertificates(cert))
  const [own] = chain
  if (cert !== undefined && own === undefined) throw optionError('cert of dtls() has no certificate in it: pass PEM or DER.')
  if (own !== undefined && !own.checkPrivateKey(key)) throw optionError('key of dtls() is not the key of the first certificate in cert.')
  return { key, chain: chain.map(({ raw }) => raw), info: publicKeyInfo(createPublicKey(key)) }
}

const authoritiesOf = (ca: NonNullable<DtlsOptions['ca']>): readonly X509Certificate[] => {
  const given = typeof ca === 'string' || ca instanceof Uint8Array ? [ca] : ca
  const authorities = readOption('ca', () => given.flatMap(readCertificates))
  if (authorities.length === 0) throw optionError('ca of dtls() has no certificate in it: pass PEM or DER of the authorities.')
  return authorities
}

const rawKeysOf = (given: NonNullable<DtlsOptions['rawPublicKeys']>): ReadonlyMap<string, string> => {
  const ids = new Map<string, string>()
  for (const [id, value] of Object.entries(given)) {
    const key = readOption(`rawPublicKeys['${id}']`, () => readPublicKey(value))
    if (id === '' || !isSigningKey(key)) throw optionError(`rawPublicKeys['${id}'] of dtls() must be an ECDSA key on P-256 under the id of its user.`)
    const info = publicKeyInfo(key).toString('hex')
    // One proof must not mean two users.
    if (ids.has(info)) throw optionError(`rawPublicKeys of dtls() has the same key for '${ids.get(info)}' and '${id}': give each its own.`)
    ids.set(info, id)
  }
  if (ids.size === 0) throw optionError('rawPublicKeys of dtls() is a table of public keys by the id of their user: add one, or leave it out.')
  return ids
}

const readOption = <Value>(name: string, read: () => Value): Value => {
  try {
    return read()
  } catch (error) {
    throw optionError(`${name} of dtls() cannot be read (${(error as Error).message}): pass PEM or DER.`)
  }
}
