/**
 * Validates a value and names its type: Standard Schema 1 (https://standardschema.dev), which zod, valibot, arktype and others implement. Documents
 * need its JSON Schema too; zod and arktype have it, and `toStandardJsonSchema` of `@valibot/to-json-schema` adds it to a schema of valibot.
 */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    validate(value: unknown): SchemaResult<Output> | Promise<SchemaResult<Output>>
    /** For the type checker alone. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
    /** Standard JSON Schema 1; it may throw for what has no JSON Schema. */
    readonly jsonSchema?: {
      input(options: JsonSchemaOptions): Readonly<Record<string, unknown>>
      output(options: JsonSchemaOptions): Readonly<Record<string, unknown>>
    }
  }
}

/** Which JSON Schema a document wants. */
export interface JsonSchemaOptions {
  readonly target: 'draft-2020-12' | 'draft-07' | 'openapi-3.0' | (string & {})
}

/** A valid value, or what is wrong with it. */
export type SchemaResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

/** One fault of a value, and where it is. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What a schema takes. */
export type InputOf<S> = S extends { readonly '~standard': { readonly types?: { readonly input: infer Input } | undefined } } ? Input : unknown

/** What a schema gives. */
export type OutputOf<S> = S extends { readonly '~standard': { readonly types?: { readonly output: infer Output } | undefined } } ? Output : unknown
