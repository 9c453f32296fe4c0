/**
 * SenML (RFC 8428): measurements and parameters of sensors as packs of records, in JSON and CBOR.
 *
 * @example
 * import { App } from '@iopa/appbuilder'
 * import { records, senml, type SenmlPack } from '@iopa/senml'
 *
 * const app = new App({ codecs: senml() })
 * app.use(async context => {
 *   for (const { n, v, t } of records((await context.json()) as SenmlPack, { now: Date.now() })) console.log(n, v, t)
 * })
 */

export type { SenmlOptions } from './codecs.ts'
export { senml } from './codecs.ts'
export { pack } from './compression.ts'
export type { PackRecord, SenmlPack } from './pack.ts'
export { parsePack } from './pack.ts'
export type { RecordsOptions, SenmlRecord } from './records.ts'
export { records } from './records.ts'
