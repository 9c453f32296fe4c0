/** A value under a tag (RFC 8949 section 3.4); a class, so that no plain object is taken for one. */
export class CborTag {
  readonly tag: number
  readonly value: CborValue

  constructor(tag: number, value: CborValue) {
    this.tag = tag
    this.value = value
  }
}

/** What CBOR can say here: JSON's values, bytes, integers beyond 2^53 as bigint, maps with keys that are text or integers, and tags. */
export type CborValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | undefined
  | Uint8Array
  | readonly CborValue[]
  | ReadonlyMap<CborKey, CborValue>
  | CborTag
  | CborObject

/** A key of a map; others are valid CBOR and are refused here. */
export type CborKey = string | number

/** A plain object, which is written as a map with text keys; members that are undefined are left out. */
export interface CborObject {
  readonly [name: string]: CborValue
}

/**
 * The JSON value of a CBOR value (RFC 8949 section 6.1): integer keys become text, bytes base64url, tags their content, undefined null.
 * Objects have no prototype, so a key such as `__proto__` is only a key.
 */
export function toJson(value: CborValue): unknown {
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) return null
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return base64url(value)
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof CborTag) return toJson(value.value)
  const object: Record<string, unknown> = Object.create(null)
  for (const [name, member] of value instanceof Map ? value : Object.entries(value as CborObject)) object[name] = toJson(member)
  return object
}

const base64url = (bytes: Uint8Array): string =>
  btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '')
