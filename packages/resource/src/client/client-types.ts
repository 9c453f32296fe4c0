import type { MethodTypes, ResourceTypes } from '@iopa/transport'

/** What every call takes. */
export interface CallOptions {
  /** Aborts the call, or ends the observation. */
  readonly signal?: AbortSignal
  /** Milliseconds that the answer may take, or the first one of an observation. */
  readonly timeout?: number
}

/** Options of one method. */
export interface MethodOptions<M extends MethodTypes> extends CallOptions {
  readonly query?: M['queryInput']
  readonly headers?: unknown extends M['headersInput'] ? Readonly<Record<string, string>> : M['headersInput']
}

/** Options of a method that changes the state. */
export interface ChangeOptions<M extends MethodTypes> extends MethodOptions<M> {
  /** The change is made where the state still has this tag, of `read()`; otherwise it is refused with `precondition-failed`. */
  readonly ifMatch?: string
  /** `*`: the change is made where there is no state yet. */
  readonly ifNoneMatch?: string
}

/** A state and the tag of its version. */
export interface Tagged<State> {
  readonly state: State
  /** For `ifMatch`; undefined where the server gives none. */
  readonly etag: string | undefined
}

/** A merge patch: the members that change, null for one that goes (RFC 7396). */
export type MergePatch<State> = State extends readonly unknown[]
  ? State
  : State extends object
    ? { readonly [Name in keyof State]?: MergePatch<State[Name]> | null }
    : State

/** One operation of a JSON Patch (RFC 6902). */
export type PatchOperation =
  | { readonly op: 'add' | 'replace' | 'test'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'move' | 'copy'; readonly path: string; readonly from: string }

/** One method of the client of a resource. */
type Call<Types extends ResourceTypes, Name, M extends MethodTypes> = Name extends 'get'
  ? (options?: MethodOptions<M>) => Promise<M['answer']>
  : Name extends 'put'
    ? (state: M['inputInput'], options?: ChangeOptions<M>) => Promise<M['answer'] | undefined>
    : Name extends 'patch'
      ? (change: MergePatch<Types['state']> | readonly PatchOperation[], options?: ChangeOptions<M>) => Promise<M['answer'] | undefined>
      : Name extends 'ipatch'
        ? (change: MergePatch<Types['state']>, options?: ChangeOptions<M>) => Promise<M['answer'] | undefined>
        : Name extends 'delete'
          ? (options?: ChangeOptions<M>) => Promise<M['answer'] | undefined>
          : (input?: M['inputInput'], options?: ChangeOptions<M>) => Promise<M['answer'] | undefined>

/** What a resource that has GET can do beside it. */
interface Reading<M extends MethodTypes> {
  /** The state with the tag of its version. */
  read(options?: MethodOptions<M>): Promise<Tagged<M['answer']>>
  /** The state now and after each change, until the signal aborts, the loop is left, or the server ends it with an error. */
  observe(options?: MethodOptions<M>): AsyncIterable<M['answer']>
}

/**
 * The typed client of one resource. Each call resolves with the value of a 2xx answer, which the contract has validated; undefined where it has no
 * content. It rejects with the problem of any other answer, as an `IopaError`: see `isProblem`.
 */
export type ResourceClient<Types extends ResourceTypes> = {
  readonly [Name in keyof Types['methods']]: Call<Types, Name, Types['methods'][Name]>
} & (Types['methods'] extends { readonly get: infer M extends MethodTypes } ? Reading<M> : unknown) & {
    /** The path of the resource, decoded. */
    readonly path: string
  }
