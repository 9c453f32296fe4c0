import type { KeyExchangeName } from '../key-exchange/key-exchange.ts'
import { AES_128_CCM, AES_128_CCM_8, AES_128_GCM, type Aead, CHACHA20_POLY1305 } from './aead.ts'

/** A cipher suite: how the keys are agreed on, and what protects the records. All of them hash with SHA-256. */
export interface CipherSuite {
  readonly id: number
  readonly name: string
  readonly exchange: KeyExchangeName
  readonly cipher: Aead
}

/**
 * The suites in the order of preference (RFC 5487, RFC 5489, RFC 6655, RFC 7251, RFC 7905, RFC 8422; the two _CCM_8 are mandatory in RFC 7252 9.1.3). Keys
 * that both sides have come first: they prove the client too.
 */
export const CIPHER_SUITES: readonly CipherSuite[] = [
  { id: 0xccac, name: 'TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256', exchange: 'ecdhe-psk', cipher: CHACHA20_POLY1305 },
  { id: 0x00a8, name: 'TLS_PSK_WITH_AES_128_GCM_SHA256', exchange: 'psk', cipher: AES_128_GCM },
  { id: 0xc0a4, name: 'TLS_PSK_WITH_AES_128_CCM', exchange: 'psk', cipher: AES_128_CCM },
  { id: 0xc0a8, name: 'TLS_PSK_WITH_AES_128_CCM_8', exchange: 'psk', cipher: AES_128_CCM_8 },
  { id: 0xc02b, name: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', exchange: 'ecdhe-ecdsa', cipher: AES_128_GCM },
  { id: 0xc0ac, name: 'TLS_ECDHE_ECDSA_WITH_AES_128_CCM', exchange: 'ecdhe-ecdsa', cipher: AES_128_CCM },
  { id: 0xc0ae, name: 'TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8', exchange: 'ecdhe-ecdsa', cipher: AES_128_CCM_8 }
]
