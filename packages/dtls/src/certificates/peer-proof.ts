import { type KeyObject, X509Certificate } from 'node:crypto'
import type { User } from '@iopa/transport'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import type { ProvenIdentity } from '../key-exchange/key-exchange.ts'
import { readCertificateList } from './certificate-list.ts'
import { type CertificateType, RAW_PUBLIC_KEY } from './certificate-types.ts'
import { type ChainPolicy, refusedChain } from './chain.ts'
import type { Credentials } from './credentials.ts'
import { readRawPublicKey } from './raw-public-key.ts'
import { isSigningKey, publicKeyInfo } from './signing-keys.ts'

/** What a Certificate message has named: the key that the peer must prove now, and who it is then. */
export interface PeerProof {
  readonly key: KeyObject
  readonly identity: ProvenIdentity
}

/** How certificates are checked; undefined takes every one, with its key. */
export type CertificatePolicy = Omit<ChainPolicy, 'now'> | undefined

/** Reads and checks the Certificate message of a peer; undefined for an empty one. `now` is milliseconds since 1970. @throws HandshakeFailure */
export const peerProof = (
  body: Uint8Array,
  type: CertificateType,
  credentials: Credentials,
  policy: CertificatePolicy,
  now: number
): PeerProof | undefined =>
  type === RAW_PUBLIC_KEY ? rawKeyProof(body, credentials, policy === undefined) : certificateProof(readCertificateList(body), policy, now)

const rawKeyProof = (body: Uint8Array, { rawPublicKeys, realm }: Credentials, anyKey: boolean): PeerProof | undefined => {
  const key = readRawPublicKey(body)
  if (key === undefined) return undefined
  const id = rawPublicKeys?.get(publicKeyInfo(key).toString('hex'))
  if (id === undefined && !anyKey) throw new HandshakeFailure(ALERT.CERTIFICATE_UNKNOWN, 'The raw public key of the peer is not in rawPublicKeys.')
  const user: User | undefined = id === undefined ? undefined : { id, by: 'rpk', ...(realm === undefined ? {} : { realm }) }
  return { key, identity: user === undefined ? { user } : { user, proof: 'rpk' } }
}

const certificateProof = (chain: readonly X509Certificate[], policy: CertificatePolicy, now: number): PeerProof | undefined => {
  const [own] = chain
  if (own === undefined) return undefined
  const refusal = policy && refusedChain(chain, { ...policy, now })
  if (refusal !== undefined)
    throw new HandshakeFailure(
      ALERT[refusal],
      `The certificate of the peer is refused (${refusal.toLowerCase()}): check it against ca, date and name.`
    )
  const key = signingKeyOf(own)
  if (key === undefined) throw new HandshakeFailure(ALERT.UNSUPPORTED_CERTIFICATE, 'The certificate of the peer has no ECDSA key on P-256.')
  return { key, identity: policy === undefined ? certificateIdentity(own) : { ...certificateIdentity(own), proof: 'certificate' } }
}

/** Who that is, an application knows: one name may stand for different users under different authorities. */
const certificateIdentity = ({ raw, fingerprint256, validTo }: X509Certificate): ProvenIdentity => {
  // What OpenSSL keeps of a certificate is many times its bytes: too much for each of 10,000 sessions.
  let shown: unknown
  const clientCertificate = (): unknown => (shown ??= new X509Certificate(raw).toLegacyObject())
  return { user: undefined, clientCertificate, fingerprint: fingerprint256, until: Date.parse(validTo) }
}

const signingKeyOf = (certificate: X509Certificate): KeyObject | undefined => {
  try {
    return isSigningKey(certificate.publicKey) ? certificate.publicKey : undefined
  } catch {
    return undefined
  }
}
