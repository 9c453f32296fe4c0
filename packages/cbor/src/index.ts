/**
 * CBOR (RFC 8949) as a codec of an app: values are read and written in CBOR on every protocol, for those who ask for it.
 *
 * @example
 * import { App } from '@iopa/appbuilder'
 * import { cbor } from '@iopa/cbor'
 *
 * const app = new App({ codecs: [cbor()] })
 */

export type { CborOptions } from './cbor.ts'
export { cbor } from './cbor.ts'
