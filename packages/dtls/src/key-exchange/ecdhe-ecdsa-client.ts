import { isIP } from 'node:net'
import type { SecuredTarget } from '@iopa/transport'
import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, numberBytes, vector } from '../bytes.ts'
import { certificateListBytes } from '../certificates/certificate-list.ts'
import { type CertificateType, certificateTypeList, chosenType, RAW_PUBLIC_KEY, X509 } from '../certificates/certificate-types.ts'
import { type Credentials, defaultAuthorities } from '../certificates/credentials.ts'
import { type CertificatePolicy, type PeerProof, peerProof } from '../certificates/peer-proof.ts'
import { rawPublicKeyBytes } from '../certificates/raw-public-key.ts'
import { EXTENSION, type Extensions } from '../handshake/extensions.ts'
import type { Transcript } from '../handshake/transcript.ts'
import { eccExtensions, numberList, readNumberList } from './ecc-extensions.ts'
import { type EcdhParameters, ecdhParameterBytes, readEcdhParameters } from './ecdh-parameters.ts'
import { ECDSA_SIGN } from './ecdhe-ecdsa-server.ts'
import type { ClientAnswer, ClientExchange, ClientParameters, ProvenIdentity } from './key-exchange.ts'
import { ephemeralKey } from './named-groups.ts'
import { checkSigned, ECDSA_SHA256, SIGNATURE_ALGORITHMS, signed } from './signatures.ts'

/** The types of certificates that a client takes from a server. */
const takenTypes = ({ rawPublicKeys, authorities }: Credentials): readonly CertificateType[] => {
  if (rawPublicKeys === undefined) return [X509]
  return authorities === undefined ? [RAW_PUBLIC_KEY] : [RAW_PUBLIC_KEY, X509]
}

/** The types that it has itself: a certificate where there is one. */
const ownTypes = ({ own }: Credentials): readonly CertificateType[] => (own !== undefined && own.chain.length === 0 ? [RAW_PUBLIC_KEY] : [X509])

/** The name that the server's certificate must have. */
const nameOf = ({ serverName }: Credentials, { host }: SecuredTarget): string => serverName ?? host.replace(/^\[|\]$/g, '')

/** What a client says in its hello. */
export const ecdsaExtensions = (credentials: Credentials, target: SecuredTarget): Extensions => {
  const extensions = new Map<number, Uint8Array>(eccExtensions)
  extensions.set(EXTENSION.SIGNATURE_ALGORITHMS, numberList(SIGNATURE_ALGORITHMS))
  const name = nameOf(credentials, target)
  // An IP address is not a server name (RFC 6066 section 3).
  if (isIP(name) === 0) extensions.set(EXTENSION.SERVER_NAME, vector(2, numberBytes(0, 1), vector(2, Buffer.from(name, 'latin1'))))
  const own = ownTypes(credentials)
  const taken = takenTypes(credentials)
  // X.509 alone is what a server assumes.
  if (own.includes(RAW_PUBLIC_KEY)) extensions.set(EXTENSION.CLIENT_CERTIFICATE_TYPE, certificateTypeList(own))
  if (taken.includes(RAW_PUBLIC_KEY)) extensions.set(EXTENSION.SERVER_CERTIFICATE_TYPE, certificateTypeList(taken))
  return extensions
}

/** The client's part. */
export class EcdsaClient implements ClientExchange {
  readonly expectsCertificate = true
  readonly #parameters: ClientParameters
  readonly #credentials: Credentials
  readonly #now: () => number
  readonly #serverType: CertificateType
  readonly #ownType: CertificateType
  #proof: PeerProof | undefined
  /** Parameters whose signature was checked. */
  #ecdh: EcdhParameters | undefined
  #requested: 'no' | 'possible' | 'impossible' = 'no'

  /** @throws HandshakeFailure for a hello that chooses what was not offered. */
  constructor(parameters: ClientParameters, credentials: Credentials, now: () => number) {
    const { extensions } = parameters.hello
    this.#parameters = parameters
    this.#credentials = credentials
    this.#now = now
    this.#serverType = chosenType(extensions.get(EXTENSION.SERVER_CERTIFICATE_TYPE), takenTypes(credentials))
    const own = extensions.get(EXTENSION.CLIENT_CERTIFICATE_TYPE)
    // A server that requests no certificate says nothing, whatever was offered (RFC 7250 section 4.2).
    this.#ownType = own === undefined ? X509 : chosenType(own, ownTypes(credentials))
  }

  serverCertificate(body: Uint8Array): void {
    this.#proof = peerProof(body, this.#serverType, this.#credentials, this.#policy(), this.#now())
    if (this.#proof === undefined) throw new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'The server has no certificate.')
  }

  #policy(): CertificatePolicy {
    const { verify, authorities = defaultAuthorities() } = this.#credentials
    return verify ? { authorities, role: 'server', name: nameOf(this.#credentials, this.#parameters.target) } : undefined
  }

  serverKeyExchange(body: Uint8Array): void {
    const { hello, clientRandom } = this.#parameters
    const reader = new ByteReader(body)
    const ecdh = readEcdhParameters(reader)
    checkSigned(reader, Buffer.concat([clientRandom, hello.random, ecdhParameterBytes(ecdh)]), this.#server().key)
    this.#ecdh = ecdh
  }

  certificateRequest(body: Uint8Array): void {
    const reader = new ByteReader(body)
    const types = reader.vector(1, 1)
    const algorithms = readNumberList(vector(2, reader.vector(2, 2)))
    reader.vector(2)
    reader.end()
    const { own } = this.#credentials
    const serves = own !== undefined && (this.#ownType === RAW_PUBLIC_KEY || own.chain.length > 0)
    this.#requested = serves && types.includes(ECDSA_SIGN) && algorithms.includes(ECDSA_SHA256) ? 'possible' : 'impossible'
  }

  get lacksCertificate(): boolean {
    return this.#requested === 'impossible'
  }

  answer(): ClientAnswer {
    this.#server()
    if (this.#ecdh === undefined) throw new HandshakeFailure(ALERT.UNEXPECTED_MESSAGE, 'The server has sent no key exchange.')
    const ephemeral = ephemeralKey(this.#ecdh.group)
    const premaster = ephemeral.agree(this.#ecdh.publicKey)
    return { clientKeyExchange: vector(1, ephemeral.publicKey), premaster, ...this.#ownProof() }
  }

  #ownProof(): Pick<ClientAnswer, 'certificate' | 'certificateVerify'> {
    const { own } = this.#credentials
    if (this.#requested === 'no') return {}
    if (this.#requested === 'impossible' || own === undefined) return { certificate: certificateListBytes([]) }
    const certificate = this.#ownType === RAW_PUBLIC_KEY ? rawPublicKeyBytes(own.info) : certificateListBytes(own.chain)
    return { certificate, certificateVerify: (transcript: Transcript) => signed(transcript.bytes(), own.key) }
  }

  identity(): ProvenIdentity {
    return this.#server().identity
  }

  #server(): PeerProof {
    if (this.#proof === undefined) throw new HandshakeFailure(ALERT.UNEXPECTED_MESSAGE, 'The server has sent no certificate.')
    return this.#proof
  }
}
