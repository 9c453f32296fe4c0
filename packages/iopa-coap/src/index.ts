/**
 * CoAP for an IOPA app: server and client over UDP, DTLS, TCP and TLS.
 *
 * @example
 * const app = new App().use(router()).use(coap({ port: 5683 }))
 * app.get('/temperature', () => '21.5')
 * await app.listen()
 */

export type { CollectOptions, DiscoveredLink, DiscoverOptions } from './client/discovery.ts'
export { collect, discover } from './client/discovery.ts'
export type { RawOption } from './client/raw-options.ts'
export type { CoapListener } from './coap.ts'
export { coap } from './coap.ts'
export type { ExtensionOptions } from './codec/extensions.ts'
export type { Message } from './codec/message.ts'
export type { Options, OptionValue } from './codec/options.ts'
export type { CoreLink, LinkAttribute, LinkLimits, ParsedLink } from './formats/link-format.ts'
export { filterLinks, parseLinks, serializeLinks } from './formats/link-format.ts'
export { COAP_KEYS } from './keys.ts'
export type { TransmissionParameters } from './messages/parameters.ts'
export type { CoapOptions, MulticastOptions } from './options.ts'
