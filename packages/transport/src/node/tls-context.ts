import { IopaError } from '@iopa/constants'
import { optionError } from '../arguments/arguments.ts'
import type { ByteAddress } from '../channels/byte-channel.ts'
import type { TlsOptions } from '../contract/tls.ts'
import { keysOf, type PreSharedKeys } from './pre-shared-keys.ts'
import { isCertificate } from './socket-channel.ts'
import { type IdentityCheck, KEEP_ALIVE } from './socket-modules.ts'

const MIN_VERSION = 'TLSv1.2'

// Pre-shared keys with TLS 1.2 (RFC 4279, RFC 8442). In TLS 1.3 a peer may name an identity and then finish the handshake with a certificate.
const PSK_CIPHERS = 'ECDHE-PSK-AES128-GCM-SHA256:ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:PSK-AES128-CCM8:PSK-AES128-CBC-SHA256'
/** The suite with a short tag that RFC 7252 section 9.1.3.1 asks for is below the first level; certificates, which the level would protect, are not used with it. */
const PSK_ALONE = `${PSK_CIPHERS}@SECLEVEL=0`
const PSK_OR_CERTIFICATE = `${PSK_CIPHERS}:HIGH:!aNULL:!eNULL:!kRSAPSK:!SRP`

// SSL_OP_NO_TICKET and SSL_OP_NO_RENEGOTIATION of OpenSSL.
const NO_TICKET = 0x4000
const NO_RENEGOTIATION = 0x40000000

/** Options of tls.createServer; with `keys` the listener takes PSK suites alone. @throws IopaError 500 without a key, or for options that contradict each other. */
export const serverTls = (address: ByteAddress, keys: PreSharedKeys | undefined, names?: ServerNames): object => {
  const tls = address.tls ?? {}
  checkServer(tls)
  const common = {
    minVersion: tls.minVersion ?? MIN_VERSION,
    allowHalfOpen: true,
    noDelay: true,
    ...KEEP_ALIVE,
    handshakeTimeout: 10_000,
    ...(address.alpn === undefined ? {} : { ALPNProtocols: address.alpn })
  }
  if (keys !== undefined) {
    // A resumed session asks for no key, so none is resumed: a key that was removed must not connect.
    return { ...common, maxVersion: MIN_VERSION, ciphers: PSK_ALONE, secureOptions: NO_TICKET | NO_RENEGOTIATION, pskCallback: keys.lookup }
  }
  const { key, cert, ca, requestCert = false } = tls
  return { ...common, key, cert, ca, requestCert, rejectUnauthorized: requestCert, ...(names !== undefined && { SNICallback: names.lookup }) }
}

const SERVER_NAME = /^(?:\*\.)?[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]*[a-z\d])?)*$/

/** The certificates of a listener by name. They can be replaced while it listens. */
export class ServerNames {
  readonly #create: (options: object) => unknown
  #contexts: ReadonlyMap<string, unknown>

  constructor(tls: TlsOptions, create: (options: object) => unknown) {
    this.#create = create
    this.#contexts = this.#made(tls)
  }

  /** @throws what `constructor` throws; the certificates stay then. */
  replace(tls: TlsOptions): void {
    this.#contexts = this.#made(tls)
  }

  /** For `SNICallback`: without a context that of the listener is used. */
  readonly lookup = (asked: string, found: (error: null, context?: unknown) => void): void => {
    const name = asked.toLowerCase()
    // A wildcard stands for one label (RFC 9525 section 6.3).
    found(null, this.#contexts.get(name) ?? this.#contexts.get(name.replace(/^[^.]+/, '*')))
  }

  #made({ sni = {}, ca, minVersion = MIN_VERSION }: TlsOptions): Map<string, unknown> {
    const contexts = new Map<string, unknown>()
    for (const [name, { key, cert }] of Object.entries(sni)) {
      if (!SERVER_NAME.test(name.toLowerCase()))
        throw optionError(`'${name}' in tls.sni is no name of a server; write 'example.com' or '*.example.com'.`)
      if (key === undefined || cert === undefined) throw optionError(`tls.sni['${name}'] needs key and cert.`)
      // Certificates of clients are checked by the context that is used.
      contexts.set(name.toLowerCase(), this.#create({ key, cert, ca, minVersion }))
    }
    return contexts
  }
}

const checkServer = (tls: TlsOptions): void => {
  if (tls.psk !== undefined) {
    keysOf(tls)
    if (tls.sni !== undefined) throw optionError('tls.sni has no use with psk, which uses no certificates.')
    if (tls.requestCert === true)
      throw new IopaError(500, 'psk-without-certificates', 'A listener with psk cannot request certificates: use requestCert on a second listener.')
  } else if (tls.key === undefined || tls.cert === undefined) {
    throw new IopaError(500, 'tls-without-key', 'tls needs key and cert, or psk: add them to the options.')
  } else if (tls.requestCert === true && tls.ca === undefined) {
    // Without it every certificate of a public authority would do.
    throw new IopaError(500, 'tls-without-ca', 'requestCert needs ca: pass the authorities of the client certificates.')
  }
}

/** Completes the new options of a listener. @throws IopaError 500 if they change how clients authenticate, which needs a new listener. */
export const reloadedTls = (before: TlsOptions, next: TlsOptions): TlsOptions => {
  const { requestCert = before.requestCert === true, ca = before.ca, sni = before.sni } = next
  if ((before.psk === undefined) !== (next.psk === undefined) || requestCert !== (before.requestCert === true))
    throw new IopaError(500, 'tls-reload', 'reload() replaces keys and certificates, but cannot change psk or requestCert: listen again.')
  return { ...next, requestCert, ...(ca === undefined ? {} : { ca }), ...(sni === undefined ? {} : { sni }) }
}

/** Options of tls.connect: the server is verified unless `verify` is false. @throws IopaError 500 for keys that cannot be used. */
export const clientTls = (address: ByteAddress, { checkServerIdentity }: IdentityCheck): object => {
  const tls = address.tls ?? {}
  return {
    host: address.host,
    port: address.port,
    ...(address.over === undefined ? {} : { socket: address.over.raw }),
    key: tls.key,
    cert: tls.cert,
    ca: tls.ca,
    minVersion: tls.minVersion ?? MIN_VERSION,
    rejectUnauthorized: tls.verify !== false,
    allowHalfOpen: true,
    // An IP address is not a server name (RFC 6066 section 3).
    ...(tls.serverName !== undefined ? { servername: tls.serverName } : /^[\d.]+$|:/.test(address.host) ? {} : { servername: address.host }),
    ...(address.alpn === undefined ? {} : { ALPNProtocols: address.alpn }),
    ...(tls.psk === undefined ? {} : pskClient(tls, checkServerIdentity))
  }
}

const pskClient = (tls: TlsOptions, checkServerIdentity: IdentityCheck['checkServerIdentity']): object => {
  const [[identity, psk] = ['', new Uint8Array(0)]] = keysOf(tls)
  return {
    // A server without the key must not pass with any certificate: a certificate is accepted only with `ca` or a client certificate.
    ciphers: keyAlone(tls) ? PSK_ALONE : PSK_OR_CERTIFICATE,
    maxVersion: MIN_VERSION,
    pskCallback: () => ({ identity, psk }),
    // With a PSK suite there is no certificate whose name could be checked.
    checkServerIdentity: (host: string, certificate: object | undefined) =>
      isCertificate(certificate) ? checkServerIdentity(host, certificate as never) : undefined
  }
}

/** True when a client has a pre-shared key and nothing for certificates. */
const keyAlone = ({ psk, ca, key, cert }: TlsOptions): boolean => psk !== undefined && ca === undefined && key === undefined && cert === undefined
