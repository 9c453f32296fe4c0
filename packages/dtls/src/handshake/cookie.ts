import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { DatagramEndpoint } from '@iopa/transport'

/** How long a key makes cookies, in milliseconds; cookies of the key before it still count. */
const KEY_LIFETIME = 60_000
const COOKIE_LENGTH = 32
/** Version and random. */
const BEFORE_SESSION_ID = 34

/** Where the cookie of a ClientHello is: the offset of its length, and its end. Undefined for a message that is too short. */
export const cookiePlace = (hello: Uint8Array): { readonly start: number; readonly end: number } | undefined => {
  const start = BEFORE_SESSION_ID + 1 + (hello[BEFORE_SESSION_ID] ?? 0)
  const end = start + 1 + (hello[start] ?? 0)
  return end > hello.length ? undefined : { start, end }
}

/**
 * Cookies that need no memory (RFC 6347 section 4.2.1): a code over address, port and every field of the ClientHello but the cookie. The first byte says
 * which key made it, so that one computation is enough.
 */
export class Cookies {
  #generation = 0
  #key: Buffer = randomBytes(COOKIE_LENGTH)
  #keyBefore: Buffer = randomBytes(COOKIE_LENGTH)
  #since: number

  constructor(now: number) {
    this.#since = now
  }

  /** The cookie for a ClientHello. */
  create(peer: DatagramEndpoint, hello: Uint8Array, now: number): Buffer {
    this.#rotate(now)
    return this.#cookie(this.#key, this.#generation, peer, hello)
  }

  /** True for a ClientHello whose cookie was made for it. */
  verify(peer: DatagramEndpoint, hello: Uint8Array, now: number): boolean {
    const place = cookiePlace(hello)
    if (place === undefined || place.end - place.start !== COOKIE_LENGTH + 1) return false
    this.#rotate(now)
    const given = hello.subarray(place.start + 1, place.end)
    const age = (this.#generation - given[0]!) & 0xff
    if (age > 1) return false
    return timingSafeEqual(this.#cookie(age === 0 ? this.#key : this.#keyBefore, given[0]!, peer, hello), given)
  }

  #cookie(key: Buffer, generation: number, { address, port }: DatagramEndpoint, hello: Uint8Array): Buffer {
    const { start, end } = cookiePlace(hello)!
    const cookie = createHmac('sha256', key)
      .update(`${generation} ${address} ${port} ${start}\n`)
      .update(hello.subarray(0, start))
      .update(hello.subarray(end))
      .digest()
    cookie[0] = generation
    return cookie
  }

  #rotate(now: number): void {
    const keys = Math.floor((now - this.#since) / KEY_LIFETIME)
    if (keys === 0) return
    this.#keyBefore = keys === 1 ? this.#key : randomBytes(COOKIE_LENGTH)
    this.#key = randomBytes(COOKIE_LENGTH)
    this.#generation = (this.#generation + keys) & 0xff
    this.#since += keys * KEY_LIFETIME
  }
}
