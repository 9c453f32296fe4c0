/**
 * DTLS 1.2 (RFC 6347) for everything that travels in datagrams: pre-shared keys, certificates, raw public keys.
 *
 * @example
 * const app = new App().use(coap({ dtls: dtls({ psk: { 'sensor-1': key } }) }))
 */

export { dtls } from './dtls.ts'
export type { DtlsOptions, PskLookup } from './options.ts'
