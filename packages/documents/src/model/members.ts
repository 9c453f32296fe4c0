import type { Schema } from '@iopa/appbuilder/extension'
import type { Components } from '../schemas/components.ts'
import type { JsonSchema, SchemaSide } from '../schemas/json-schema.ts'
import { propertiesOf, requiredOf } from '../schemas/walk.ts'

/** One member of an object schema: a parameter of a path or query, or a header field. */
export interface Member {
  readonly name: string
  readonly required: boolean
  readonly schema: JsonSchema
}

/** The members of a schema of parameters; none, and noted, where it is no object. `name` is that of a component, where members share definitions. */
export const membersOf = (schema: Schema | undefined, side: SchemaSide, components: Components, name: string, of: string): readonly Member[] => {
  if (schema === undefined) return []
  const plain = components.plain(schema, side, of)
  if (plain === undefined) return []
  const required = requiredOf(plain)
  const shares = JSON.stringify(plain).includes('"$ref":')
  const reference = shares ? components.reference(schema, side, name, of) : undefined
  return Array.from(propertiesOf(plain), ([member, own]) => ({
    name: member,
    required: required.includes(member),
    schema:
      reference === undefined
        ? own
        : reference['$ref'] === undefined
          ? {}
          : { $ref: `${reference['$ref']}/properties/${member.replaceAll('~', '~0').replaceAll('/', '~1')}` }
  }))
}
