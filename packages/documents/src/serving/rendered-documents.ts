import { type Context, IopaError, reply } from '@iopa/appbuilder'
import type { Clock, RouteInfo } from '@iopa/appbuilder/extension'
import { asyncapiDocument } from '../asyncapi/asyncapi.ts'
import type { Description } from '../model/description.ts'
import { OPENAPI_VERSIONS, type OpenApiVersion, openapiDocument } from '../openapi/openapi.ts'
import type { ServedPaths } from '../options.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { thingDocument } from '../thing/thing.ts'
import { TD_MEDIA_TYPE } from '../thing/vocabulary.ts'
import type { DescribedApp } from './described-app.ts'
import { inSlices, jsonSteps } from './slices.ts'

/** A document as it is sent. */
interface Rendering {
  readonly bytes: Uint8Array
  readonly etag: string
}

/** A rendering, and what it depends on. */
interface Kept {
  readonly kind: string
  readonly where: string
  readonly routes: readonly RouteInfo[]
  readonly rendering: Promise<Rendering>
  size: number
}

/** Renderings that are kept, and their bytes, beside the newest. */
const MOST_KEPT = 12
const MOST_BYTES = 32 * 1024 * 1024
/** Renderings that may wait. One is made at a time, for each takes memory, and a Host header is enough to ask for one more. */
const MOST_WAITING = MOST_KEPT

/** Renders the documents of an app once for each set of routes and addresses that is asked for. */
export class RenderedDocuments {
  readonly #app: DescribedApp
  readonly #paths: ServedPaths
  readonly #clock: Clock
  #kept: readonly Kept[] = []
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0

  constructor(app: DescribedApp, paths: ServedPaths, clock: Clock) {
    this.#app = app
    this.#paths = paths
    this.#clock = clock
  }

  /** Answers with the OpenAPI document. @throws IopaError 406 for a version that is not written. */
  openapi(context: Context): Promise<unknown> {
    const version = openapiVersion(context.query.get('version'))
    return this.#answer(context, `openapi ${version}`, 'application/json', description => openapiDocument(description, version))
  }

  asyncapi(context: Context): Promise<unknown> {
    return this.#answer(context, 'asyncapi', 'application/json', asyncapiDocument)
  }

  thing(context: Context): Promise<unknown> {
    return this.#answer(context, 'thing', TD_MEDIA_TYPE, description => thingDocument(description, this.#links(description.base)))
  }

  /** The other documents, as links of the Thing. */
  #links(base: string): readonly JsonSchema[] {
    const { openapi, asyncapi, page, things } = this.#paths
    const link = (path: string | undefined, rel: string, type: string): readonly JsonSchema[] =>
      path === undefined ? [] : [{ href: base + path, rel, type }]
    return [
      ...link(openapi, 'service-desc', 'application/json'),
      ...link(asyncapi, 'service-desc', 'application/json'),
      ...link(page, 'service-doc', 'text/html'),
      ...link(things, 'item', 'application/json')
    ]
  }

  async #answer(context: Context, kind: string, type: string, make: (description: Description) => Generator<void, JsonSchema>): Promise<unknown> {
    const description = this.#app.describe(context)
    const { bytes, etag } = await this.#rendering(kind, description, make)
    return reply(200, bytes, { 'content-type': type, etag, 'cache-control': this.#app.isProtected ? 'private, no-cache' : 'no-cache' })
  }

  #rendering(kind: string, description: Description, make: (description: Description) => Generator<void, JsonSchema>): Promise<Rendering> {
    const { routes, base, addresses, transports } = description
    const where = JSON.stringify([base, addresses, transports.map(({ schemes }) => schemes)])
    const known = this.#kept.find(kept => kept.kind === kind && kept.where === where && areSame(kept.routes, routes))
    if (known !== undefined) {
      this.#kept = [known, ...this.#kept.filter(kept => kept !== known)]
      return known.rendering
    }
    const kept: Kept = { kind, where, routes, rendering: this.#render(make(description)), size: 0 }
    this.#keep(kept)
    kept.rendering.then(
      ({ bytes }) => {
        kept.size = bytes.length
        this.#keep(kept)
      },
      () => (this.#kept = this.#kept.filter(other => other !== kept))
    )
    return kept.rendering
  }

  /** The newest first; the oldest go when there are too many or they are too large. */
  #keep(newest: Kept): void {
    let bytes = 0
    this.#kept = [newest, ...this.#kept.filter(kept => kept !== newest)].slice(0, MOST_KEPT).filter((kept, at) => {
      bytes += kept.size
      return at === 0 || bytes <= MOST_BYTES
    })
  }

  /** Renders when the renderings before have been made. @throws IopaError 503 where too many wait. */
  #render(steps: Generator<void, JsonSchema>): Promise<Rendering> {
    if (this.#waiting >= MOST_WAITING)
      throw new IopaError(503, 'overloaded', 'Too many documents are being made; try again.', { headers: { 'retry-after': '1' } })
    this.#waiting++
    const rendering = this.#last.then(() => {
      this.#waiting--
      return this.#made(steps)
    })
    this.#last = rendering.catch(() => undefined)
    return rendering
  }

  async #made(steps: Generator<void, JsonSchema>): Promise<Rendering> {
    const document = await inSlices(steps, this.#clock)
    const bytes = new TextEncoder().encode(await inSlices(jsonSteps(document), this.#clock))
    return { bytes, etag: await tagOf(bytes) }
  }
}

/** Eight characters, as CoAP carries a tag whole (RFC 7252 section 5.10.6). */
const tagOf = async (bytes: Uint8Array<ArrayBuffer>): Promise<string> => {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return `"${btoa(String.fromCharCode(...digest.subarray(0, 6)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')}"`
}

/** True for the same routes in the same order; their attributes do not change. */
const areSame = (one: readonly RouteInfo[], other: readonly RouteInfo[]): boolean =>
  one.length === other.length &&
  one.every((route, at) => {
    const { method, pattern, attributes } = other[at] as RouteInfo
    return route.attributes === attributes && route.method === method && route.pattern === pattern
  })

const openapiVersion = (asked: string | null): OpenApiVersion => {
  if (asked === null) return OPENAPI_VERSIONS[0]
  const version = OPENAPI_VERSIONS.find(known => asked === known || asked.startsWith(`${known}.`))
  if (version !== undefined) return version
  throw new IopaError(
    406,
    'unknown-document-version',
    `There is no OpenAPI document of version ${JSON.stringify(asked.slice(0, 20))}: ask for ${OPENAPI_VERSIONS.join(' or ')}.`,
    {
      extensions: { versions: OPENAPI_VERSIONS }
    }
  )
}
