import { IopaError } from '@iopa/constants'
import type { ByteAddress } from '../transport/byte-channel.ts'
import type { TlsOptions } from '../transport/tls.ts'

/** A connection that only waits, such as that of an observer, would never learn that its peer has lost power (RFC 1122 section 4.2.3.6). */
export const KEEP_ALIVE = { keepAlive: true, keepAliveInitialDelay: 60_000 } as const

const MIN_VERSION = 'TLSv1.2'

// Pre-shared keys with TLS 1.2 (RFC 4279, RFC 8442); Node has no callback for those of TLS 1.3.
const PSK_CIPHERS = 'ECDHE-PSK-AES128-GCM-SHA256:ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:PSK-AES128-CCM8:PSK-AES128-CBC-SHA256@SECLEVEL=0'

const pskOptions = (tls: TlsOptions): object =>
  tls.psk === undefined ? {} : { ciphers: `${PSK_CIPHERS}:HIGH`, maxVersion: tls.key === undefined ? MIN_VERSION : 'TLSv1.3' }

/** Options of tls.createServer. `identities` learns who used which pre-shared key. @throws IopaError 500 without a key. */
export const serverTls = (address: ByteAddress, identities: WeakMap<object, string>): object => {
  const tls = address.tls ?? {}
  if (tls.psk === undefined && (tls.key === undefined || tls.cert === undefined)) {
    throw new IopaError(500, 'tls-without-key', 'tls needs key and cert, or psk.')
  }
  const psk = tls.psk
  return {
    key: tls.key,
    cert: tls.cert,
    ca: tls.ca,
    minVersion: tls.minVersion ?? MIN_VERSION,
    requestCert: tls.requestCert === true,
    rejectUnauthorized: tls.requestCert === true,
    allowHalfOpen: true,
    noDelay: true,
    ...KEEP_ALIVE,
    handshakeTimeout: 10_000,
    ...(address.alpn === undefined ? {} : { ALPNProtocols: address.alpn }),
    ...pskOptions(tls),
    ...(psk === undefined
      ? {}
      : {
          pskCallback: (socket: object, identity: string): Uint8Array | null => {
            if (!Object.hasOwn(psk, identity)) return null
            identities.set(socket, identity)
            return psk[identity] as Uint8Array
          }
        })
  }
}

/** Options of tls.connect: the server is verified unless `verify` is false. */
export const clientTls = (address: ByteAddress): object => {
  const tls = address.tls ?? {}
  const psk = tls.psk === undefined ? undefined : Object.entries(tls.psk)[0]
  return {
    host: address.host,
    port: address.port,
    key: tls.key,
    cert: tls.cert,
    ca: tls.ca,
    minVersion: tls.minVersion ?? MIN_VERSION,
    rejectUnauthorized: tls.verify !== false,
    allowHalfOpen: true,
    // An IP address is no server name (RFC 6066 section 3).
    ...(tls.serverName !== undefined ? { servername: tls.serverName } : /^[\d.]+$|:/.test(address.host) ? {} : { servername: address.host }),
    ...(address.alpn === undefined ? {} : { ALPNProtocols: address.alpn }),
    ...pskOptions(tls),
    ...(psk === undefined ? {} : { pskCallback: () => ({ identity: psk[0], psk: psk[1] }), checkServerIdentity: () => undefined })
  }
}
