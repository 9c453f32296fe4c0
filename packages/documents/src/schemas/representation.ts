import type { ResourceContract } from '@iopa/appbuilder/extension'
import type { Components } from './components.ts'
import type { JsonSchema, SchemaSide } from './json-schema.ts'
import { propertiesOf, requiredOf } from './walk.ts'

/** The state of a contract with its computed members, as GET answers it; undefined where the contract has none of them. */
export const representationOf = (
  { state, computed, pattern }: ResourceContract,
  components: Components,
  side: SchemaSide
): JsonSchema | undefined => {
  if (state === undefined || computed === undefined) return undefined
  const own = components.plain(state, side, pattern) ?? {}
  const members = Object.entries(computed).map(
    ([name, schema]) => [name, { ...components.plain(schema, side, `${pattern} ${name}`), readOnly: true }] as const
  )
  return {
    type: 'object',
    ...own,
    properties: { ...Object.fromEntries(propertiesOf(own)), ...Object.fromEntries(members) },
    required: [...new Set([...requiredOf(own), ...Object.keys(computed)])]
  }
}
