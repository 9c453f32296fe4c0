import { createECDH, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'

/** The groups that are offered, as their numbers in supported_groups (RFC 8422 section 5.1.1), the preferred one first. */
export const SECP256R1 = 23
export const X25519 = 29
export const NAMED_GROUPS: readonly number[] = [SECP256R1, X25519]

/** A key pair for one handshake. */
export interface EphemeralKey {
  readonly group: number
  /** As it goes over the wire: an uncompressed point (RFC 8422 section 5.4), or the 32 bytes of X25519. */
  readonly publicKey: Buffer
  /** The secret that is shared with the peer of this public key; undefined for one that is no point of the curve, or that gives the secret away. */
  agree(peer: Uint8Array): Buffer | undefined
}

/** Makes a key pair. @throws RangeError for a group that is not in the list. */
export function ephemeralKey(group: number): EphemeralKey {
  if (group === SECP256R1) return secp256r1Key()
  if (group === X25519) return x25519Key()
  throw new RangeError(`group ${group}`)
}

const UNCOMPRESSED = 4
const POINT_LENGTH = 65

function secp256r1Key(): EphemeralKey {
  const ecdh = createECDH('prime256v1')
  const publicKey = ecdh.generateKeys()
  const agree = (peer: Uint8Array): Buffer | undefined => {
    // Only this form was offered; with it the point at infinity and compressed points are out.
    if (peer.length !== POINT_LENGTH || peer[0] !== UNCOMPRESSED) return undefined
    try {
      return ecdh.computeSecret(peer)
    } catch {
      // OpenSSL checks the equation of the curve.
      return undefined
    }
  }
  return { group: SECP256R1, publicKey, agree }
}

/** A SubjectPublicKeyInfo (RFC 8410) up to the key. */
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex')
const X25519_LENGTH = 32

function x25519Key(): EphemeralKey {
  const pair = generateKeyPairSync('x25519')
  const publicKey = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(X25519_SPKI.length)
  const agree = (peer: Uint8Array): Buffer | undefined => {
    if (peer.length !== X25519_LENGTH) return undefined
    try {
      const key = createPublicKey({ key: Buffer.concat([X25519_SPKI, peer]), format: 'der', type: 'spki' })
      return diffieHellman({ privateKey: pair.privateKey, publicKey: key })
    } catch {
      // OpenSSL refuses points of small order: their secret is zero (RFC 7748 section 6.1).
      return undefined
    }
  }
  return { group: X25519, publicKey, agree }
}
