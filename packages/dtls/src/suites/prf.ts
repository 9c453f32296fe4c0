import { createHmac } from 'node:crypto'

const HASH_LENGTH = 32

/** The PRF of TLS 1.2 with SHA-256 (RFC 5246 section 5). The result has memory of its own, which V8 does not move. */
export const prf = (secret: Uint8Array, label: string, seed: Uint8Array, length: number): Buffer => {
  const result = Buffer.allocUnsafeSlow(length)
  const whole = Buffer.concat([Buffer.from(label, 'latin1'), seed])
  let a: Uint8Array = whole
  for (let at = 0; at < length; at += HASH_LENGTH) {
    a = createHmac('sha256', secret).update(a).digest()
    createHmac('sha256', secret).update(a).update(whole).digest().copy(result, at)
  }
  return result
}
