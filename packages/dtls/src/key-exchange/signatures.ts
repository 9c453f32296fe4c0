import { type KeyObject, sign, verify } from 'node:crypto'

/** Signature schemes of a handshake (RFC 8422 section 5.1.3), as their numbers in signature_algorithms, the preferred one first. */
const HASHES: ReadonlyMap<number, string> = new Map([
  [0x0403, 'sha256'],
  [0x0503, 'sha384'],
  [0x0603, 'sha512']
])
const ECDSA_SHA256 = 0x0403

/** What certificates may be signed with besides: RSA PKCS #1 with SHA-256, SHA-384, SHA-512. */
const IN_CERTIFICATES = [0x0401, 0x0501, 0x0601]

/** The content of signature_algorithms (RFC 5246 section 7.4.1.4.1), and of that field of a CertificateRequest. */
export const SIGNATURE_ALGORITHMS: readonly number[] = [...HASHES.keys(), ...IN_CERTIFICATES]

/** The scheme to sign with for a peer that takes these; undefined where there is none. The keys here are on P-256. */
export const chooseSignature = (offered: readonly number[]): number | undefined => (offered.includes(ECDSA_SHA256) ? ECDSA_SHA256 : undefined)

/** Signs, and encodes as `DigitallySigned` (RFC 5246 section 4.7). */
export function signed(message: Uint8Array, key: KeyObject): Buffer {
  const signature = sign('sha256', message, key)
  return Buffer.concat([Buffer.from([ECDSA_SHA256 >>> 8, ECDSA_SHA256 & 0xff, signature.length >>> 8, signature.length & 0xff]), signature])
}

/** Whether `bytes` are exactly a DigitallySigned of this message by this key, with a scheme that was offered: `undefined` where they are none at all. */
export function isSigned(bytes: Uint8Array, message: Uint8Array, key: KeyObject): boolean | undefined {
  if (bytes.length < 4) return undefined
  const [first, second, high, low] = bytes as unknown as readonly [number, number, number, number]
  const signature = bytes.subarray(4)
  const hash = HASHES.get((first << 8) | second)
  if (hash === undefined || signature.length !== ((high << 8) | low)) return undefined
  try {
    return verify(hash, message, key, signature)
  } catch {
    return false
  }
}
