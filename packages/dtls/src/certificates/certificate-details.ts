import { BIT_STRING, BOOLEAN, DerError, DerReader, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE } from './der.ts'

/** What node:crypto does not show of a certificate (RFC 5280 section 4). */
export interface CertificateDetails {
  /** Whether it is signed with a hash of 256 bits or more. */
  readonly strongSignature: boolean
  /** Bits of key usage (4.2.1.3); undefined without that extension, which allows each use. */
  readonly keyUsage: number | undefined
  /** How many authorities may follow below this one (4.2.1.9). */
  readonly pathLength: number
  /** Whether it has a critical extension that is not checked here: RFC 5280 4.2 asks to refuse it. */
  readonly unknownCritical: boolean
}

/** The first bit of key usage: it may sign a handshake. */
export const DIGITAL_SIGNATURE = 0x80

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')

// The content of object identifiers, as hexadecimal digits.
const KEY_USAGE = '551d0f'
const BASIC_CONSTRAINTS = '551d13'
/** node:crypto checks or shows what these say: subject names, extended key usage. */
const CHECKED_ELSEWHERE = new Set(['551d11', '551d25'])

const STRONG_SIGNATURES = new Set([
  '2a8648ce3d040302', // ecdsa-with-SHA256
  '2a8648ce3d040303', // ecdsa-with-SHA384
  '2a8648ce3d040304', // ecdsa-with-SHA512
  '2a864886f70d01010b', // sha256WithRSAEncryption
  '2a864886f70d01010c', // sha384WithRSAEncryption
  '2a864886f70d01010d', // sha512WithRSAEncryption
  '2b6570' // Ed25519
])

/** Reads these from the DER of a certificate; undefined if it cannot be read. */
export function certificateDetails(der: Uint8Array): CertificateDetails | undefined {
  try {
    const certificate = new DerReader(der).enter(SEQUENCE)
    const tbs = certificate.enter(SEQUENCE)
    const algorithm = certificate.enter(SEQUENCE)
    const signature = hex(algorithm.content(algorithm.take(OBJECT_IDENTIFIER)))
    return { strongSignature: STRONG_SIGNATURES.has(signature), ...extensionsOf(tbs) }
  } catch (error) {
    if (error instanceof DerError) return undefined
    throw error
  }
}

type Extensions = Omit<CertificateDetails, 'strongSignature'>

function extensionsOf(tbs: DerReader): Extensions {
  let keyUsage: number | undefined
  let pathLength = Number.POSITIVE_INFINITY
  let unknownCritical = false
  // Explicit tag 3; what comes before it is read by node:crypto.
  while (tbs.more && tbs.tag !== 0xa3) tbs.next()
  if (!tbs.more) return { keyUsage, pathLength, unknownCritical }
  const list = tbs.enter(0xa3).enter(SEQUENCE)
  const seen = new Set<string>()
  while (list.more) {
    const extension = list.enter(SEQUENCE)
    const id = hex(extension.content(extension.take(OBJECT_IDENTIFIER)))
    // RFC 5280 4.2: no extension twice.
    if (seen.has(id)) throw new DerError('extension twice')
    seen.add(id)
    const critical = extension.tag === BOOLEAN && extension.content(extension.take(BOOLEAN))[0] !== 0
    const value = extension.enter(OCTET_STRING)
    if (id === KEY_USAGE) keyUsage = value.content(value.take(BIT_STRING))[1] ?? 0
    else if (id === BASIC_CONSTRAINTS) pathLength = pathLengthOf(value)
    else if (critical && !CHECKED_ELSEWHERE.has(id)) unknownCritical = true
  }
  return { keyUsage, pathLength, unknownCritical }
}

function pathLengthOf(value: DerReader): number {
  const constraints = value.enter(SEQUENCE)
  if (constraints.tag === BOOLEAN) constraints.next()
  if (!constraints.more) return Number.POSITIVE_INFINITY
  const content = constraints.content(constraints.take(INTEGER))
  // A longer or negative number is none that a chain could need.
  return content.length === 1 && (content[0] as number) < 0x80 ? (content[0] as number) : 0
}
