import type { Schema } from '@iopa/appbuilder/extension'

/** A JSON Schema as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** `input` is what a peer sends, `output` what it gets. */
export type SchemaSide = 'input' | 'output'

export type SchemaDialect = 'draft-2020-12' | 'draft-07'

/** The JSON Schema of a schema, or why there is none. */
export type Described = { readonly schema: JsonSchema; readonly omitted?: undefined } | { readonly schema?: undefined; readonly omitted: string }

const MOST_NODES = 20_000
const MOST_DEPTH = 64

// A schema does not change, and converting one costs more than everything else of a document.
const DESCRIBED = new WeakMap<Schema, Map<string, Described>>()

/** Describes a schema as plain, bounded data; never throws. */
export const describeSchema = (schema: Schema, side: SchemaSide, dialect: SchemaDialect): Described => {
  let known = DESCRIBED.get(schema)
  if (known === undefined) DESCRIBED.set(schema, (known = new Map()))
  const key = `${side} ${dialect}`
  let described = known.get(key)
  if (described === undefined) known.set(key, (described = converted(schema, side, dialect)))
  return described
}

const converted = (schema: Schema, side: SchemaSide, dialect: SchemaDialect): Described => {
  try {
    const standard = schema['~standard']
    if (standard.jsonSchema === undefined)
      return {
        omitted: `a schema of ${standard.vendor} that has no JSON Schema${standard.vendor === 'valibot' ? '; wrap it in toStandardJsonSchema() of @valibot/to-json-schema' : ''}`
      }
    const given: unknown = generated(standard.jsonSchema[side], dialect)
    if (given === true) return { schema: {} }
    if (typeof given !== 'object' || given === null || Array.isArray(given)) return { omitted: 'its JSON Schema is no object' }
    return { schema: new Copy().object(given as Record<string, unknown>, 0) }
  } catch (error) {
    return { omitted: `it has no JSON Schema: ${sentence(error)}` }
  }
}

/** What knows the newest dialect alone is near enough: draft 7 ignores keywords that it does not know (section 6.4). */
const generated = (generate: (options: { readonly target: SchemaDialect }) => unknown, dialect: SchemaDialect): unknown => {
  if (dialect === 'draft-2020-12') return generate({ target: dialect })
  try {
    return generate({ target: dialect })
  } catch {
    return generate({ target: 'draft-2020-12' })
  }
}

const sentence = (error: unknown): string => {
  try {
    return String(error instanceof Error ? error.message : error)
      .split('\n', 1)[0]!
      .slice(0, 200)
  } catch {
    return 'it throws'
  }
}

/** Copies what JSON can say, as often as it stands there, within bounds. */
class Copy {
  #nodes = 0

  object(value: Readonly<Record<string, unknown>>, depth: number): Record<string, unknown> {
    this.#count(depth)
    const copy: Record<string, unknown> = {}
    for (const key of Object.keys(value)) {
      const member = this.value(value[key], depth)
      // As an own property, whatever its name.
      if (member !== undefined) Object.defineProperty(copy, key, { value: member, enumerable: true, writable: true, configurable: true })
    }
    return copy
  }

  value(value: unknown, depth: number): unknown {
    if (Array.isArray(value)) {
      this.#count(depth)
      return value.map(item => this.value(item, depth + 1) ?? null)
    }
    switch (typeof value) {
      case 'object':
        return value === null ? null : value instanceof Date ? value.toISOString() : this.object(value as Record<string, unknown>, depth + 1)
      case 'string':
      case 'boolean':
        return value
      case 'number':
        return Number.isFinite(value) ? value : undefined
      case 'bigint':
        return Number(value)
      default:
        return undefined
    }
  }

  #count(depth: number): void {
    if (depth > MOST_DEPTH) throw new RangeError(`it is circular, or deeper than ${MOST_DEPTH} levels`)
    if (++this.#nodes > MOST_NODES) throw new RangeError(`it is larger than ${MOST_NODES} objects`)
  }
}
