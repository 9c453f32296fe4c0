/**
 * A proxy to servers that speak CoAP, for clients that speak CoAP or HTTP (RFC 7252 section 5.7, RFC 8075).
 *
 * @example
 * const app = new App().use(coapProxy({ targets: ['coap://192.0.2.7'] })).use(coap()).use(http({ port: 8080 }))
 */

export type { CoapProxyOptions } from './options.ts'
