import { createECDH, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'
import { ALERT, HandshakeFailure } from '../alerts.ts'

/** The groups that are offered, as their numbers in supported_groups (RFC 8422 section 5.1.1), the preferred one first. */
export const SECP256R1 = 23
export const X25519 = 29
export const NAMED_GROUPS: readonly number[] = [SECP256R1, X25519]

/** A key pair for one handshake. */
export interface EphemeralKey {
  readonly group: number
  /** As it goes over the wire: an uncompressed point (RFC 8422 section 5.4), or the 32 bytes of X25519. */
  readonly publicKey: Buffer
  /** The secret that is shared with the owner of this public key. @throws HandshakeFailure for one that is no point of the curve, or that gives the secret away. */
  agree(peer: Uint8Array): Buffer
}

/** Makes a key pair in one of the groups that are offered. */
export const ephemeralKey = (group: number): EphemeralKey => (group === X25519 ? x25519Key() : secp256r1Key())

const invalidPoint = (cause?: unknown): HandshakeFailure =>
  new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, 'The public key of the peer is no point of the curve.', { cause })

const UNCOMPRESSED = 4
const POINT_LENGTH = 65

function secp256r1Key(): EphemeralKey {
  const ecdh = createECDH('prime256v1')
  const publicKey = ecdh.generateKeys()
  const agree = (peer: Uint8Array): Buffer => {
    // Only this form was offered; with it the point at infinity and compressed points are out.
    if (peer.length !== POINT_LENGTH || peer[0] !== UNCOMPRESSED) throw invalidPoint()
    try {
      return ecdh.computeSecret(peer)
    } catch (error) {
      // OpenSSL checks the equation of the curve.
      throw invalidPoint(error)
    }
  }
  return { group: SECP256R1, publicKey, agree }
}

/** A SubjectPublicKeyInfo (RFC 8410) up to the key. */
const X25519_INFO = Buffer.from('302a300506032b656e032100', 'hex')
const X25519_LENGTH = 32

function x25519Key(): EphemeralKey {
  const pair = generateKeyPairSync('x25519')
  const publicKey = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(X25519_INFO.length)
  const agree = (peer: Uint8Array): Buffer => {
    if (peer.length !== X25519_LENGTH) throw invalidPoint()
    try {
      const key = createPublicKey({ key: Buffer.concat([X25519_INFO, peer]), format: 'der', type: 'spki' })
      return diffieHellman({ privateKey: pair.privateKey, publicKey: key })
    } catch (error) {
      // OpenSSL refuses points of small order: their secret is zero (RFC 7748 section 6.1).
      throw invalidPoint(error)
    }
  }
  return { group: X25519, publicKey, agree }
}
