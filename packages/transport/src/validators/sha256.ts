// SHA-256 (FIPS 180-4), synchronous and without any runtime's library, so that a tag is the same everywhere.

const fraction = (x: number): number => ((x - Math.floor(x)) * 2 ** 32) | 0

const primes = (count: number): number[] => {
  const found: number[] = []
  for (let number = 2; found.length < count; number++) if (found.every(prime => number % prime !== 0)) found.push(number)
  return found
}

// Section 4.2.2 and 5.3.3: fractional parts of the roots of the first primes.
const CONSTANTS = Int32Array.from(primes(64), prime => fraction(Math.cbrt(prime)))
const INITIAL = Int32Array.from(primes(8), prime => fraction(Math.sqrt(prime)))

const BLOCK = 64

/** The 32 bytes of the hash. */
export const sha256 = (content: Uint8Array): Uint8Array => {
  const state = INITIAL.slice()
  const words = new Int32Array(BLOCK)
  const whole = content.length - (content.length % BLOCK)
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
  for (let at = 0; at < whole; at += BLOCK) compress(state, words, view, at)
  const rest = content.subarray(whole)
  // Section 5.1.1: a one bit, zeros, and the length in bits.
  const last = new Uint8Array(rest.length < BLOCK - 8 ? BLOCK : 2 * BLOCK)
  last.set(rest)
  last[rest.length] = 0x80
  const end = new DataView(last.buffer)
  end.setUint32(last.length - 8, Math.floor(content.length / 2 ** 29))
  end.setUint32(last.length - 4, (content.length * 8) >>> 0)
  for (let at = 0; at < last.length; at += BLOCK) compress(state, words, end, at)
  const digest = new DataView(new ArrayBuffer(32))
  for (let word = 0; word < 8; word++) digest.setInt32(word * 4, state[word] as number)
  return new Uint8Array(digest.buffer)
}

const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by))

/** Section 6.2.2. */
const compress = (state: Int32Array, words: Int32Array, block: DataView, start: number): void => {
  for (let t = 0; t < 16; t++) words[t] = block.getInt32(start + t * 4)
  for (let t = 16; t < 64; t++) {
    const early = words[t - 15] as number
    const late = words[t - 2] as number
    const sigma0 = rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3)
    const sigma1 = rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10)
    words[t] = ((words[t - 16] as number) + sigma0 + (words[t - 7] as number) + sigma1) | 0
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
  for (let t = 0; t < 64; t++) {
    const first = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + (CONSTANTS[t] as number) + (words[t] as number)) | 0
    const second = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + first) | 0
    d = c
    c = b
    b = a
    a = (first + second) | 0
  }
  const added = [a, b, c, d, e, f, g, h]
  for (let word = 0; word < 8; word++) state[word] = ((state[word] as number) + (added[word] as number)) | 0
}
