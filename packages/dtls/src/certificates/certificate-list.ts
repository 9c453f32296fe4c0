import { X509Certificate } from 'node:crypto'

/** Bytes of the longest chain that is read. */
const LONGEST_CHAIN = 16 * 1024

/** `ASN.1Cert certificate_list<0..2^24-1>` of a Certificate message (RFC 5246 section 7.4.2). */
export function encodeCertificateList(certificates: readonly Uint8Array[]): Buffer {
  const parts: Buffer[] = []
  let total = 0
  for (const certificate of certificates) {
    parts.push(encodeLength(certificate.length), Buffer.from(certificate))
    total += certificate.length + 3
  }
  return Buffer.concat([encodeLength(total), ...parts])
}

/** Reads the DER of each; undefined for lengths that do not fit, and for more certificates or bytes than a chain may have. */
export function decodeCertificateList(bytes: Uint8Array, most: number): readonly Uint8Array[] | undefined {
  if (bytes.length < 3 || bytes.length > LONGEST_CHAIN || decodeLength(bytes, 0) !== bytes.length - 3) return undefined
  const certificates: Uint8Array[] = []
  let at = 3
  while (at < bytes.length) {
    if (certificates.length === most || bytes.length - at < 3) return undefined
    const length = decodeLength(bytes, at)
    if (length === 0 || length > bytes.length - at - 3) return undefined
    certificates.push(bytes.subarray(at + 3, at + 3 + length))
    at += 3 + length
  }
  return certificates
}

/** A certificate from its DER; undefined for bytes that are none, or more than one. */
export function parseCertificate(der: Uint8Array): X509Certificate | undefined {
  // PEM, which node:crypto takes too, is not what a peer may send.
  if (der[0] !== 0x30) return undefined
  try {
    const certificate = new X509Certificate(der)
    return certificate.raw.equals(der) ? certificate : undefined
  } catch {
    return undefined
  }
}

/** A 24-bit length. */
const encodeLength = (length: number): Buffer => Buffer.from([(length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff])

const decodeLength = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number)
