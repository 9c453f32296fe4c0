import type { SecurityScheme } from '@iopa/appbuilder/extension'
import type { Description } from '../model/description.ts'
import { UniqueNames } from '../model/names.ts'
import { Omissions } from '../model/omissions.ts'
import { Components } from '../schemas/components.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'

/** What an AsyncAPI document keeps while it is made. */
export class AsyncApiState {
  readonly omissions: Omissions = new Omissions()
  readonly components: Components = new Components({ dialect: 'draft-07', prefix: '#/components/schemas/', omissions: this.omissions })
  readonly servers: Record<string, JsonSchema>
  readonly channels: Record<string, JsonSchema> = {}
  readonly operations: Record<string, JsonSchema> = {}
  readonly channelNames: UniqueNames = new UniqueNames()
  readonly operationNames: UniqueNames = new UniqueNames()
  /** Before the topics on which states are sent. */
  readonly statePrefix: string
  readonly #schemes = new Map<string, SecurityScheme>()
  readonly #isMqtt: boolean

  constructor({ addresses, statePrefix, base }: Description, isMqtt: boolean) {
    this.#isMqtt = isMqtt
    this.servers = serversOf(
      addresses.filter(({ protocol }) => protocol === (isMqtt ? 'mqtt' : 'http')).map(({ url }) => url),
      isMqtt,
      base
    )
    this.statePrefix = statePrefix === undefined ? '' : `${statePrefix}/`
  }

  /** One reference for each scheme: any of them will do. */
  security(schemes: readonly SecurityScheme[] | undefined): { readonly security?: readonly JsonSchema[] } {
    if (schemes === undefined || schemes.length === 0) return {}
    for (const scheme of schemes) this.#schemes.set(scheme.name, scheme)
    return { security: schemes.map(({ name }) => ({ $ref: `#/components/securitySchemes/${name}` })) }
  }

  /** The Components Object. */
  members(): JsonSchema {
    const securitySchemes = Object.fromEntries(Array.from(this.#schemes, ([name, scheme]) => [name, schemeObject(scheme, this.#isMqtt)]))
    return { schemas: this.components.schemas, ...(this.#schemes.size > 0 ? { securitySchemes } : undefined) }
  }
}

/** Server Objects by name; MQTT over WebSocket is one of the protocol `ws`. */
const serversOf = (urls: readonly string[], isMqtt: boolean, base: string): Record<string, JsonSchema> => {
  const names = new UniqueNames()
  return Object.fromEntries(
    urls.map(text => {
      const url = new URL(text)
      const protocol = url.protocol.slice(0, -1)
      const pathname = url.pathname.replace(/\/$/, '') + (isMqtt ? '' : base)
      const overWebSocket = isMqtt && protocol.startsWith('ws')
      return [
        names.take(protocol),
        {
          host: url.host,
          ...(pathname === '' ? undefined : { pathname }),
          protocol,
          ...(isMqtt && !overWebSocket ? { protocolVersion: '5.0' } : undefined),
          ...(overWebSocket ? { description: 'MQTT over WebSocket.' } : undefined)
        }
      ]
    })
  )
}

/** A Security Scheme Object; on MQTT a user name and password stand in CONNECT. */
const schemeObject = (scheme: SecurityScheme, isMqtt: boolean): JsonSchema => {
  switch (scheme.type) {
    case 'http':
      return isMqtt && scheme.scheme === 'basic'
        ? { type: 'userPassword' }
        : { type: 'http', scheme: scheme.scheme, ...(scheme.format === undefined ? undefined : { bearerFormat: scheme.format }) }
    case 'apiKey':
      return { type: 'httpApiKey', name: scheme.field, in: scheme.in }
    case 'openIdConnect':
      return { type: 'openIdConnect', openIdConnectUrl: scheme.url }
    case 'mutualTLS':
      return { type: 'X509' }
    case 'psk':
      return { type: 'symmetricEncryption' }
  }
}
