import { randomBytes } from 'node:crypto'
import { ByteReader, vector } from '../bytes.ts'
import { pskPremaster } from '../suites/key-schedule.ts'
import type { ClientExchange, ClientParameters, KeyExchange, ServerExchange, ServerParameters } from './key-exchange.ts'
import { type PskKeys, readIdentity } from './psk-keys.ts'

/** An identity with its key, as a client uses it. */
export interface ClientKey {
  readonly identity: string
  readonly key: Uint8Array
}

const KEY_LENGTH = 16

/** Finds the key of an identity, once per handshake. Without one, a random key takes its place: the handshake then fails as with a wrong key. */
export class PskIdentity {
  #identity: string | undefined

  /** The proven identity; undefined where no key was found. */
  get proven(): string | undefined {
    return this.#identity
  }

  /** The key of an identity that came over the network. */
  find(bytes: Uint8Array, keys: PskKeys, signal: AbortSignal): Uint8Array | Promise<Uint8Array> {
    const identity = readIdentity(bytes)
    const use = (key: Uint8Array | undefined): Uint8Array => {
      if (key !== undefined) this.#identity = identity
      return key ?? randomBytes(KEY_LENGTH)
    }
    const key = identity === undefined ? undefined : keys.find(identity, signal)
    return key instanceof Promise ? key.then(use) : use(key)
  }
}

class PskServerExchange implements ServerExchange {
  readonly requestsCertificate: boolean = false
  readonly #keys: PskKeys
  readonly #realm: string | undefined
  readonly #signal: AbortSignal
  readonly #identity = new PskIdentity()

  constructor(keys: PskKeys, realm: string | undefined, signal: AbortSignal) {
    this.#keys = keys
    this.#realm = realm
    this.#signal = signal
  }

  /** Without a hint there is no ServerKeyExchange (RFC 4279 section 2). */
  messages(): readonly never[] {
    return []
  }

  clientKeyExchange(body: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const reader = new ByteReader(body)
    const bytes = reader.vector(2)
    reader.end()
    const key = this.#identity.find(bytes, this.#keys, this.#signal)
    return key instanceof Promise ? key.then(found => pskPremaster(found)) : pskPremaster(key)
  }

  identity(): ReturnType<ServerExchange['identity']> {
    return { user: pskUser(this.#identity.proven, this.#realm) }
  }
}

/** The user of a proven identity. */
export const pskUser = (identity: string | undefined, realm: string | undefined): ReturnType<ServerExchange['identity']>['user'] =>
  identity === undefined ? undefined : { id: identity, by: 'psk', ...(realm !== undefined && { realm }) }

class PskClientExchange implements ClientExchange {
  readonly expectsCertificate: boolean = false
  readonly #key: ClientKey

  constructor(key: ClientKey) {
    this.#key = key
  }

  /** A hint for the identity is read and not followed: whom to be is not for an unproven server to say. */
  serverKeyExchange(body: Uint8Array): void {
    const reader = new ByteReader(body)
    reader.vector(2)
    reader.end()
  }

  answer(): ReturnType<ClientExchange['answer']> {
    return { clientKeyExchange: vector(2, Buffer.from(this.#key.identity)), premaster: pskPremaster(this.#key.key) }
  }

  /** A shared key proves that the server has it, and no name. */
  identity(): ReturnType<ClientExchange['identity']> {
    return { user: undefined }
  }
}

/** Pre-shared keys alone (RFC 4279 section 2). */
export const pskKeyExchange = (keys: PskKeys | undefined, clientKey: ClientKey | undefined, realm: string | undefined): KeyExchange => ({
  name: 'psk',
  ...(keys !== undefined && { server: ({ signal }: ServerParameters): ServerExchange => new PskServerExchange(keys, realm, signal) }),
  ...(clientKey !== undefined && { client: (_: ClientParameters): ClientExchange => new PskClientExchange(clientKey) })
})
