import type { KeyObject, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { certificateDetails, DIGITAL_SIGNATURE } from './certificate-details.ts'

/** Why a chain is refused: the names of alerts. */
export type ChainRefusal = 'BAD_CERTIFICATE' | 'UNSUPPORTED_CERTIFICATE' | 'CERTIFICATE_EXPIRED' | 'UNKNOWN_CA'

/** What a chain is checked against. */
export interface ChainPolicy {
  /** The authorities that are trusted. A certificate that is itself among them is trusted too. */
  readonly authorities: readonly X509Certificate[]
  /** What the certificate is used for. */
  readonly role: 'server' | 'client'
  /** The host name or address that it must have; any without it. */
  readonly name?: string | undefined
  /** Milliseconds since 1970. */
  readonly now: number
}

/** Certificates in a chain, the authority not counted. */
export const MOST_CERTIFICATES = 8

// RFC 5280 4.2.1.12.
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const ANY_PURPOSE = '2.5.29.37.0'

/** Checks a chain, the peer's own certificate first (RFC 5280 section 6, without policies, name constraints and revocation lists). Undefined where it is good. */
export function refusedChain(chain: readonly X509Certificate[], policy: ChainPolicy): ChainRefusal | undefined {
  const [own, ...others] = chain
  if (own === undefined || chain.length > MOST_CERTIFICATES) return 'BAD_CERTIFICATE'
  const refusal = refusedOwn(own, policy)
  if (refusal !== undefined) return refusal
  // The certificates that have led from the peer's own one upwards.
  const path = [own]
  while (path.length <= MOST_CERTIFICATES) {
    const last = path[path.length - 1] as X509Certificate
    if (policy.authorities.some(({ raw }) => raw.equals(last.raw))) return undefined
    const anchor = policy.authorities.find(authority => hasIssued(authority, last))
    if (anchor !== undefined) return refusedIssuer(anchor, path.length - 1, policy, false)
    const issuer = others.find(other => !path.includes(other) && hasIssued(other, last))
    if (issuer === undefined) return 'UNKNOWN_CA'
    const refused = refusedIssuer(issuer, path.length - 1, policy, true)
    if (refused !== undefined) return refused
    path.push(issuer)
  }
  return 'BAD_CERTIFICATE'
}

const refusedOwn = (own: X509Certificate, policy: ChainPolicy): ChainRefusal | undefined => {
  const { keyUsage = DIGITAL_SIGNATURE } = certificateDetails(own.raw) ?? {}
  if ((keyUsage & DIGITAL_SIGNATURE) === 0) return 'UNSUPPORTED_CERTIFICATE'
  const { name } = policy
  if (name !== undefined && !hasName(own, name)) return 'BAD_CERTIFICATE'
  return refusedAnywhere(own, policy, !policy.authorities.some(({ raw }) => raw.equals(own.raw)))
}

/** RFC 7252 9.1.3.3: no wildcards; the common name counts only where there are no other names. */
const hasName = (certificate: X509Certificate, name: string): boolean =>
  isIP(name) === 0 ? certificate.checkHost(name, { wildcards: false, subject: 'default' }) !== undefined : certificate.checkIP(name) !== undefined

/** `below` is how many authorities follow in the path below this one. */
function refusedIssuer(issuer: X509Certificate, below: number, policy: ChainPolicy, signed: boolean): ChainRefusal | undefined {
  const { pathLength = -1 } = certificateDetails(issuer.raw) ?? {}
  // Basic constraints must say so: any certificate could sign another one.
  if (!issuer.ca || pathLength < below) return 'UNKNOWN_CA'
  return refusedAnywhere(issuer, policy, signed)
}

/** What holds for each certificate of a path; `signed` is false for one that is trusted without its signature. */
function refusedAnywhere(certificate: X509Certificate, { role, now }: ChainPolicy, signed: boolean): ChainRefusal | undefined {
  const details = certificateDetails(certificate.raw)
  if (details === undefined) return 'BAD_CERTIFICATE'
  if (details.unknownCritical || (signed && !details.strongSignature) || !hasStrongKey(certificate)) return 'UNSUPPORTED_CERTIFICATE'
  // A date that cannot be read is never within the range.
  if (!(Date.parse(certificate.validFrom) <= now && now <= Date.parse(certificate.validTo))) return 'CERTIFICATE_EXPIRED'
  // This is what node:crypto calls extended key usage.
  const purposes = certificate.keyUsage as readonly string[] | undefined
  const purpose = role === 'server' ? SERVER_AUTH : CLIENT_AUTH
  if (purposes !== undefined && !purposes.includes(purpose) && !purposes.includes(ANY_PURPOSE)) return 'UNSUPPORTED_CERTIFICATE'
  return undefined
}

/** True for a signature that verifies under a name that matches, by an authority that may sign certificates where it says what it may. */
const hasIssued = (issuer: X509Certificate, certificate: X509Certificate): boolean => {
  try {
    return certificate.checkIssued(issuer) && hasStrongKey(issuer) && certificate.verify(issuer.publicKey)
  } catch {
    return false
  }
}

const hasStrongKey = (certificate: X509Certificate): boolean => {
  try {
    return isStrong(certificate.publicKey)
  } catch {
    // A key that OpenSSL does not know.
    return false
  }
}

/** Long enough, and short enough that a stranger's certificate costs little time. */
const isStrong = (key: KeyObject): boolean => {
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'rsa':
      return modulusLength >= 2048 && modulusLength <= 4096 && publicExponent < 2n ** 33n
    case 'ec':
      return namedCurve === 'prime256v1' || namedCurve === 'secp384r1' || namedCurve === 'secp521r1'
    default:
      return key.asymmetricKeyType === 'ed25519'
  }
}
