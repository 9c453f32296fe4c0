import type { SecurityScheme } from '@iopa/appbuilder/extension'
import { UniqueNames } from '../model/names.ts'
import { Omissions } from '../model/omissions.ts'
import { Components } from '../schemas/components.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { ETAG, RESPONSES, SHARED_PARAMETERS, type SharedParameter, type SharedResponse } from './shared.ts'

/** What an OpenAPI document keeps while it is made. */
export class OpenApiState {
  readonly isLatest: boolean
  readonly omissions: Omissions = new Omissions()
  readonly components: Components = new Components({ dialect: 'draft-2020-12', prefix: '#/components/schemas/', omissions: this.omissions })
  readonly operationIds: UniqueNames = new UniqueNames()
  readonly #responses = new Set<SharedResponse>()
  readonly #parameters = new Set<SharedParameter>()
  readonly #schemes = new Map<string, SecurityScheme>()
  readonly #readable: ReadonlySet<string>

  /** `readable` are the shapes of the paths that GET reads. */
  constructor(isLatest: boolean, readable: ReadonlySet<string>) {
    this.isLatest = isLatest
    this.#readable = readable
  }

  /** True for a change of what GET reads: it takes preconditions. */
  isConditional(method: string, shape: string): boolean {
    return ['PUT', 'PATCH', 'DELETE', 'iPATCH'].includes(method) && this.#readable.has(shape)
  }

  parameter(name: SharedParameter): JsonSchema {
    this.#parameters.add(name)
    return { $ref: `#/components/parameters/${name}` }
  }

  response(name: SharedResponse): JsonSchema {
    this.#responses.add(name)
    return { $ref: `#/components/responses/${name}` }
  }

  /** One requirement for each scheme: any of them will do. Undefined where no scheme has a form in OpenAPI. */
  security(schemes: readonly SecurityScheme[], of: string): readonly JsonSchema[] | undefined {
    const requirements = schemes.flatMap(scheme => {
      if (scheme.type === 'psk') {
        this.omissions.add(of, `the security scheme '${scheme.name}': OpenAPI has no pre-shared keys`)
        return []
      }
      const known = this.#schemes.get(scheme.name)
      if (known !== undefined && JSON.stringify(known) !== JSON.stringify(scheme))
        this.omissions.add(of, `the security scheme '${scheme.name}': another one has its name`)
      else this.#schemes.set(scheme.name, scheme)
      return [{ [scheme.name]: [] }]
    })
    return requirements.length === 0 ? undefined : requirements
  }

  /** The Components Object. */
  members(): JsonSchema {
    const responses = Object.fromEntries(Array.from(this.#responses, name => [name, RESPONSES[name]]))
    const parameters = Object.fromEntries(Array.from(this.#parameters, name => [name, SHARED_PARAMETERS[name]]))
    const securitySchemes = Object.fromEntries(Array.from(this.#schemes, ([name, scheme]) => [name, schemeObject(scheme)]))
    return Object.fromEntries(
      Object.entries({ schemas: this.components.schemas, responses, parameters, headers: { ETag: ETAG }, securitySchemes }).filter(
        ([, member]) => Object.keys(member).length > 0
      )
    )
  }
}

/** A Security Scheme Object (OpenAPI section 4.8.27). */
const schemeObject = (scheme: SecurityScheme): JsonSchema => {
  switch (scheme.type) {
    case 'http':
      return { type: 'http', scheme: scheme.scheme, ...(scheme.format === undefined ? undefined : { bearerFormat: scheme.format }) }
    case 'apiKey':
      return { type: 'apiKey', in: scheme.in, name: scheme.field }
    case 'openIdConnect':
      return { type: 'openIdConnect', openIdConnectUrl: scheme.url }
    default:
      return { type: scheme.type }
  }
}
