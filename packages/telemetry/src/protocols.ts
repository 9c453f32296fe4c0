import { CAPABILITIES } from '@iopa/constants'
import { OTHER } from './semantic-conventions.ts'

/** Which semantic conventions describe a request. */
export interface Protocol {
  readonly family: 'http' | 'messaging' | 'rpc'
  /** `mqtt`, `coap`, ...; `iopa` for requests of the process itself. */
  readonly name: string
}

type CapabilitiesByUrn = Readonly<Record<string, Readonly<Record<string, unknown>>>>

const INTERNAL: Protocol = { family: 'rpc', name: 'iopa' }

/** The protocols of an app by the schemes that its transports name in their capabilities. */
export class Protocols {
  readonly #known = new Map<string, Protocol>()
  readonly #capabilities: () => CapabilitiesByUrn

  constructor(capabilities: () => CapabilitiesByUrn) {
    this.#capabilities = capabilities
  }

  of(scheme: string): Protocol {
    return this.#known.get(scheme) ?? this.#find(scheme)
  }

  #find(scheme: string): Protocol {
    for (const [urn, { schemes }] of Object.entries(this.#capabilities())) {
      if (!Array.isArray(schemes) || !schemes.includes(scheme)) continue
      const name = urn.slice(urn.lastIndexOf(':') + 1)
      const protocol: Protocol = { family: urn === CAPABILITIES.Http ? 'http' : urn === CAPABILITIES.Mqtt ? 'messaging' : 'rpc', name }
      this.#known.set(scheme, protocol)
      return protocol
    }
    return INTERNAL
  }
}

const METHODS: ReadonlySet<string> = new Set(
  'GET HEAD POST PUT DELETE PATCH OPTIONS TRACE CONNECT QUERY FETCH iPATCH SUBSCRIBE UNSUBSCRIBE DISCONNECT DATA'.split(' ')
)

/** The method where it is a known one: a peer may send any other, so those share one name. */
export const methodOf = (method: string): string => (METHODS.has(method) ? method : OTHER)
