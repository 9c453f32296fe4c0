import { timingSafeEqual } from 'node:crypto'

const bytesOf = (secret: string | Uint8Array): Uint8Array => (typeof secret === 'string' ? Buffer.from(secret) : secret)

/**
 * True where two secrets are equal, in a time that does not depend on where they differ; whether they are equally long may show. For tokens and keys
 * that are long and random; a password that a person chose is stored as a scrypt hash, and the hashes are compared.
 */
export const sameSecret = (given: string | Uint8Array, stored: string | Uint8Array): boolean => {
  const own = bytesOf(stored)
  const other = bytesOf(given)
  return timingSafeEqual(other.length === own.length ? other : own, own) && other.length === own.length
}
