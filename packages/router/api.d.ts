// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { ContextKey, ProvidedBy, PathParams, RouteAttributes, Provides, Extension } from "@iopa/appbuilder/extension";
export { PathParams } from "@iopa/appbuilder/extension";
import { Context, Next } from "@iopa/appbuilder";
interface RouteTableOptions {
    readonly trailingSlash?: "strict" | "ignore";
}
type PrefixOf<Owner> = Owner extends {
    readonly prefix: infer Prefix extends string;
} ? Prefix : "";
type ProvidedIn<Middleware> = Middleware extends {
    readonly provides: readonly (infer Key)[];
} ? Extract<Key, ContextKey> : Middleware extends readonly (infer Item)[] ? ProvidedIn<Item> : never;
type RouteHandler<Owner, Path extends string, Provided extends ContextKey = never> = (context: Context<ProvidedBy<Owner> | Provided, PathParams<`${PrefixOf<Owner>}${Path}`>>, next: Next) => unknown;
type Layer<Owner, Path extends string, Provided extends ContextKey = never> = RouteHandler<Owner, Path, Provided> | {
    readonly invoke: RouteHandler<Owner, Path, Provided>;
};
type RouteMiddleware<Owner, Path extends string, Provided extends ContextKey = never> = Layer<Owner, Path, Provided> | readonly (Layer<Owner, Path, Provided> | readonly Layer<Owner, Path, Provided>[])[];
type RouteChain<Owner, Path extends string, Provided extends ContextKey = never> = readonly [
    RouteMiddleware<Owner, Path, Provided>,
    ...RouteMiddleware<Owner, Path, Provided>[],
    Layer<Owner, Path, Provided>
];
interface AddRoute {
    <Owner, const Path extends string>(this: Owner, path: Path, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string>(this: Owner, path: Path, attributes: RouteAttributes, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>>(this: Owner, path: Path, first: A, handler: Layer<Owner, Path, ProvidedIn<A>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>>(this: Owner, path: Path, attributes: RouteAttributes, first: A, handler: Layer<Owner, Path, ProvidedIn<A>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>>(this: Owner, path: Path, first: A, second: B, handler: Layer<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>>(this: Owner, path: Path, attributes: RouteAttributes, first: A, second: B, handler: Layer<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>, C extends RouteMiddleware<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>>(this: Owner, path: Path, first: A, second: B, third: C, ...rest: RouteRest<Owner, Path, ProvidedIn<A> | ProvidedIn<B> | ProvidedIn<C>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>, C extends RouteMiddleware<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>>(this: Owner, path: Path, attributes: RouteAttributes, first: A, second: B, third: C, ...rest: RouteRest<Owner, Path, ProvidedIn<A> | ProvidedIn<B> | ProvidedIn<C>>): Owner;
}
type RouteRest<Owner, Path extends string, Provided extends ContextKey> = readonly [
    ...RouteMiddleware<Owner, Path, Provided>[],
    Layer<Owner, Path, Provided>
];
interface AddMethodRoute {
    <Owner, const Path extends string>(this: Owner, method: string, path: Path, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string>(this: Owner, method: string, path: Path, attributes: RouteAttributes, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>>(this: Owner, method: string, path: Path, first: A, handler: Layer<Owner, Path, ProvidedIn<A>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>>(this: Owner, method: string, path: Path, attributes: RouteAttributes, first: A, handler: Layer<Owner, Path, ProvidedIn<A>>): Owner;
    <Owner, const Path extends string>(this: Owner, method: string, path: Path, ...chain: RouteChain<Owner, Path>): Owner;
    <Owner, const Path extends string>(this: Owner, method: string, path: Path, attributes: RouteAttributes, ...chain: RouteChain<Owner, Path>): Owner;
}
interface Routes {
    readonly get: AddRoute;
    readonly head: AddRoute;
    readonly post: AddRoute;
    readonly put: AddRoute;
    readonly patch: AddRoute;
    readonly delete: AddRoute;
    readonly options: AddRoute;
    readonly all: AddRoute;
    readonly on: AddMethodRoute;
    group<Owner, const Prefix extends string>(this: Owner, prefix: Prefix, build: (group: NoInfer<RouteGroup<Owner, `${PrefixOf<Owner>}${Prefix}`>>) => unknown): Owner;
}
type RouteGroup<Owner, Prefix extends string> = Routes & GroupMiddleware & Provides<ProvidedBy<Owner>> & {
    readonly prefix: Prefix;
};
interface GroupMiddleware {
    use<Owner, Middleware extends RouteMiddleware<Owner, "">>(this: Owner, middleware: Middleware): Owner & Provides<ProvidedIn<Middleware>>;
}
interface RouterOptions extends RouteTableOptions {
}
declare const router: (options?: RouterOptions) => Extension<Routes>;
export { router };
export type { AddMethodRoute, AddRoute, GroupMiddleware, RouteChain, RouteGroup, RouteHandler, RouteMiddleware, RouterOptions, Routes };
