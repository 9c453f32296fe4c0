import type { Omissions } from '../model/omissions.ts'
import type { JsonSchema } from '../schemas/json-schema.ts'
import { definitionsOf, mapSubschemas } from '../schemas/walk.ts'

const MOST_NODES = 2000

/**
 * A JSON Schema as a DataSchema of a Thing Description, which has neither definitions nor references: they are put in place. A schema that contains
 * itself ends, and is noted, where it begins again.
 */
export const dataSchemaOf = (schema: JsonSchema, omissions: Omissions, of: string): JsonSchema => {
  const definitions = definitionsOf(schema)
  let nodes = 0
  const targetOf = (reference: string): JsonSchema | undefined => {
    if (reference === '#') return schema
    const key = /^#\/(?:\$defs|definitions)\/([^/]+)$/.exec(reference)?.[1]?.replaceAll('~1', '/').replaceAll('~0', '~') ?? reference
    return definitions.get(key)
  }
  const placed = (part: JsonSchema, within: readonly JsonSchema[]): JsonSchema => {
    if (++nodes > MOST_NODES) {
      omissions.add(of, `its schema is larger than ${MOST_NODES} objects once its definitions are in place`)
      return {}
    }
    const reference = part['$ref']
    if (typeof reference === 'string') {
      const target = targetOf(reference)
      const { $ref: _, ...beside } = part
      if (target === undefined || within.includes(target)) {
        omissions.add(of, target === undefined ? `its schema refers to ${reference}, which is outside of it` : 'its schema contains itself')
        return tidy(beside)
      }
      return { ...placed(target, [...within, target]), ...tidy(beside) }
    }
    return tidy(mapSubschemas(part, inner => placed(inner, within)))
  }
  return placed(schema, [schema])
}

/** Without what a DataSchema does not have; several types are alternatives, and a schema that is `true` or `false` says nothing. */
const tidy = (schema: JsonSchema): JsonSchema => {
  const { $schema: _, $id: __, $defs: ___, definitions: ____, $comment: _____, ...rest } = schema
  const { type, properties, ...others } = rest
  const members =
    typeof properties === 'object' && properties !== null
      ? { properties: Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, typeof member === 'object' ? member : {}])) }
      : undefined
  if (!Array.isArray(type)) return { ...(type === undefined ? undefined : { type }), ...others, ...members }
  return { oneOf: type.map(one => ({ type: one })), ...others, ...members }
}
