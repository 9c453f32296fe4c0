import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

const TIME = 4
const TAG = 8

/** Makes and checks values of the Echo option without keeping any: a time and its authentication (RFC 9175 appendix A, item 2). */
export class EchoValues {
  readonly #key = randomBytes(32)
  readonly #lifetime: number

  /** `lifetime` in milliseconds: how old a value may come back. */
  constructor(lifetime: number) {
    this.#lifetime = lifetime
  }

  /** A value that only who receives at this address can send back. */
  issue(address: string, port: number, now: number): Uint8Array {
    const value = new Uint8Array(TIME + TAG)
    new DataView(value.buffer).setUint32(0, Math.floor(now / 1000))
    value.set(this.#tag(value, address, port), TIME)
    return value
  }

  verify(value: Uint8Array, address: string, port: number, now: number): boolean {
    if (value.length !== TIME + TAG) return false
    const age = now - new DataView(value.buffer, value.byteOffset, value.length).getUint32(0) * 1000
    return age > -2000 && age <= this.#lifetime && timingSafeEqual(value.subarray(TIME), this.#tag(value, address, port))
  }

  #tag(value: Uint8Array, address: string, port: number): Uint8Array {
    return createHmac('sha256', this.#key).update(value.subarray(0, TIME)).update(`${port} ${address}`).digest().subarray(0, TAG)
  }
}
