import type { JsonSchema } from './json-schema.ts'

/** Keywords whose value is a schema. */
const ONE: ReadonlySet<string> = new Set(
  'additionalProperties additionalItems items contains propertyNames not if then else unevaluatedProperties unevaluatedItems contentSchema'.split(' ')
)
/** Keywords whose value is a list of schemas; `items` is one in draft 7. */
const LIST: ReadonlySet<string> = new Set('allOf anyOf oneOf prefixItems items'.split(' '))
/** Keywords whose value is schemas by name. */
const NAMED: ReadonlySet<string> = new Set('properties patternProperties dependentSchemas $defs definitions'.split(' '))

const isObject = (value: unknown): value is JsonSchema => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A copy whose direct subschemas are what `change` makes of them; data such as `const` and `enum` stays as it is. */
export const mapSubschemas = (schema: JsonSchema, change: (schema: JsonSchema) => JsonSchema): Record<string, unknown> => {
  const copy: Record<string, unknown> = {}
  for (const [keyword, value] of Object.entries(schema)) {
    if (ONE.has(keyword) && isObject(value)) copy[keyword] = change(value)
    else if (LIST.has(keyword) && Array.isArray(value)) copy[keyword] = value.map(item => (isObject(item) ? change(item) : item))
    else if (NAMED.has(keyword) && isObject(value)) copy[keyword] = mapMembers(value, item => (isObject(item) ? change(item) : item))
    else copy[keyword] = value
  }
  return copy
}

/** Maps the members of an object, also one that is named `__proto__`. */
const mapMembers = (object: JsonSchema, change: (value: unknown) => unknown): Record<string, unknown> =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, change(value)]))

/** The schemas that a schema keeps for its references, by their name. */
export const definitionsOf = (schema: JsonSchema): ReadonlyMap<string, JsonSchema> =>
  new Map(
    ['definitions', '$defs']
      .flatMap(keyword => (isObject(schema[keyword]) ? Object.entries(schema[keyword]) : []))
      .filter((entry): entry is [string, JsonSchema] => isObject(entry[1]))
  )

/** The members of an object schema, by name. */
export const propertiesOf = (schema: JsonSchema): ReadonlyMap<string, JsonSchema> =>
  new Map(
    isObject(schema['properties']) ? Object.entries(schema['properties']).filter((entry): entry is [string, JsonSchema] => isObject(entry[1])) : []
  )

/** The names that an object schema requires. */
export const requiredOf = (schema: JsonSchema): readonly string[] =>
  Array.isArray(schema['required']) ? schema['required'].filter(name => typeof name === 'string') : []
