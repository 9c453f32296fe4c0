import type { SecurityScheme } from '@iopa/appbuilder/extension'
import type { JsonSchema } from '../schemas/json-schema.ts'

const NO_SECURITY = 'nosec_sc'
const AUTOMATIC = 'auto_sc'

/** The security definitions of one Thing Description, and what forms say of them. */
export class ThingSecurity {
  readonly definitions: Record<string, JsonSchema> = { [NO_SECURITY]: { scheme: 'nosec' } }
  /** Of what says nothing else. */
  readonly initial: readonly string[] = [NO_SECURITY]

  /** The member of a form: one scheme, or of several any; nothing for what is public. */
  member(schemes: readonly SecurityScheme[] | undefined): { readonly security?: readonly string[] } {
    if (schemes === undefined) return {}
    if (schemes.length === 0) return { security: [this.#define(AUTOMATIC, { scheme: 'auto' })] }
    const names = schemes.map(scheme => this.#define(scheme.name, definitionOf(scheme)))
    return { security: [names.length === 1 ? (names[0] as string) : this.#define(names.join('_or_'), { scheme: 'combo', oneOf: names })] }
  }

  #define(name: string, definition: JsonSchema): string {
    this.definitions[name] ??= definition
    return name
  }
}

/** A SecurityScheme (TD section 5.3.3); what it has no word for is negotiated. */
const definitionOf = (scheme: SecurityScheme): JsonSchema => {
  switch (scheme.type) {
    case 'http':
      return scheme.scheme === 'basic'
        ? { scheme: 'basic', in: 'header' }
        : { scheme: 'bearer', in: 'header', ...(scheme.format === undefined ? undefined : { format: scheme.format }) }
    case 'apiKey':
      return { scheme: 'apikey', in: scheme.in, name: scheme.field }
    case 'openIdConnect':
      return { scheme: 'auto', description: `OpenID Connect: ${scheme.url}` }
    case 'mutualTLS':
      return { scheme: 'auto', description: 'A certificate of the client.' }
    case 'psk':
      return { scheme: 'psk' }
  }
}
