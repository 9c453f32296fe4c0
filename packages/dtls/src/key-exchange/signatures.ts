import { type KeyObject, sign, verify } from 'node:crypto'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import { type ByteReader, numberBytes, vector } from '../bytes.ts'

/** ECDSA with a hash, as their numbers in signature_algorithms (RFC 5246 section 7.4.1.4.1). */
const HASHES: ReadonlyMap<number, string> = new Map([
  [0x0403, 'sha256'],
  [0x0503, 'sha384'],
  [0x0603, 'sha512']
])
export const ECDSA_SHA256 = 0x0403

/** What certificates may be signed with besides: RSA PKCS #1 with SHA-256, SHA-384, SHA-512. */
const IN_CERTIFICATES = [0x0401, 0x0501, 0x0601]

/** The list of a ClientHello and of a CertificateRequest, the preferred one first. */
export const SIGNATURE_ALGORITHMS: readonly number[] = [...HASHES.keys(), ...IN_CERTIFICATES]

/** Signs, and encodes as DigitallySigned (RFC 5246 section 4.7). The keys here are on P-256, to which SHA-256 belongs. */
export const signed = (message: Uint8Array, key: KeyObject): Buffer =>
  Buffer.concat([numberBytes(ECDSA_SHA256, 2), vector(2, sign('sha256', message, key))])

/** Checks a DigitallySigned that must be all that is left. @throws HandshakeFailure for one that is malformed, or not of this message and key. */
export const checkSigned = (reader: ByteReader, message: Uint8Array, key: KeyObject): void => {
  const hash = HASHES.get(reader.number(2))
  if (hash === undefined) throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, 'The peer has signed with a scheme that was not offered.')
  const signature = reader.vector(2, 1)
  reader.end()
  if (!isSignature(hash, message, key, signature)) throw new HandshakeFailure(ALERT.DECRYPT_ERROR, 'The signature of the peer is wrong.')
}

const isSignature = (hash: string, message: Uint8Array, key: KeyObject, signature: Uint8Array): boolean => {
  try {
    return verify(hash, message, key, signature)
  } catch {
    return false
  }
}
