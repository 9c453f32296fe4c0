import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'

/** Whether a key can sign a handshake of TLS_ECDHE_ECDSA: ECDSA on P-256, the curve of RFC 7252 9.1.3.2. */
export const isSigningKey = ({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean =>
  asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === 'prime256v1'

/** A SubjectPublicKeyInfo in the one form that is compared: an uncompressed point. */
export const publicKeyInfo = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })

/** Text, or bytes that begin like a PEM file. */
const isPem = (given: string | Uint8Array): boolean => typeof given === 'string' || given[0] === 0x2d

const textOf = (given: string | Uint8Array): string => (typeof given === 'string' ? given : Buffer.from(given).toString('latin1'))

/** Reads a public key as a user gives it: PEM or DER. @throws Error if it is none. */
export const readPublicKey = (given: string | Uint8Array): KeyObject =>
  createPublicKey(isPem(given) ? { key: textOf(given), format: 'pem' } : { key: Buffer.from(given as Uint8Array), format: 'der', type: 'spki' })

/** Reads a private key as a user gives it: PEM, or DER of PKCS #8. @throws Error if it is none. */
export const readPrivateKey = (given: string | Uint8Array): KeyObject =>
  createPrivateKey(isPem(given) ? { key: textOf(given), format: 'pem' } : { key: Buffer.from(given as Uint8Array), format: 'der', type: 'pkcs8' })

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

/** Reads what a user gives: PEM with any number of certificates, or DER of one. @throws Error if one cannot be read. */
export const readCertificates = (given: string | Uint8Array): readonly X509Certificate[] =>
  (isPem(given) ? (textOf(given).match(PEM_CERTIFICATE) ?? []) : [given]).map(certificate => new X509Certificate(certificate))
