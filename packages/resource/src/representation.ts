import type { JsonSchemaOptions, Schema, SchemaIssue, SchemaResult } from '@iopa/transport'

type Members = Readonly<Record<string, unknown>>
type Result = SchemaResult<unknown>

/** A value is an object with members, and not an array. */
export const isRecord = (value: unknown): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value)

/** True for a promise of any realm, or another thenable, such as the query of a database library. */
export const isPromise = <T>(value: T | Promise<T>): value is Promise<T> =>
  typeof (value as Partial<Promise<T>> | null | undefined)?.then === 'function'

/** An object of these members whatever their names are: `__proto__` is one like any other. */
export const recordOf = (entries: Iterable<readonly [string, unknown]>): Members => Object.fromEntries(entries)

/** The value without these members, and itself where it has none of them. */
export const withoutMembers = (value: unknown, names: readonly string[]): unknown =>
  isRecord(value) && names.some(name => Object.hasOwn(value, name))
    ? recordOf(Object.entries(value).filter(([name]) => !names.includes(name)))
    : value

/** A schema made here, such as that of a page. */
export const schemaOf = (validate: (value: unknown) => Result | Promise<Result>, jsonSchema: (options: JsonSchemaOptions) => Members): Schema => ({
  '~standard': { version: 1, vendor: 'iopa', validate, jsonSchema: { input: jsonSchema, output: jsonSchema } }
})

/** The JSON Schema of what a schema gives; anything where the schema has none. @throws what its library throws for what has no JSON Schema. */
export const jsonSchemaOf = (schema: Schema | undefined, options: JsonSchemaOptions): Members =>
  schema?.['~standard'].jsonSchema?.output(options) ?? {}

/** One part of a value and the schema for it. */
export interface Part {
  readonly path: readonly PropertyKey[]
  readonly schema: Schema
  readonly value: unknown
}

/** What `join` makes of the outputs of all parts, or all their issues; at once unless a schema is asynchronous. */
export const validateParts = (parts: readonly Part[], join: (outputs: readonly unknown[]) => unknown): Result | Promise<Result> => {
  const results = parts.map(({ schema, value }) => schema['~standard'].validate(value))
  const settle = (settled: readonly Result[]): Result => {
    const issues = settled.flatMap(({ issues = [] }, n) => issues.map(issue => within(parts[n]?.path ?? [], issue)))
    return issues.length > 0 ? { issues } : { value: join(settled.map(result => (result as { readonly value: unknown }).value)) }
  }
  return results.some(isPromise) ? Promise.all(results).then(settle) : settle(results as Result[])
}

const within = (path: readonly PropertyKey[], issue: SchemaIssue): SchemaIssue => ({ message: issue.message, path: [...path, ...(issue.path ?? [])] })

/** The schema of a state with the members that the server adds: what GET answers. */
export const representationOf = (state: Schema | undefined, computed: Readonly<Record<string, Schema>> | undefined): Schema | undefined => {
  const members = Object.entries(computed ?? {})
  if (state === undefined || members.length === 0) return state
  const names = members.map(([name]) => name)
  return schemaOf(
    value => {
      if (!isRecord(value)) return { issues: [{ message: `Expected an object with the computed members ${names.join(', ')}` }] }
      const parts = members.map(([name, schema]) => ({ path: [name], schema, value: Object.hasOwn(value, name) ? value[name] : undefined }))
      return validateParts([{ path: [], schema: state, value: withoutMembers(value, names) }, ...parts], ([own, ...added]) => ({
        ...(own as Members),
        ...recordOf(names.map((name, n) => [name, added[n]]))
      }))
    },
    options => withProperties(jsonSchemaOf(state, options), recordOf(members.map(([name, schema]) => [name, jsonSchemaOf(schema, options)])))
  )
}

/** The JSON Schema of an object with further members, all of them required. */
const withProperties = (base: Members, added: Members): Members => {
  const required = Object.keys(added)
  if (base.type !== 'object' || base.allOf !== undefined) return { allOf: [base, { type: 'object', properties: added, required }] }
  return {
    ...base,
    properties: { ...(base.properties as Members | undefined), ...added },
    required: [...((base.required as string[] | undefined) ?? []), ...required]
  }
}
