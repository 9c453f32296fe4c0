import { createPublicKey, type KeyObject } from 'node:crypto'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, vector } from '../bytes.ts'
import { isSigningKey, publicKeyInfo } from './signing-keys.ts'

/** The body of a Certificate message that contains a raw public key (RFC 7250 section 3). */
export const rawPublicKeyBytes = (info: Uint8Array): Buffer => vector(3, info)

/** Reads a Certificate message with a SubjectPublicKeyInfo; undefined for one that is empty. @throws HandshakeFailure for what is no key that could sign. */
export const readRawPublicKey = (body: Uint8Array): KeyObject | undefined => {
  const reader = new ByteReader(body)
  const info = reader.vector(3)
  reader.end()
  if (info.length === 0) return undefined
  try {
    const key = createPublicKey({ key: Buffer.from(info), format: 'der', type: 'spki' })
    // Only in the form that is compared: a key has one name.
    if (isSigningKey(key) && publicKeyInfo(key).equals(info)) return key
  } catch {
    // Refused below.
  }
  throw new HandshakeFailure(ALERT.UNSUPPORTED_CERTIFICATE, 'The raw public key of the peer is no ECDSA key on P-256.')
}
