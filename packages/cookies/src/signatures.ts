import { createHmac, timingSafeEqual } from 'node:crypto'
import { optionError } from '@iopa/appbuilder/extension'

const FEWEST_BYTES = 32

/** Signs values with the first key, and accepts what any of the keys has signed (HMAC, SHA-256). */
export class Signatures {
  readonly #keys: readonly [Uint8Array, ...Uint8Array[]]

  /** @throws IopaError 500 for no key, or a short one. */
  constructor(keys: readonly (string | Uint8Array)[], caller: string) {
    const bytes = Array.isArray(keys) ? keys.map(key => (typeof key === 'string' ? new TextEncoder().encode(key) : key)) : []
    if (bytes.length === 0 || bytes.some(key => !(key instanceof Uint8Array) || key.length < FEWEST_BYTES))
      throw optionError(`'keys' of ${caller} is a list of secrets of ${FEWEST_BYTES} bytes or more, the newest first.`)
    this.#keys = bytes as [Uint8Array, ...Uint8Array[]]
  }

  sign(name: string, value: string): string {
    return `${value}.${tagOf(this.#keys[0], name, value)}`
  }

  /** The value, where a key has signed it for a cookie of this name; undefined otherwise. */
  verified(name: string, signed: string): string | undefined {
    const end = signed.lastIndexOf('.')
    if (end < 0) return undefined
    const value = signed.slice(0, end)
    const tag = Buffer.from(signed.slice(end + 1))
    let known = false
    for (const key of this.#keys) {
      const own = Buffer.from(tagOf(key, name, value))
      if (own.length === tag.length && timingSafeEqual(own, tag)) known = true
    }
    return known ? value : undefined
  }
}

/** The name is signed with the value, so that a value does not become that of another cookie. */
const tagOf = (key: Uint8Array, name: string, value: string): string => createHmac('sha256', key).update(`${name}=${value}`).digest('base64url')
