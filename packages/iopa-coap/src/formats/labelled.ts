import type { CborValue } from './cbor.ts'
import { encodeCbor } from './cbor-encoder.ts'

/** True for a content type whose content is CBOR. */
export const isCbor = (type: string): boolean => type.endsWith('cbor')

/** The CBOR of a plain value whose content type says so; undefined for any other value or type. */
export const encodeLabelled = (type: string, value: object): Uint8Array | undefined => {
  if (!isCbor(type)) return undefined
  const prototype: unknown = Object.getPrototypeOf(value)
  return Array.isArray(value) || prototype === Object.prototype || prototype === null ? encodeCbor(value as CborValue) : undefined
}
