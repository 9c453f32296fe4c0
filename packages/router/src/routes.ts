import type { Context, Next } from '@iopa/appbuilder'
import type { ContextKey, OutputOf, PathParams, ProvidedBy, Provides, RouteAttributes, Schema } from '@iopa/appbuilder/extension'

/** The prefix of a group; nothing for an app. */
type PrefixOf<Owner> = Owner extends { readonly prefix: infer Prefix extends string } ? Prefix : ''

/** The keys that middleware says it provides, of one or of an array. */
type ProvidedIn<Middleware> = Middleware extends { readonly provides: readonly (infer Key)[] }
  ? Extract<Key, ContextKey>
  : Middleware extends readonly (infer Item)[]
    ? ProvidedIn<Item>
    : never

/** The input of a handler, which the schema of its route has validated. */
export interface WithInput<Input> {
  readonly input: Input
  readonly 'iopa.Input': Input
}

/**
 * Handles what a pattern matches: `context.params` has the names in the pattern, the keys that the app, the group and the middleware of the
 * route provide are there, and `context.input` is what the schema of the route gives.
 */
export type RouteHandler<Owner, Path extends string, Provided extends ContextKey = never, Input = unknown> = (
  context: Context<ProvidedBy<Owner> | Provided, PathParams<`${PrefixOf<Owner>}${Path}`>> & WithInput<Input>,
  next: Next
) => unknown

/** What a route says of itself; its handler gets what `input` gives. */
export type AttributesOf<Input extends Schema> = RouteAttributes & { readonly input?: Input }

/** One layer of a route: a function, or an object with `invoke`. */
type Layer<Owner, Path extends string, Provided extends ContextKey = never, Input = unknown> =
  | RouteHandler<Owner, Path, Provided, Input>
  | { readonly invoke: RouteHandler<Owner, Path, Provided, Input> }

/** What runs before the handler of a route: a function, an object with `invoke`, or an array of them. */
export type RouteMiddleware<Owner, Path extends string, Provided extends ContextKey = never> =
  | Layer<Owner, Path, Provided>
  | readonly (Layer<Owner, Path, Provided> | readonly Layer<Owner, Path, Provided>[])[]

/** Middleware, and the handler last. */
export type RouteChain<Owner, Path extends string, Provided extends ContextKey = never, Input = unknown> = readonly [
  RouteMiddleware<Owner, Path, Provided>,
  ...RouteMiddleware<Owner, Path, Provided>[],
  Layer<Owner, Path, Provided, Input>
]

/**
 * Adds a route for one method, or for all of them: `(path, attributes?, ...middleware, handler)`. Middleware runs in order before the
 * handler. What the first three say they provide is typed for those behind them.
 */
export interface AddRoute {
  /** @throws IopaError 500 where the pattern is not valid or is taken. */
  <Owner, const Path extends string>(this: Owner, path: Path, handler: RouteHandler<Owner, Path>): Owner
  /** With what the route says of itself. */
  <Owner, const Path extends string, I extends Schema>(
    this: Owner,
    path: Path,
    attributes: AttributesOf<I>,
    handler: RouteHandler<Owner, Path, never, OutputOf<I>>
  ): Owner
  /** With one middleware. */
  <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>>(
    this: Owner,
    path: Path,
    first: A,
    handler: Layer<Owner, Path, ProvidedIn<A>>
  ): Owner
  <Owner, const Path extends string, I extends Schema, A extends RouteMiddleware<Owner, Path>>(
    this: Owner,
    path: Path,
    attributes: AttributesOf<I>,
    first: A,
    handler: Layer<Owner, Path, ProvidedIn<A>, OutputOf<I>>
  ): Owner
  /** With two. */
  <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>>(
    this: Owner,
    path: Path,
    first: A,
    second: B,
    handler: Layer<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>
  ): Owner
  <Owner, const Path extends string, I extends Schema, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>>(
    this: Owner,
    path: Path,
    attributes: AttributesOf<I>,
    first: A,
    second: B,
    handler: Layer<Owner, Path, ProvidedIn<A> | ProvidedIn<B>, OutputOf<I>>
  ): Owner
  /** With three and more. */
  <
    Owner,
    const Path extends string,
    A extends RouteMiddleware<Owner, Path>,
    B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>,
    C extends RouteMiddleware<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>
  >(
    this: Owner,
    path: Path,
    first: A,
    second: B,
    third: C,
    ...rest: RouteRest<Owner, Path, ProvidedIn<A> | ProvidedIn<B> | ProvidedIn<C>>
  ): Owner
  <
    Owner,
    const Path extends string,
    I extends Schema,
    A extends RouteMiddleware<Owner, Path>,
    B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>,
    C extends RouteMiddleware<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>
  >(
    this: Owner,
    path: Path,
    attributes: AttributesOf<I>,
    first: A,
    second: B,
    third: C,
    ...rest: RouteRest<Owner, Path, ProvidedIn<A> | ProvidedIn<B> | ProvidedIn<C>, OutputOf<I>>
  ): Owner
}

/** More middleware, where there is any, and the handler. */
type RouteRest<Owner, Path extends string, Provided extends ContextKey, Input = unknown> = readonly [
  ...RouteMiddleware<Owner, Path, Provided>[],
  Layer<Owner, Path, Provided, Input>
]

/** Adds a route for a method of any name: `(method, path, attributes?, ...middleware, handler)`. */
export interface AddMethodRoute {
  /** @throws IopaError 500 where the pattern is not valid or is taken. */
  <Owner, const Path extends string>(this: Owner, method: string, path: Path, handler: RouteHandler<Owner, Path>): Owner
  /** With what the route says of itself. */
  <Owner, const Path extends string, I extends Schema>(
    this: Owner,
    method: string,
    path: Path,
    attributes: AttributesOf<I>,
    handler: RouteHandler<Owner, Path, never, OutputOf<I>>
  ): Owner
  /** With one middleware. */
  <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>>(
    this: Owner,
    method: string,
    path: Path,
    first: A,
    handler: Layer<Owner, Path, ProvidedIn<A>>
  ): Owner
  <Owner, const Path extends string, I extends Schema, A extends RouteMiddleware<Owner, Path>>(
    this: Owner,
    method: string,
    path: Path,
    attributes: AttributesOf<I>,
    first: A,
    handler: Layer<Owner, Path, ProvidedIn<A>, OutputOf<I>>
  ): Owner
  /** With several, whose keys are not typed. */
  <Owner, const Path extends string>(this: Owner, method: string, path: Path, ...chain: RouteChain<Owner, Path>): Owner
  <Owner, const Path extends string, I extends Schema>(
    this: Owner,
    method: string,
    path: Path,
    attributes: AttributesOf<I>,
    ...chain: RouteChain<Owner, Path, never, OutputOf<I>>
  ): Owner
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
  /** For every method without its own route on the pattern. */
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
export type RouteGroup<Owner, Prefix extends string> = Routes & GroupMiddleware & Provides<ProvidedBy<Owner>> & { readonly prefix: Prefix }

/** Middleware of a group. */
export interface GroupMiddleware {
  /** Adds middleware for all routes of the group and of the groups within it. @throws IopaError 500 where the group has a route already. */
  use<Owner, Middleware extends RouteMiddleware<Owner, ''>>(this: Owner, middleware: Middleware): Owner & Provides<ProvidedIn<Middleware>>
}
