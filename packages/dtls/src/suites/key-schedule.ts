import type { DirectionKeys, RecordCipher } from '../records/record-cipher.ts'
import { prf } from './prf.ts'

/** Bytes of a master secret. */
const MASTER_SECRET_LENGTH = 48
/** Bytes of the verify data in a Finished (RFC 5246 section 7.4.9). */
const VERIFY_LENGTH = 12

/** Overwrites a secret that is not needed any more. What V8 or OpenSSL copied of it is out of reach: docs/decisions/0016-dtls-by-hand.md. */
export const wipe = (secret: Uint8Array | undefined): void => {
  secret?.fill(0)
}

/** A copy of a secret, with memory of its own that V8 does not move. A piece of Node's pool would keep all of that, 8 KiB, as long as the secret. */
export const copyOf = (secret: Uint8Array): Buffer => {
  const copy = Buffer.from(new ArrayBuffer(secret.length))
  copy.set(secret)
  return copy
}

/** The master secret of RFC 5246 section 8.1. */
export const masterSecret = (premaster: Uint8Array, clientRandom: Uint8Array, serverRandom: Uint8Array): Buffer =>
  prf(premaster, 'master secret', Buffer.concat([clientRandom, serverRandom]), MASTER_SECRET_LENGTH)

/** The master secret of RFC 7627 section 4: bound to all messages up to the ClientKeyExchange. */
export const extendedMasterSecret = (premaster: Uint8Array, sessionHash: Uint8Array): Buffer =>
  prf(premaster, 'extended master secret', sessionHash, MASTER_SECRET_LENGTH)

/** The keys of both directions (RFC 5246 section 6.3). */
export const connectionKeys = (
  cipher: RecordCipher,
  master: Uint8Array,
  clientRandom: Uint8Array,
  serverRandom: Uint8Array
): { readonly client: DirectionKeys; readonly server: DirectionKeys } => {
  const { keyLength, saltLength } = cipher.aead
  const length = keyLength + saltLength
  const block = prf(master, 'key expansion', Buffer.concat([serverRandom, clientRandom]), 2 * length)
  // Both keys come first in the block, then both salts; each direction gets its two together.
  const secrets = Buffer.allocUnsafeSlow(2 * length)
  for (const at of [0, 1]) {
    block.copy(secrets, at * length, at * keyLength, (at + 1) * keyLength)
    block.copy(secrets, at * length + keyLength, 2 * keyLength + at * saltLength, 2 * keyLength + (at + 1) * saltLength)
  }
  wipe(block)
  return { client: { cipher, secrets, at: 0 }, server: { cipher, secrets, at: length } }
}

/** What a Finished contains, for the messages before it. */
export const verifyData = (role: 'client' | 'server', master: Uint8Array, transcriptHash: Uint8Array): Buffer =>
  prf(master, `${role} finished`, transcriptHash, VERIFY_LENGTH)

/** The premaster secret of a pre-shared key: `other` secret, or as many zeros as the key has bytes, then the key (RFC 4279 section 2, RFC 5489 section 2). */
export const pskPremaster = (key: Uint8Array, other?: Uint8Array): Buffer => {
  const first = other?.length ?? key.length
  const premaster = Buffer.allocUnsafeSlow(4 + first + key.length)
  premaster.writeUInt16BE(first, 0)
  if (other === undefined) premaster.fill(0, 2, 2 + first)
  else premaster.set(other, 2)
  premaster.writeUInt16BE(key.length, 2 + first)
  premaster.set(key, 4 + first)
  return premaster
}
