import type { App } from '@iopa/appbuilder'
import type { RouteInfo } from '@iopa/appbuilder/extension'
import { asyncapiDocument } from './asyncapi/asyncapi.ts'
import type { DescribedTransport } from './model/addresses.ts'
import type { Description } from './model/description.ts'
import { OPENAPI_VERSIONS, type OpenApiVersion, openapiDocument } from './openapi/openapi.ts'
import { type ApiOptions, checkApiOptions } from './options.ts'
import type { JsonSchema } from './schemas/json-schema.ts'
import { descriptionOf } from './serving/described-app.ts'
import { atOnce } from './serving/slices.ts'
import { thingDocument } from './thing/thing.ts'

/** An app, as far as documents ask for it. */
export interface DocumentedApp {
  readonly capabilities: App['capabilities']
  routes(): Iterable<RouteInfo>
  explain(): { readonly transports: readonly DescribedTransport[] }
}

/** The OpenAPI document of an app, to write it into a file; it need not listen. @throws IopaError 500 for options that do not exist. */
export const openapi = (app: DocumentedApp, options: ApiOptions, version: OpenApiVersion = OPENAPI_VERSIONS[0]): JsonSchema =>
  atOnce(openapiDocument(describe('openapi()', app, options, openapi), version))

/** The AsyncAPI 3.0 document of an app. @throws IopaError 500 for options that do not exist. */
export const asyncapi = (app: DocumentedApp, options: ApiOptions): JsonSchema =>
  atOnce(asyncapiDocument(describe('asyncapi()', app, options, asyncapi)))

/** The Thing Description of an app, which is one Thing. @throws IopaError 500 for options that do not exist. */
export const thing = (app: DocumentedApp, options: ApiOptions): JsonSchema => atOnce(thingDocument(describe('thing()', app, options, thing), []))

const describe = (name: string, app: DocumentedApp, options: ApiOptions, caller: unknown): Description => {
  checkApiOptions(name, options, caller)
  return descriptionOf(options, app.routes(), app.explain().transports, app.capabilities, 'localhost')
}
