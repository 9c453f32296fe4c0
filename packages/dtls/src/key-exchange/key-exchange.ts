import type { DatagramEndpoint, SecuredTarget, User } from '@iopa/transport'
import type { Extensions } from '../handshake/extensions.ts'
import type { ClientHello, ServerHello } from '../handshake/hello.ts'
import type { HandshakeMessage } from '../handshake/message.ts'
import type { Transcript } from '../handshake/transcript.ts'
import type { CipherSuite } from '../suites/cipher-suites.ts'

/** How a suite agrees on its keys. */
export type KeyExchangeName = 'psk' | 'ecdhe-psk' | 'ecdhe-ecdsa'

type Awaitable<Value> = Value | Promise<Value>

/** Whom a handshake has proven. It counts once the peer's Finished was verified, and not before. */
export interface ProvenIdentity {
  readonly user: User | undefined
  /** How the peer has proven who it is; missing where it has not. */
  readonly proof?: 'psk' | 'certificate' | 'rpk'
  /** The certificate as Node shows certificates, made when it is asked for. */
  readonly clientCertificate?: () => unknown
  /** SHA-256 of that certificate. */
  readonly fingerprint?: string
  /** Milliseconds since 1970 until which the proof counts: the end of a certificate. */
  readonly until?: number
  /** Asked before a session is resumed: whether the proof would still be accepted. Missing where nothing can have changed. `signal` ends the question. */
  readonly stillCounts?: (signal: AbortSignal) => Awaitable<boolean>
}

/** What the hello messages of a handshake have settled, seen from the server. */
export interface ServerParameters {
  readonly suite: CipherSuite
  readonly hello: ClientHello
  readonly serverRandom: Uint8Array
  readonly peer: DatagramEndpoint
  /** Aborted when the handshake has ended: nothing that is looked up for it is wanted any more. */
  readonly signal: AbortSignal
}

/**
 * The server's part of one exchange. The machine decides which message may come when; the exchange reads and writes their bodies. While a promise of it is
 * pending, what arrives waits. Each method may throw a HandshakeFailure, which ends the handshake with its alert; any other error is `internal_error`.
 */
export interface ServerExchange {
  /** Further extensions of the ServerHello. */
  readonly extensions?: Extensions
  /** The client must send a Certificate next, which may be empty. */
  readonly requestsCertificate: boolean
  /** Certificate, ServerKeyExchange and CertificateRequest, as far as the exchange has them, in this order. */
  messages(): Awaitable<readonly HandshakeMessage[]>
  /** The client's Certificate. True where it contains one: CertificateVerify must then come. */
  certificate?(body: Uint8Array): Awaitable<boolean>
  /**
   * The client's key exchange: the premaster secret, which the caller overwrites. An identity without a key gives a random secret instead of a failure, so
   * that the client learns nothing (RFC 4279 section 2).
   */
  clientKeyExchange(body: Uint8Array): Awaitable<Uint8Array>
  /** Checks the signature over the messages so far. */
  certificateVerify?(body: Uint8Array, transcript: Transcript): Awaitable<void>
  /** True where what is wrong with the client's key exchange must not show how a look-up went. */
  readonly hidesLookup?: boolean
  /** Who the client says it is before it has proven that: a revocation meanwhile must not miss it. */
  claimed?(): ProvenIdentity | undefined
  identity(): ProvenIdentity
}

/** What the hello messages of a handshake have settled, seen from the client. */
export interface ClientParameters {
  readonly suite: CipherSuite
  readonly hello: ServerHello
  readonly clientRandom: Uint8Array
  readonly target: SecuredTarget
  readonly signal: AbortSignal
}

/** The client's last flight before its ChangeCipherSpec. */
export interface ClientAnswer {
  /** The client's Certificate, where the server has requested one. */
  readonly certificate?: Uint8Array
  readonly clientKeyExchange: Uint8Array
  /** The premaster secret, which the caller overwrites. */
  readonly premaster: Uint8Array
  /** Signs the messages so far: the body of a CertificateVerify. */
  readonly certificateVerify?: (transcript: Transcript) => Awaitable<Uint8Array>
}

/** The client's part of one exchange. Failures are as in a `ServerExchange`. */
export interface ClientExchange {
  /** The server must send its Certificate before anything else. */
  readonly expectsCertificate: boolean
  /** True where the server has asked for a certificate and there is none that it takes: it refuses the handshake then. */
  readonly lacksCertificate?: boolean
  serverCertificate?(body: Uint8Array): Awaitable<void>
  serverKeyExchange(body: Uint8Array): Awaitable<void>
  /** Without it, a request for a certificate is refused. */
  certificateRequest?(body: Uint8Array): Awaitable<void>
  /** After ServerHelloDone. Refuses where a message of the server is missing. */
  answer(): Awaitable<ClientAnswer>
  identity(): ProvenIdentity
}

/** A way to agree on keys, made once from the options of `dtls()`. */
export interface KeyExchange {
  readonly name: KeyExchangeName
  /** Undefined where the ClientHello leaves no room for it, such as without a common curve: another suite is tried. Missing where the options serve no server. */
  server?(parameters: ServerParameters): ServerExchange | undefined
  /** Missing where the options serve no client. */
  client?(parameters: ClientParameters): ClientExchange
  /**
   * True where a client that has proven this is one that our client would have taken for the server. Where both sides begin at the same moment, one session
   * serves both. Missing where a server proves something else, as its name.
   */
  suitsServer?(identity: ProvenIdentity): boolean
  /** Further extensions of the ClientHello; several exchanges may add the same one with the same bytes. */
  clientExtensions?(target: SecuredTarget): Extensions
}
