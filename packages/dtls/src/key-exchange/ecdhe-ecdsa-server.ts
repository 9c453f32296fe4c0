import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, numberBytes, vector } from '../bytes.ts'
import { certificateListBytes } from '../certificates/certificate-list.ts'
import { type CertificateType, certificateTypeChoice, chooseType, RAW_PUBLIC_KEY, X509 } from '../certificates/certificate-types.ts'
import type { Credentials, OwnCredential } from '../certificates/credentials.ts'
import { type PeerProof, peerProof } from '../certificates/peer-proof.ts'
import { rawPublicKeyBytes } from '../certificates/raw-public-key.ts'
import { EXTENSION, type Extensions } from '../handshake/extensions.ts'
import { type HandshakeMessage, MESSAGE } from '../handshake/message.ts'
import type { Transcript } from '../handshake/transcript.ts'
import { chooseGroup, numberList, POINT_FORMATS, readNumberList } from './ecc-extensions.ts'
import { ecdhParameterBytes } from './ecdh-parameters.ts'
import type { ProvenIdentity, ServerExchange, ServerParameters } from './key-exchange.ts'
import { type EphemeralKey, ephemeralKey, SECP256R1 } from './named-groups.ts'
import { checkSigned, ECDSA_SHA256, SIGNATURE_ALGORITHMS, signed } from './signatures.ts'

/** What the hello of a client leaves room for. */
interface Choice {
  readonly group: number
  readonly own: CertificateType
  /** The type of the client's certificate; undefined where none is requested. */
  readonly peer: CertificateType | undefined
}

/** `ecdsa_sign` of ClientCertificateType (RFC 8422 section 5.5). */
export const ECDSA_SIGN = 64

/** The server's part; undefined where curves, signatures or types of certificates have nothing in common. */
export const ecdsaServer = (parameters: ServerParameters, credentials: Credentials, now: () => number): ServerExchange | undefined => {
  const { own } = credentials
  if (own === undefined) return undefined
  const choice = choose(parameters.hello.extensions, credentials, own)
  return choice && new EcdsaServer(parameters, credentials, own, choice, now)
}

const choose = (extensions: Extensions, credentials: Credentials, { chain }: OwnCredential): Choice | undefined => {
  const group = chooseGroup(extensions)
  const algorithms = extensions.get(EXTENSION.SIGNATURE_ALGORITHMS)
  const groups = extensions.get(EXTENSION.SUPPORTED_GROUPS)
  // Without signature_algorithms a client takes SHA-1 (RFC 5246 section 7.4.1.4.1). The curve of the certificate must be among its groups, too.
  if (group === undefined || algorithms === undefined || !readNumberList(algorithms).includes(ECDSA_SHA256)) return undefined
  if (groups !== undefined && !readNumberList(groups).includes(SECP256R1)) return undefined
  const own = chooseType(extensions.get(EXTENSION.SERVER_CERTIFICATE_TYPE), type => type === RAW_PUBLIC_KEY || chain.length > 0)
  if (own === undefined) return undefined
  const { requestCert, rawPublicKeys } = credentials
  if (!requestCert && rawPublicKeys === undefined) return { group, own, peer: undefined }
  const accepts = (type: CertificateType): boolean => (type === X509 ? requestCert : rawPublicKeys !== undefined)
  const peer = chooseType(extensions.get(EXTENSION.CLIENT_CERTIFICATE_TYPE), accepts)
  return peer === undefined ? undefined : { group, own, peer }
}

class EcdsaServer implements ServerExchange {
  readonly extensions: Extensions
  readonly requestsCertificate: boolean
  readonly #parameters: ServerParameters
  readonly #credentials: Credentials
  readonly #own: OwnCredential
  readonly #choice: Choice
  readonly #now: () => number
  readonly #ephemeral: EphemeralKey
  #proof: PeerProof | undefined
  /** A certificate is public: it proves nothing before the signature. */
  #signed = false

  constructor(parameters: ServerParameters, credentials: Credentials, own: OwnCredential, choice: Choice, now: () => number) {
    this.#parameters = parameters
    this.#credentials = credentials
    this.#own = own
    this.#choice = choice
    this.#now = now
    this.requestsCertificate = choice.peer !== undefined
    this.#ephemeral = ephemeralKey(choice.group)
    this.extensions = answers(parameters.hello.extensions, choice)
  }

  messages(): readonly HandshakeMessage[] {
    const { hello, serverRandom } = this.#parameters
    const { key, chain, info } = this.#own
    const certificate = this.#choice.own === RAW_PUBLIC_KEY ? rawPublicKeyBytes(info) : certificateListBytes(chain)
    const ecdh = ecdhParameterBytes(this.#ephemeral)
    const signature = signed(Buffer.concat([hello.random, serverRandom, ecdh]), key)
    const messages: HandshakeMessage[] = [
      { type: MESSAGE.CERTIFICATE, body: certificate },
      { type: MESSAGE.SERVER_KEY_EXCHANGE, body: Buffer.concat([ecdh, signature]) }
    ]
    if (this.requestsCertificate) messages.push({ type: MESSAGE.CERTIFICATE_REQUEST, body: REQUEST })
    return messages
  }

  certificate(body: Uint8Array): boolean {
    const { authorities = [] } = this.#credentials
    this.#proof = peerProof(body, this.#choice.peer ?? X509, this.#credentials, { authorities, role: 'client' }, this.#now())
    if (this.#proof === undefined) throw new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'The client has no certificate, which is required here.')
    return true
  }

  clientKeyExchange(body: Uint8Array): Uint8Array {
    const reader = new ByteReader(body)
    const point = reader.vector(1, 1)
    reader.end()
    return this.#ephemeral.agree(point)
  }

  certificateVerify(body: Uint8Array, transcript: Transcript): void {
    if (this.#proof === undefined) throw new HandshakeFailure(ALERT.UNEXPECTED_MESSAGE, 'The client has signed without a certificate.')
    checkSigned(new ByteReader(body), transcript.bytes(), this.#proof.key)
    this.#signed = true
  }

  claimed(): ProvenIdentity | undefined {
    return this.#proof?.identity
  }

  identity(): ProvenIdentity {
    return this.#signed && this.#proof !== undefined ? this.#proof.identity : { user: undefined }
  }
}

const answers = (asked: Extensions, { own, peer }: Choice): Extensions => {
  const extensions = new Map<number, Uint8Array>()
  if (asked.has(EXTENSION.EC_POINT_FORMATS)) extensions.set(EXTENSION.EC_POINT_FORMATS, POINT_FORMATS)
  if (peer !== undefined && asked.has(EXTENSION.CLIENT_CERTIFICATE_TYPE))
    extensions.set(EXTENSION.CLIENT_CERTIFICATE_TYPE, certificateTypeChoice(peer))
  if (asked.has(EXTENSION.SERVER_CERTIFICATE_TYPE)) extensions.set(EXTENSION.SERVER_CERTIFICATE_TYPE, certificateTypeChoice(own))
  return extensions
}

/** A CertificateRequest that names no authorities: a client shows what it has (RFC 5246 section 7.4.4). */
const REQUEST = Buffer.concat([vector(1, numberBytes(ECDSA_SIGN, 1)), numberList(SIGNATURE_ALGORITHMS), vector(2)])
