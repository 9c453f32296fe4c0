import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { User } from '@iopa/transport'
import { ByteReader, vector } from '../bytes.ts'
import type { HandshakeMessage } from '../handshake/message.ts'
import { pskPremaster } from '../suites/key-schedule.ts'
import type { ClientExchange, ClientParameters, KeyExchange, ProvenIdentity, ServerExchange, ServerParameters } from './key-exchange.ts'
import { type PskKeys, readIdentity } from './psk-keys.ts'

/** An identity with its key, as a client uses it. */
export interface ClientKey {
  readonly identity: string
  readonly key: Uint8Array
}

const KEY_LENGTH = 16

/** Finds the key of an identity, once per handshake. Without one, a random key takes its place: the handshake then fails as with a wrong key. */
class PskIdentity {
  readonly #keys: PskKeys
  readonly #realm: string | undefined
  #claimed: string | undefined
  #identity: string | undefined
  #digest: string | undefined

  constructor(keys: PskKeys, realm: string | undefined) {
    this.#keys = keys
    this.#realm = realm
  }

  /** Who the client says it is, from before the look-up on. */
  get claimed(): ProvenIdentity {
    return { user: this.#claimed === undefined ? undefined : this.#userOf(this.#claimed) }
  }

  /** The user whom the handshake proves, if it succeeds. */
  get proven(): ProvenIdentity {
    const [identity, digest] = [this.#identity, this.#digest]
    if (identity === undefined) return { user: undefined }
    const user = this.#userOf(identity)
    return digest === undefined ? { user, proof: 'psk' } : new FoundIdentity(this.#keys, user, digest)
  }

  #userOf(id: string): User {
    return this.#realm === undefined ? { id, by: 'psk' } : { id, by: 'psk', realm: this.#realm }
  }

  /** The key of an identity that came over the network. */
  find(bytes: Uint8Array, signal: AbortSignal): Uint8Array | Promise<Uint8Array> {
    const identity = readIdentity(bytes)
    this.#claimed = identity
    const use = (key: Uint8Array | undefined): Uint8Array => {
      if (key === undefined) return randomBytes(KEY_LENGTH)
      this.#identity = identity
      if (this.#keys.mayChange) this.#digest = digestOf(key)
      return key
    }
    const key = identity === undefined ? undefined : this.#keys.find(identity, signal)
    return key instanceof Promise ? key.then(use) : use(key)
  }
}

/** Of this process alone: the digest of a weak key is of no use elsewhere. */
const DIGEST_KEY = randomBytes(32)
const digestOf = (key: Uint8Array): string => createHmac('sha256', DIGEST_KEY).update(key).digest('base64')

/** An identity whose key was looked up. Each session keeps one, so that the digest is text: bytes would take four times the memory. */
class FoundIdentity implements ProvenIdentity {
  readonly user: User
  readonly #keys: PskKeys
  readonly #digest: string

  constructor(keys: PskKeys, user: User, digest: string) {
    this.user = user
    this.#keys = keys
    this.#digest = digest
  }

  get proof(): 'psk' {
    return 'psk'
  }

  /** A session is resumed without the key: one that was removed or replaced must not live on in it. */
  async stillCounts(signal: AbortSignal): Promise<boolean> {
    const key = await this.#keys.find(this.user.id, signal)
    return key !== undefined && timingSafeEqual(Buffer.from(digestOf(key)), Buffer.from(this.#digest))
  }
}

/** What the servers of both exchanges with pre-shared keys have in common: who the client says it is, and its key. */
export abstract class PskServer implements ServerExchange {
  readonly requestsCertificate: boolean = false
  readonly hidesLookup: boolean = true
  readonly #signal: AbortSignal
  readonly #identity: PskIdentity

  constructor(keys: PskKeys, realm: string | undefined, signal: AbortSignal) {
    this.#signal = signal
    this.#identity = new PskIdentity(keys, realm)
  }

  abstract messages(): readonly HandshakeMessage[]
  /** Reads what follows the identity, and gives what makes the premaster secret of a key. */
  protected abstract premaster(reader: ByteReader): (key: Uint8Array) => Uint8Array

  clientKeyExchange(body: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const reader = new ByteReader(body)
    const identity = reader.vector(2)
    // Before the look-up, so that what is wrong is refused whether the identity is known or not.
    const premasterOf = this.premaster(reader)
    reader.end()
    const key = this.#identity.find(identity, this.#signal)
    return key instanceof Promise ? key.then(premasterOf) : premasterOf(key)
  }

  claimed(): ProvenIdentity {
    return this.#identity.claimed
  }

  identity(): ProvenIdentity {
    return this.#identity.proven
  }
}

class PlainPskServer extends PskServer {
  /** Without a hint there is no ServerKeyExchange (RFC 4279 section 2). */
  messages(): readonly never[] {
    return []
  }

  protected premaster(): (key: Uint8Array) => Uint8Array {
    return key => pskPremaster(key)
  }
}

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
    return { user: undefined, proof: 'psk' }
  }
}

/** Pre-shared keys alone (RFC 4279 section 2). */
export const pskKeyExchange = (keys: PskKeys | undefined, clientKey: ClientKey | undefined, realm: string | undefined): KeyExchange => ({
  name: 'psk',
  ...(keys !== undefined && { server: ({ signal }: ServerParameters): ServerExchange => new PlainPskServer(keys, realm, signal) }),
  ...(clientKey !== undefined && {
    client: (_: ClientParameters): ClientExchange => new PskClientExchange(clientKey),
    // It has the key that a server of ours must have.
    suitsServer: ({ user, proof }: ProvenIdentity): boolean => proof === 'psk' && user?.id === clientKey.identity
  })
})
