import type { Schema } from '@iopa/appbuilder/extension'
import type { Omissions } from '../model/omissions.ts'
import { describeSchema, type JsonSchema, type SchemaDialect, type SchemaSide } from './json-schema.ts'
import { definitionsOf, mapSubschemas } from './walk.ts'

/** Where a document keeps its schemas, and how they are written. */
export interface ComponentPlace {
  readonly dialect: SchemaDialect
  /** Before the name in a reference, such as `#/components/schemas/`. */
  readonly prefix: string
  readonly omissions: Omissions
}

/**
 * The schemas of one document, each once: a schema that stands in many places is a component, and the places refer to it. One name is one text:
 * schemas of the same name and the same text are one component.
 */
export class Components {
  readonly schemas: Record<string, JsonSchema> = {}
  readonly #place: ComponentPlace
  readonly #known = new Map<Schema, Map<SchemaSide, JsonSchema>>()
  /** The text of each component, and the first component of each text. */
  readonly #texts = new Map<string, string>()
  readonly #names = new Map<string, string>()

  constructor(place: ComponentPlace) {
    this.#place = place
  }

  /** A reference to the component of a schema; `{}`, which allows everything, where there is no JSON Schema. `of` is what it belongs to. */
  reference(schema: Schema, side: SchemaSide, name: string, of: string): JsonSchema {
    let sides = this.#known.get(schema)
    if (sides === undefined) this.#known.set(schema, (sides = new Map()))
    let reference = sides.get(side)
    if (reference === undefined) {
      const plain = this.plain(schema, side, of)
      reference = plain === undefined ? {} : this.add(plain, name, of, side === 'input' ? `${name}Input` : `${name}Output`)
      sides.set(side, reference)
    }
    return reference
  }

  /** The JSON Schema of a schema, as it is; undefined where there is none, which is noted. */
  plain(schema: Schema, side: SchemaSide, of: string): JsonSchema | undefined {
    const described = describeSchema(schema, side, this.#place.dialect)
    if (described.schema === undefined) this.#place.omissions.add(of, described.omitted)
    return described.schema
  }

  /**
   * Adds a JSON Schema under this name, or where that is another one, under the second or a number; gives a reference. Documents that embed it, or
   * what it was `original`ly, refer to it.
   */
  add(schema: JsonSchema, name: string, of: string, second: string = name, original: JsonSchema = schema): JsonSchema {
    const text = JSON.stringify(schema)
    const taken = this.#nameOf(text, name, second)
    if (this.#texts.get(taken) !== text) {
      this.#texts.set(taken, text)
      for (const form of [text, original === schema ? text : JSON.stringify(original)]) if (!this.#names.has(form)) this.#names.set(form, taken)
      const embedded = this.embed(schema, taken, of)
      // Without its definitions it would refer to nothing.
      this.schemas[taken] = embedded ?? {}
    }
    return { $ref: this.#place.prefix + taken }
  }

  #nameOf(text: string, name: string, second: string): string {
    const fits = (wanted: string): boolean => !this.#texts.has(wanted) || this.#texts.get(wanted) === text
    if (fits(name)) return name
    if (second !== name && fits(second)) return second
    for (let at = 2; ; at++) if (fits(`${second}${at}`)) return `${second}${at}`
  }

  /**
   * A part that is a document of its own, which its `$schema` says (JSON Schema section 8.1.1): a reference where it is a component already, or has
   * references, which lead into itself; undefined for any other.
   */
  #document(part: JsonSchema, name: string, of: string): JsonSchema | undefined {
    if (typeof part['$schema'] !== 'string') return undefined
    const text = JSON.stringify(part)
    const known = this.#names.get(text)
    if (known !== undefined) return { $ref: this.#place.prefix + known }
    return text.includes('"$ref":') ? this.add(part, `${name}Part`, of) : undefined
  }

  /**
   * A schema as part of the document: its definitions become components named after it, and references lead there. Undefined, and noted, where a
   * reference leads out of the schema.
   */
  embed(schema: JsonSchema, name: string, of: string): JsonSchema | undefined {
    const { prefix, omissions } = this.#place
    const definitions = definitionsOf(schema)
    const targets = new Map<string, string>()
    for (const key of definitions.keys()) {
      const own = `${name}.${key.replace(/[^A-Za-z0-9._-]/g, '_')}`
      for (const form of [`#/$defs/${pointer(key)}`, `#/definitions/${pointer(key)}`, key]) targets.set(form, prefix + own)
      const id = definitions.get(key)?.['$id']
      if (typeof id === 'string') targets.set(id, prefix + own)
    }
    const rootId = schema['$id']
    if (typeof rootId === 'string') targets.set(rootId, prefix + name)
    // The definitions are components of their own.
    const { $defs: _, definitions: __, ...root } = schema
    let outside: string | undefined
    const led = (reference: string): string => {
      const known = targets.get(reference)
      if (known !== undefined) return known
      if (reference === '#') return prefix + name
      if (reference.startsWith('#/$defs/') || reference.startsWith('#/definitions/') || !reference.startsWith('#/')) {
        outside ??= reference
        return reference
      }
      return prefix + name + reference.slice(1)
    }
    const rewritten = (part: JsonSchema): JsonSchema => {
      const embedded = part === root ? undefined : this.#document(part, name, of)
      if (embedded !== undefined) return embedded
      const { $schema: _, $id: __, ...rest } = mapSubschemas(part, rewritten)
      return typeof part['$ref'] === 'string' ? { ...rest, $ref: led(part['$ref']) } : rest
    }
    const whole = rewritten(root)
    const parts = [...definitions].map(([key, part]) => [targets.get(key)?.slice(prefix.length) ?? key, rewritten(part)] as const)
    if (outside !== undefined) {
      omissions.add(of, `its schema refers to ${outside}, which is outside of it`)
      return undefined
    }
    for (const [own, part] of parts) this.schemas[own] = part
    return whole
  }
}

/** A key in a JSON pointer of a URI fragment. */
const pointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1')
