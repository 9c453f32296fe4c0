import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { argumentError, checkOptions } from '@iopa/appbuilder/extension'

/** Options of `hashPassword()` and `verifyPassword()`. */
export interface PasswordOptions {
  /** N of scrypt, a power of two from 1,024 to 1,048,576; memory and time grow with it. 16,384 unless given, as OWASP advises with r 8 and p 5. */
  readonly cost?: number
}

const OPTIONS: Record<keyof PasswordOptions, true> = { cost: true }
const COST = 16_384
const SALT_BYTES = 16
const HASH_BYTES = 32

// The form of PHC strings: $scrypt$ln=14,r=8,p=5$salt$hash
const STORED = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/

interface Parameters {
  /** N is two to this power. */
  readonly ln: number
  readonly r: number
  readonly p: number
}

const parametersOf = (caller: (...given: never[]) => unknown, options: PasswordOptions): Parameters => {
  checkOptions(`${caller.name}()`, options, OPTIONS, caller)
  const ln = Math.log2(options.cost ?? COST)
  if (!(Number.isInteger(ln) && ln >= 10 && ln <= 20))
    throw argumentError(caller, 'bad-option', `The option cost of ${caller.name}() must be a power of two from 1,024 to 1,048,576.`)
  return { ln, r: 8, p: 5 }
}

const derive = (password: string, salt: Buffer, bytes: number, { ln, r, p }: Parameters): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const N = 2 ** ln
    // RFC 7914 section 6: 128 * N * r bytes for the table and 128 * r * p for the blocks.
    const maxmem = 128 * r * (N + p + 2)
    // Two systems may write one password in different code points (RFC 8265 section 4.2.2).
    scrypt(password.normalize('NFC'), salt, bytes, { N, r, p, maxmem }, (error, hash) => (error === null ? resolve(hash) : reject(error)))
  })

const unpadded = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '')

/**
 * What to store of a password: a scrypt hash with its salt and its cost, as one text. It takes a quarter of a second of a processor, on a thread
 * of Node's pool, and 16 MiB.
 */
export const hashPassword = async (password: string, options: PasswordOptions = {}): Promise<string> => {
  const parameters = parametersOf(hashPassword, options)
  const salt = randomBytes(SALT_BYTES)
  const hash = await derive(password, salt, HASH_BYTES, parameters)
  return `$scrypt$ln=${parameters.ln},r=${parameters.r},p=${parameters.p}$${unpadded(salt)}$${unpadded(hash)}`
}

/**
 * True where `stored`, of `hashPassword`, was made of this password. Without one, as for a name that does not exist, it takes as long and is false,
 * so that the time does not show which names exist: give the options of the stored hashes.
 * @throws TypeError for a text that is no hash of `hashPassword`
 */
export const verifyPassword = async (password: string, stored: string | undefined, options: PasswordOptions = {}): Promise<boolean> => {
  const parameters = parametersOf(verifyPassword, options)
  if (stored === undefined) {
    await derive(password, randomBytes(SALT_BYTES), HASH_BYTES, parameters)
    return false
  }
  const [, ln, r, p, salt, hash] = STORED.exec(stored) ?? []
  if (salt === undefined || hash === undefined)
    throw new TypeError('verifyPassword() compares with a text that hashPassword() has made; this one has another form.')
  const expected = Buffer.from(hash, 'base64')
  const given = await derive(password, Buffer.from(salt, 'base64'), expected.length, { ln: Number(ln), r: Number(r), p: Number(p) })
  return timingSafeEqual(given, expected)
}
