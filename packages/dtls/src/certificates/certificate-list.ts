import { X509Certificate } from 'node:crypto'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, vector } from '../bytes.ts'
import { MOST_CERTIFICATES } from './chain.ts'

/** Bytes of the longest chain that is read. */
const LONGEST_CHAIN = 16 * 1024

/** The body of a Certificate message (RFC 5246 section 7.4.2): the own one first. */
export const certificateListBytes = (certificates: readonly Uint8Array[]): Buffer =>
  vector(3, ...certificates.map(certificate => vector(3, certificate)))

/** Reads a Certificate message. @throws HandshakeFailure for lengths that do not fit, for a chain that is too long, and for what is no certificate. */
export const readCertificateList = (body: Uint8Array): readonly X509Certificate[] => {
  const message = new ByteReader(body)
  const list = new ByteReader(message.vector(3, 0, LONGEST_CHAIN))
  message.end()
  const certificates: X509Certificate[] = []
  while (list.left > 0) {
    if (certificates.length === MOST_CERTIFICATES)
      throw new HandshakeFailure(ALERT.BAD_CERTIFICATE, `The peer has sent more than ${MOST_CERTIFICATES} certificates.`)
    certificates.push(parseCertificate(list.vector(3, 1)))
  }
  return certificates
}

const parseCertificate = (der: Uint8Array): X509Certificate => {
  try {
    const certificate = new X509Certificate(der)
    // PEM, which node:crypto takes too, and bytes that follow are not what a peer may send.
    if (certificate.raw.equals(der)) return certificate
  } catch {
    // Refused below.
  }
  throw new HandshakeFailure(ALERT.BAD_CERTIFICATE, 'The peer has sent a certificate that cannot be read.')
}
