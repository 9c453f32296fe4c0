import type { Next } from '@iopa/appbuilder'
import type { ContextOf, ProvidedBy, Provides, RouteAttributes } from '@iopa/appbuilder/extension'
import type { PathParams } from './path-params.ts'

/** The prefix of a group; nothing for an app. */
export type PrefixOf<Owner> = Owner extends { readonly prefix: infer Prefix extends string } ? Prefix : ''

/** Handles what a pattern matches; the names in the pattern are the names in `context.params`. */
export type RouteHandler<Owner, Path extends string> = (context: ContextOf<Owner, PathParams<`${PrefixOf<Owner>}${Path}`>>, next: Next) => unknown

/** What runs before the handler of a route: a function, an object with `invoke`, or an array of them. */
export type RouteMiddleware<Owner, Path extends string> =
  | RouteHandler<Owner, Path>
  | { readonly invoke: RouteHandler<Owner, Path> }
  | readonly RouteMiddleware<Owner, Path>[]

/** Adds a route for one method, or for all of them. */
export interface AddRoute {
  /** @throws IopaError 500 where the pattern is not valid or is taken. */
  <Owner, const Path extends string>(this: Owner, path: Path, handler: RouteHandler<Owner, Path>): Owner
  /** With what discovery says of it. */
  <Owner, const Path extends string>(this: Owner, path: Path, attributes: RouteAttributes, handler: RouteHandler<Owner, Path>): Owner
  /** With middleware of its own, which runs in order before the handler, the last argument. */
  <Owner, const Path extends string>(this: Owner, path: Path, ...chain: RouteChain<Owner, Path>): Owner
  /** With both. */
  <Owner, const Path extends string>(this: Owner, path: Path, attributes: RouteAttributes, ...chain: RouteChain<Owner, Path>): Owner
}

/** Middleware, and the handler last. */
export type RouteChain<Owner, Path extends string> = readonly [
  RouteMiddleware<Owner, Path>,
  ...RouteMiddleware<Owner, Path>[],
  RouteHandler<Owner, Path> | { readonly invoke: RouteHandler<Owner, Path> }
]

/** Adds a route for a method of any name. */
export interface AddMethodRoute {
  /** @throws IopaError 500 where the pattern is not valid or is taken. */
  <Owner, const Path extends string>(this: Owner, method: string, path: Path, handler: RouteHandler<Owner, Path>): Owner
  /** With what discovery says of it. */
  <Owner, const Path extends string>(this: Owner, method: string, path: Path, attributes: RouteAttributes, handler: RouteHandler<Owner, Path>): Owner
  /** With middleware of its own, which runs in order before the handler, the last argument. */
  <Owner, const Path extends string>(this: Owner, method: string, path: Path, ...chain: RouteChain<Owner, Path>): Owner
  /** With both. */
  <Owner, const Path extends string>(this: Owner, method: string, path: Path, attributes: RouteAttributes, ...chain: RouteChain<Owner, Path>): Owner
}

/** What `use(router())` adds to an app; each returns what it was called on. */
export interface Routes {
  readonly get: AddRoute
  readonly head: AddRoute
  readonly post: AddRoute
  readonly put: AddRoute
  readonly patch: AddRoute
  readonly delete: AddRoute
  readonly options: AddRoute
  /** For every method that has no route of its own on the pattern. */
  readonly all: AddRoute
  /** For a method of any name, such as `FETCH` or `DATA`; case counts. */
  readonly on: AddMethodRoute
  /** Adds the routes that `build` adds to the group, with `prefix` before their paths; a path of `/` is the prefix itself. */
  group<Owner, const Prefix extends string>(
    this: Owner,
    prefix: Prefix,
    build: (group: NoInfer<RouteGroup<Owner, `${PrefixOf<Owner>}${Prefix}`>>) => unknown
  ): Owner
}

/** Routes below a prefix; their handlers see what the app around them provides. */
export type RouteGroup<Owner, Prefix extends string> = Routes & Provides<ProvidedBy<Owner>> & { readonly prefix: Prefix }
