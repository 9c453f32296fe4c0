/**
 * OSCORE (RFC 8613): requests and responses of CoAP protected from end to end, through proxies.
 *
 * @example
 * const app = new App().use(coap({ protect: oscore({ contexts: [{ id: 'sensor-1', masterSecret, senderId, recipientId }] }) }))
 */

export type { OscoreAlgorithm } from './crypto/algorithms.ts'
export type { OscoreContextOptions, OscoreOptions } from './options.ts'
export { oscore } from './oscore.ts'
export type { NumberStore, OpenNumberStore } from './store/number-store.ts'
