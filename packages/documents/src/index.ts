/**
 * The documents of an app, from its routes and resources: OpenAPI, AsyncAPI, W3C Thing Description, and a page to read and try.
 *
 * @example
 * const app = new App().use(router()).use(documents({ title: 'Home', version: '1.0.0' })).use(http({ port: 8080 }))
 * await app.listen() // GET /openapi.json /asyncapi.json /.well-known/wot /things /docs
 */

export type { DocumentedApp } from './build-time.ts'
export { asyncapi, openapi, thing } from './build-time.ts'
export { documents } from './documents.ts'
export type { ApiInfo } from './model/description.ts'
export type { OpenApiVersion } from './openapi/openapi.ts'
export type { ApiOptions, DocumentPaths, DocumentsOptions } from './options.ts'
export type { JsonSchema } from './schemas/json-schema.ts'
export type { DocumentLinks, Viewer, ViewerFile } from './viewer.ts'
