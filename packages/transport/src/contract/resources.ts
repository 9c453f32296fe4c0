import type { PatternParams } from '../patterns/pattern-paths.ts'
import type { CollectionContract } from './collections.ts'
import type { Schema } from './schemas.ts'

/** What one method of a resource takes and answers. */
export interface MethodContract {
  readonly title?: string
  readonly description?: string
  /** Of the query parameters: an object of strings, and of arrays of strings where a name stands more than once. */
  readonly query?: Schema
  /** Of the header fields, by name in lower case; other fields are left alone. */
  readonly headers?: Schema
  /** Of the body of the request; that of the state unless given, for PUT. */
  readonly input?: Schema
  /** Of the body of a 2xx answer; that of the representation, computed members included, unless given, for GET, PUT and PATCH. */
  readonly answer?: Schema
  /** The errors that its handler raises, by code. */
  readonly errors?: Readonly<Record<string, ErrorContract>>
  /** One of these schemes must have authenticated the user. Missing: those of the resource. Empty: public. */
  readonly security?: readonly SecurityScheme[]
}

/** One error of a method. */
export interface ErrorContract {
  /** 400 to 599. */
  readonly status: number
  readonly title?: string
  /** Of the further members of the problem (RFC 9457 section 3.2). */
  readonly extensions?: Schema
}

/** The types of a resource; the type checker alone knows them. */
export interface ResourceTypes {
  /** Of the parameters of its path, parsed. */
  readonly params: unknown
  /** Of the same, as a client writes them. */
  readonly paramsInput: unknown
  /** What GET answers without the computed members. */
  readonly state: unknown
  /** What PUT takes: members with a default may be missing. */
  readonly stateInput: unknown
  /** The members that the server adds. */
  readonly computed: unknown
  /** By name, as the declaration has them. */
  readonly methods: Readonly<Record<string, MethodTypes>>
}

/** The types of one method of a resource. */
export interface MethodTypes {
  readonly query: unknown
  readonly queryInput: unknown
  readonly headers: unknown
  readonly headersInput: unknown
  readonly input: unknown
  readonly inputInput: unknown
  readonly answer: unknown
  /** A union of the problems: `{ code: 'light-busy', ... }`. */
  readonly errors: unknown
}

/**
 * What a resource promises on every protocol, without its handlers: a value that server, client, documents and tests share. It imports nothing
 * of a server.
 */
export interface ResourceContract<Types extends ResourceTypes = ResourceTypes> {
  /** The pattern of its path, such as `/lights/{id}`. */
  readonly pattern: string
  readonly title?: string
  readonly description?: string
  /** Resource types, separated by spaces (RFC 6690 section 3.1). */
  readonly rt?: string
  /** Interface descriptions, separated by spaces (RFC 6690 section 3.2). */
  readonly if?: string
  /** Of the parameters of the path. */
  readonly params?: Schema
  /** Of the representation without its computed members: what PUT takes, and GET answers. Its output is a valid input that gives itself. */
  readonly state?: Schema
  /** Members that the server adds to the representation; what a PUT or a replica says of them is dropped before validation. */
  readonly computed?: Readonly<Record<string, Schema>>
  /** By name, in upper case but for iPATCH. */
  readonly methods: Readonly<Record<string, MethodContract>>
  readonly security?: readonly SecurityScheme[]
  /** Counts the shapes of the state, from 1; documents of an earlier one are migrated. */
  readonly version: number
  /** The state of this version from one of an earlier version. It throws for what it cannot migrate. */
  readonly migrate?: (old: unknown, version: number) => unknown
  /** Of a collection: what it lists. */
  readonly collection?: CollectionContract
  /** For the type checker alone. */
  readonly '~types'?: Types
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

/** The parameters of a contract, parsed. */
export type ParamsOf<Contract> = TypesOf<Contract>['params']

/** The state of a contract. */
export type StateOf<Contract> = TypesOf<Contract>['state']

/** What GET of a contract answers: its state with the computed members. */
export type RepresentationOf<Contract> = TypesOf<Contract>['state'] & TypesOf<Contract>['computed']

/** The types of a contract. */
export type TypesOf<Contract> = Contract extends { readonly '~types'?: infer Types }
  ? Extract<Types, ResourceTypes> extends never
    ? UnknownTypes
    : Extract<Types, ResourceTypes>
  : UnknownTypes

interface UnknownTypes extends ResourceTypes {
  readonly params: PatternParams
}
