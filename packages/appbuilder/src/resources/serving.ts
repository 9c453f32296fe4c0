import type { Logger } from '@iopa/constants'
import type { Context, EndReason, Reply } from '@iopa/context'
import type { Clock, MethodTypes, ResourceContract, ResourceTypes } from '@iopa/transport'
import type { MiddlewareFunction, MiddlewareObject } from '../pipeline/middleware.ts'

/** What a handler of a resource gets; all but the context has been validated. */
export interface ResourceRequest<Params = unknown, Query = unknown, Headers = unknown, Input = unknown> {
  readonly params: Params
  readonly query: Query
  readonly headers: Headers
  readonly input: Input
  readonly context: Context
}

/** The change that a PATCH asks for. */
export interface Patch<State> {
  /** The state after the change, validated; the given one is not touched. @throws IopaError 409 where it does not fit the state, 422 for its outcome. */
  apply(state: State): State | Promise<State>
}

/** What a handler may return: the value, with a status and headers of its own, or nothing. */
export type ResourceValue<T> = T | Reply | Response | undefined

/** Handles one method of a resource. */
export type ResourceHandler<Params, Method extends MethodTypes, Input = Method['input'], Answer = Method['answer']> = (
  request: ResourceRequest<Params, Method['query'], Method['headers'], Input>
) => ResourceValue<Answer> | Promise<ResourceValue<Answer>>

/** The handlers of a resource, one for each method that it declares; PATCH may be left out where there are GET and PUT. */
export type ResourceHandlers<Types extends ResourceTypes> = {
  readonly [Name in Exclude<keyof Types['methods'], PatchName>]: ResourceHandler<Types['params'], Types['methods'][Name]>
} & {
  readonly [Name in Extract<keyof Types['methods'], PatchName>]?: ResourceHandler<Types['params'], Types['methods'][Name], Patch<Types['state']>>
}

type PatchName = 'patch' | 'ipatch'

/** How a resource is served. */
export interface ServeOptions {
  /** It runs before validation. */
  readonly middleware?: readonly (MiddlewareFunction | MiddlewareObject)[]
  /** The paths that exist now, for discovery and for wildcards. */
  readonly instances?: () => Iterable<string>
  /** `own` leaves the preconditions of requests to the handlers. */
  readonly preconditions?: 'own'
}

/** An object that serves resources by itself, such as a store. */
export interface ResourceServer<Types extends ResourceTypes = ResourceTypes> {
  /** Serves a resource on an app, once for each contract. @throws IopaError 500 for a contract that it does not know. */
  serve(contract: ResourceContract<Types>, host: ServeHost, options?: ServeOptions): void
}

/** The app, as what serves resources on it sees it. */
export interface ServeHost {
  readonly clock: Clock
  readonly logger: Logger
  /** Serves a contract by handlers. */
  serve<Types extends ResourceTypes>(contract: ResourceContract<Types>, handlers: ResourceHandlers<Types>, options?: ServeOptions): void
  /** Tells the observers of a path that it has changed. */
  notify(path: string): void
  /** True where the user of a request may GET a path: at once where nothing authenticates, otherwise by that GET. */
  mayGet(path: string, as: Context): boolean | Promise<boolean>
  /** Runs `dispose` when the app closes. */
  defer(dispose: (reason: EndReason) => unknown): void
}
