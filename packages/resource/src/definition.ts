import type { ErrorContract, InputOf, OutputOf, PathParams, ResourceTypes, Schema, SecurityScheme } from '@iopa/transport'

/** What one method takes and answers, as it is declared. */
export interface MethodDefinition {
  readonly title?: string
  readonly description?: string
  /** Of the query parameters. */
  readonly query?: Schema
  /** Of the header fields, by name in lower case. */
  readonly headers?: Schema
  /** Of the body of the request. PUT takes the state, and has none. */
  readonly input?: Schema
  /** Of the body of a 2xx answer; the state with its computed members unless given, for GET, PUT and PATCH. */
  readonly answer?: Schema
  readonly errors?: Readonly<Record<string, ErrorContract>>
  readonly security?: readonly SecurityScheme[]
}

/** A resource as it is declared. */
export interface ResourceDefinition {
  readonly title?: string
  readonly description?: string
  readonly rt?: string
  readonly if?: string
  /** Of the parameters of the path; without it they are strings. */
  readonly params?: Schema
  /** Of the representation: what GET answers, PUT takes and observers hear. */
  readonly state?: Schema
  /** Members that the server adds to the state. */
  readonly computed?: Readonly<Record<string, Schema>>
  /** By name in lower case: `get`, `put`, `patch`, `delete`, `post`, `fetch`, `ipatch` or another. */
  readonly methods: Readonly<Record<string, MethodDefinition>>
  readonly security?: readonly SecurityScheme[]
  /** Counts the shapes of the state, from 1. */
  readonly version?: number
  readonly migrate?: (old: unknown, version: number) => unknown
}

/** What a schema gives, and `Otherwise` where there is none. */
type Out<S, Otherwise> = S extends Schema ? OutputOf<S> : Otherwise
type In<S, Otherwise> = S extends Schema ? InputOf<S> : Otherwise

/** The types of a declaration: plain lookups, so that hundreds of resources cost the checker little. */
export interface DefinedTypes<Pattern extends string, D extends ResourceDefinition> extends ResourceTypes {
  readonly params: Out<D['params'], PathParams<Pattern>>
  readonly paramsInput: In<D['params'], PathParams<Pattern>>
  readonly state: Out<D['state'], unknown>
  readonly stateInput: In<D['state'], unknown>
  readonly computed: Computed<D>
  readonly methods: { readonly [Name in keyof D['methods']]: DefinedMethod<D, Name, D['methods'][Name]> }
}

/** The members that the server adds; `unknown`, which adds nothing, where there are none. */
type Computed<D extends ResourceDefinition> =
  D['computed'] extends Readonly<Record<string, Schema>> ? { readonly [K in keyof D['computed']]: OutputOf<D['computed'][K]> } : unknown

/** The types of one method. */
interface DefinedMethod<D extends ResourceDefinition, Name, M extends MethodDefinition> {
  readonly query: Out<M['query'], URLSearchParams>
  readonly queryInput: In<M['query'], Readonly<Record<string, string | readonly string[]>>>
  readonly headers: Out<M['headers'], unknown>
  readonly headersInput: In<M['headers'], unknown>
  readonly input: Name extends 'put' ? Out<D['state'], unknown> : Out<M['input'], unknown>
  readonly inputInput: Name extends 'put' ? In<D['state'], unknown> : In<M['input'], unknown>
  readonly answer: Out<M['answer'], Name extends 'get' | 'put' | 'patch' | 'ipatch' ? Out<D['state'], unknown> & Computed<D> : unknown>
  readonly errors: M['errors'] extends Readonly<Record<infer Code, ErrorContract>> ? { readonly [C in Code]: { readonly code: C } }[Code] : never
}
