import { ALERT, HandshakeFailure } from '../alerts.ts'
import { ByteReader, numberBytes, vector } from '../bytes.ts'
import { type Extensions, extensionBytes, readExtensions } from './extensions.ts'

/** DTLS 1.2 on the wire. */
export const DTLS_1_2 = 0xfefd
/** DTLS 1.0: the version of a HelloVerifyRequest, and of the record of a first ClientHello. */
export const DTLS_1_0 = 0xfeff
export const RANDOM_LENGTH = 32

/** A ClientHello (RFC 6347 section 4.3.2). */
export interface ClientHello {
  readonly version: number
  readonly random: Uint8Array
  readonly sessionId: Uint8Array
  readonly cookie: Uint8Array
  readonly suites: readonly number[]
  readonly compressions: Uint8Array
  readonly extensions: Extensions
}

/** A ServerHello (RFC 5246 section 7.4.1.3). */
export interface ServerHello {
  readonly version: number
  readonly random: Uint8Array
  readonly sessionId: Uint8Array
  readonly suite: number
  readonly extensions: Extensions
}

/** @throws HandshakeFailure for a message that is malformed. */
export const readClientHello = (body: Uint8Array): ClientHello => {
  const reader = new ByteReader(body)
  const version = reader.number(2)
  const random = reader.take(RANDOM_LENGTH)
  const sessionId = reader.vector(1, 0, 32)
  const cookie = reader.vector(1)
  const list = reader.vector(2, 2)
  if (list.length % 2 === 1) throw new HandshakeFailure(ALERT.DECODE_ERROR, 'The list of suites has an odd length.')
  const suites = Array.from({ length: list.length / 2 }, (_, index) => (list[2 * index]! << 8) | list[2 * index + 1]!)
  const compressions = reader.vector(1, 1)
  return { version, random, sessionId, cookie, suites, compressions, extensions: readExtensions(reader) }
}

export const clientHelloBytes = ({ version, random, sessionId, cookie, suites, compressions, extensions }: ClientHello): Buffer =>
  Buffer.concat([
    numberBytes(version, 2),
    random,
    vector(1, sessionId),
    vector(1, cookie),
    vector(2, ...suites.map(suite => numberBytes(suite, 2))),
    vector(1, compressions),
    extensionBytes(extensions)
  ])

/** @throws HandshakeFailure for a message that is malformed, or that chooses a compression. */
export const readServerHello = (body: Uint8Array): ServerHello => {
  const reader = new ByteReader(body)
  const version = reader.number(2)
  const random = reader.take(RANDOM_LENGTH)
  const sessionId = reader.vector(1, 0, 32)
  const suite = reader.number(2)
  if (reader.number(1) !== 0) throw new HandshakeFailure(ALERT.ILLEGAL_PARAMETER, 'The server has chosen a compression that was not offered.')
  return { version, random, sessionId, suite, extensions: readExtensions(reader) }
}

export const serverHelloBytes = ({ version, random, sessionId, suite, extensions }: ServerHello): Buffer =>
  Buffer.concat([numberBytes(version, 2), random, vector(1, sessionId), numberBytes(suite, 2), numberBytes(0, 1), extensionBytes(extensions)])

/** The cookie of a HelloVerifyRequest. @throws HandshakeFailure */
export const readHelloVerifyRequest = (body: Uint8Array): Uint8Array => {
  const reader = new ByteReader(body)
  // Its version says nothing about the version of the connection (RFC 6347 section 4.2.1).
  reader.take(2)
  const cookie = reader.vector(1)
  reader.end()
  return cookie
}

export const helloVerifyRequestBytes = (cookie: Uint8Array): Buffer => Buffer.concat([numberBytes(DTLS_1_0, 2), vector(1, cookie)])
