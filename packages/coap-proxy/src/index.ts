/**
 * A proxy to servers that speak CoAP, for clients that speak CoAP or HTTP (RFC 7252 section 5.7, RFC 8075).
 *
 * @example
 * const app = new App()
 * app.use(coapProxy({ client: app, targets: ['coap://192.0.2.7'] })).use(coap()).use(http({ port: 8080 }))
 */

export { type CoapProxyExtension, coapProxy } from './coap-proxy.ts'
export type { CredentialsFor, TargetCredentials } from './credentials.ts'
export type { CacheBounds, CoapProxyOptions, UpstreamClient } from './options.ts'
