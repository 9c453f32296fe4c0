import { NAMED_GROUPS } from './named-groups.ts'

/** What a server chose: the group, and its public key in it (RFC 8422 section 5.4, ServerECDHParams). */
export interface EcdhParameters {
  readonly group: number
  readonly publicKey: Uint8Array
  /** The bytes that they take: what is signed. */
  readonly bytes: Uint8Array
}

const NAMED_CURVE = 3
const HEAD = 4

export const encodeEcdhParameters = (group: number, publicKey: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([NAMED_CURVE, group >>> 8, group & 0xff]), encodePoint(publicKey)])

/** Reads them from the beginning of `bytes`; undefined for lengths that do not fit, and for a group that was not offered. */
export function decodeEcdhParameters(bytes: Uint8Array): EcdhParameters | undefined {
  if (bytes.length < HEAD || bytes[0] !== NAMED_CURVE) return undefined
  const group = ((bytes[1] as number) << 8) | (bytes[2] as number)
  if (!NAMED_GROUPS.includes(group)) return undefined
  const end = HEAD + (bytes[3] as number)
  if (end === HEAD || end > bytes.length) return undefined
  return { group, publicKey: bytes.subarray(HEAD, end), bytes: bytes.subarray(0, end) }
}

/** `opaque point <1..2^8-1>`: also what a client answers. */
export const encodePoint = (publicKey: Uint8Array): Buffer => Buffer.concat([Buffer.from([publicKey.length]), publicKey])

/** Reads it where it takes all bytes. */
export const decodePoint = (bytes: Uint8Array): Uint8Array | undefined =>
  bytes.length >= 2 && bytes[0] === bytes.length - 1 ? bytes.subarray(1) : undefined
