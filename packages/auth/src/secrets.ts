import { createHash, timingSafeEqual } from 'node:crypto'

const digest = (secret: string | Uint8Array): Buffer => createHash('sha256').update(secret).digest()

/**
 * True where two secrets are equal, in a time that does not depend on where they differ. For tokens and keys that are long and random; a password
 * that a person chose is stored as a scrypt hash, and the hashes are compared.
 */
export const sameSecret = (given: string | Uint8Array, stored: string | Uint8Array): boolean => timingSafeEqual(digest(given), digest(stored))
