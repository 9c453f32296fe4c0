import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, vector } from '../bytes.ts'
import { EXTENSION, type Extensions } from '../handshake/extensions.ts'
import { type HandshakeMessage, MESSAGE } from '../handshake/message.ts'
import { pskPremaster, wipe } from '../suites/key-schedule.ts'
import { chooseGroup, eccExtensions, POINT_FORMATS } from './ecc-extensions.ts'
import { type EcdhParameters, ecdhParameterBytes, readEcdhParameters } from './ecdh-parameters.ts'
import type { ClientAnswer, ClientExchange, KeyExchange, ProvenIdentity, ServerParameters } from './key-exchange.ts'
import { type EphemeralKey, ephemeralKey } from './named-groups.ts'
import { type ClientKey, PskServer } from './psk.ts'
import type { PskKeys } from './psk-keys.ts'

/** The premaster secret of RFC 5489 section 2; the shared secret is overwritten. */
const premasterOf = (key: Uint8Array, shared: Uint8Array): Buffer => {
  const premaster = pskPremaster(key, shared)
  wipe(shared)
  return premaster
}

class EcdhePskServer extends PskServer {
  readonly extensions: Extensions
  readonly #ephemeral: EphemeralKey

  constructor(keys: PskKeys, realm: string | undefined, { signal, hello }: ServerParameters, group: number) {
    super(keys, realm, signal)
    this.#ephemeral = ephemeralKey(group)
    this.extensions = new Map(hello.extensions.has(EXTENSION.EC_POINT_FORMATS) ? [[EXTENSION.EC_POINT_FORMATS, POINT_FORMATS]] : [])
  }

  /** A ServerKeyExchange with an empty hint. Nothing signs it: the key that both have protects the Finished messages. */
  messages(): readonly HandshakeMessage[] {
    return [{ type: MESSAGE.SERVER_KEY_EXCHANGE, body: Buffer.concat([vector(2), ecdhParameterBytes(this.#ephemeral)]) }]
  }

  protected premaster(reader: ByteReader): (key: Uint8Array) => Uint8Array {
    const point = reader.vector(1, 1)
    reader.end()
    const shared = this.#ephemeral.agree(point)
    return key => premasterOf(key, shared)
  }
}

class EcdhePskClient implements ClientExchange {
  readonly expectsCertificate: boolean = false
  readonly #key: ClientKey
  #ecdh: EcdhParameters | undefined

  constructor(key: ClientKey) {
    this.#key = key
  }

  /** The hint is read and not followed. */
  serverKeyExchange(body: Uint8Array): void {
    const reader = new ByteReader(body)
    reader.vector(2)
    this.#ecdh = readEcdhParameters(reader)
    reader.end()
  }

  answer(): ClientAnswer {
    if (this.#ecdh === undefined) throw new HandshakeFailure(ALERT.UNEXPECTED_MESSAGE, 'The server has sent no key exchange.')
    const ephemeral = ephemeralKey(this.#ecdh.group)
    const premaster = premasterOf(this.#key.key, ephemeral.agree(this.#ecdh.publicKey))
    return { clientKeyExchange: Buffer.concat([vector(2, Buffer.from(this.#key.identity)), vector(1, ephemeral.publicKey)]), premaster }
  }

  identity(): ProvenIdentity {
    return { user: undefined, proof: 'psk' }
  }
}

/** Pre-shared keys with ephemeral ones (RFC 5489): who learns the shared key later cannot read what was recorded. */
export const ecdhePsk = (keys: PskKeys | undefined, clientKey: ClientKey | undefined, realm: string | undefined): KeyExchange => ({
  name: 'ecdhe-psk',
  ...(keys !== undefined && {
    server: parameters => {
      const group = chooseGroup(parameters.hello.extensions)
      return group === undefined ? undefined : new EcdhePskServer(keys, realm, parameters, group)
    }
  }),
  ...(clientKey !== undefined && { client: () => new EcdhePskClient(clientKey), clientExtensions: () => eccExtensions })
})
