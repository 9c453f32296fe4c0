import type { PatternParams } from '../patterns/pattern-paths.ts'

/**
 * Validates a value and names its type: Standard Schema 1 (https://standardschema.dev), which zod, valibot, arktype and others implement.
 */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    validate(value: unknown): SchemaResult<Output> | Promise<SchemaResult<Output>>
    /** For the type checker alone. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** A valid value, or what is wrong with it. */
export type SchemaResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] }

/** One fault of a value, and where it is. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** What one method of a resource takes and answers. */
export interface MethodContract {
  readonly title?: string
  readonly description?: string
  /** Of the query parameters. */
  readonly query?: Schema
  /** Of the body of the request; that of the state unless given, for PUT. */
  readonly input?: Schema
  /** Of the body of a 2xx answer; that of the state unless given, for GET. */
  readonly answer?: Schema
  /** One of these schemes must have authenticated the user. Missing: those of the resource. Empty: public. */
  readonly security?: readonly SecurityScheme[]
}

/**
 * What a resource promises on every protocol, without its handlers: a value that server, client, documents and tests share. It imports nothing
 * of a server.
 */
export interface ResourceContract<Params = PatternParams, State = unknown> {
  /** The pattern of its path, such as `/lights/{id}`. */
  readonly pattern: string
  readonly title?: string
  readonly description?: string
  /** Of the parameters of the path. */
  readonly params?: Schema<unknown, Params>
  /** Of the representation: what GET answers and PUT takes. */
  readonly state?: Schema<unknown, State>
  /** By name, in upper case. */
  readonly methods: Readonly<Record<string, MethodContract>>
  readonly security?: readonly SecurityScheme[]
}

/**
 * How a user authenticates. Kinds are those of OpenAPI 3.1 (Security Scheme Object), and `psk`, a pre-shared key of TLS or DTLS, of the W3C
 * Thing Description. `name` is what documents refer to.
 */
export type SecurityScheme =
  | { readonly name: string; readonly type: 'http'; readonly scheme: 'basic' | 'bearer'; readonly format?: string }
  | { readonly name: string; readonly type: 'apiKey'; readonly in: 'header' | 'query' | 'cookie'; readonly field: string }
  | { readonly name: string; readonly type: 'openIdConnect'; readonly url: string }
  | { readonly name: string; readonly type: 'mutualTLS' }
  | { readonly name: string; readonly type: 'psk' }
