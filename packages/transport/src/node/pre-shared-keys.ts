import { IopaError } from '@iopa/constants'
import { optionError } from '../arguments/arguments.ts'
import type { TlsOptions } from '../contract/tls.ts'

/** Bytes of the longest key that OpenSSL takes. */
const LONGEST_KEY = 256

type Keys = ReadonlyMap<string, Uint8Array>

/** The keys of `tls.psk`. @throws IopaError 500 if the table is empty, or an entry is invalid. */
export const keysOf = ({ psk, minVersion }: TlsOptions): Keys => {
  if (typeof psk !== 'object' || psk === null || Object.keys(psk).length === 0)
    throw optionError("tls.psk is a table of keys by identity: write { psk: { gateway: Buffer.from('...') } }.")
  for (const [identity, key] of Object.entries(psk)) {
    if (identity === '') throw optionError('tls.psk has an empty identity; give it a name.')
    if (!(key instanceof Uint8Array) || key.length === 0 || key.length > LONGEST_KEY)
      throw optionError(`The key of '${identity}' in tls.psk must be 1 to ${LONGEST_KEY} bytes: write Buffer.from('...').`)
  }
  if (minVersion === 'TLSv1.3')
    throw new IopaError(500, 'psk-needs-tls-1.2', 'Pre-shared keys work only with TLS 1.2: leave minVersion out, or use certificates.')
  return new Map(Object.entries(psk))
}

/** The parts of a TLS socket that say which handshake it has had. */
interface Handshaken {
  getCipher?(): { readonly name?: string } | undefined
  getProtocol?(): string | null
  isSessionReused?(): boolean
}

/** True when the handshake used a suite of TLS 1.2 in which both sides prove that they know the key (RFC 4279, RFC 5489). */
export const usedKey = (socket: object): boolean => {
  const { getCipher, getProtocol, isSessionReused } = socket as Handshaken
  const name = getCipher?.call(socket)?.name ?? ''
  return /^(ECDHE-|DHE-)?PSK-/.test(name) && getProtocol?.call(socket) === 'TLSv1.2' && isSessionReused?.call(socket) === false
}

/** The keys of a listener, and which of them a handshake asked for. */
export class PreSharedKeys {
  #keys: Keys
  readonly #asked = new WeakMap<object, { readonly identity: string; readonly key: Uint8Array }>()

  constructor(keys: Keys) {
    this.#keys = keys
  }

  /** Takes other keys for the connections to come. */
  replace(keys: Keys): void {
    this.#keys = keys
  }

  /** The key of an identity that a peer names; null refuses the handshake. */
  readonly lookup = (socket: object, identity: string): Uint8Array | null => {
    const key = this.#keys.get(identity)
    if (key === undefined) return null
    this.#asked.set(socket, { identity, key })
    return key
  }

  /** The identity proved by a finished handshake: a named identity is not enough, the suite must have used the key, and the key must still be valid. */
  identityOf(socket: object): string | undefined {
    const asked = this.#asked.get(socket)
    return asked !== undefined && usedKey(socket) && this.#keys.get(asked.identity) === asked.key ? asked.identity : undefined
  }
}
