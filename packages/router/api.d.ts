// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { ContextKey, ProvidedBy, PathParams, Schema, RouteAttributes, OutputOf, Provides, Extension } from "@iopa/appbuilder/extension";
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
interface WithInput<Input> {
    readonly input: Input;
    readonly "iopa.Input": Input;
}
type RouteHandler<Owner, Path extends string, Provided extends ContextKey = never, Input = unknown> = (context: Context<ProvidedBy<Owner> | Provided, PathParams<`${PrefixOf<Owner>}${Path}`>> & WithInput<Input>, next: Next) => unknown;
type AttributesOf<Input extends Schema> = RouteAttributes & {
    readonly input?: Input;
};
type Layer<Owner, Path extends string, Provided extends ContextKey = never, Input = unknown> = RouteHandler<Owner, Path, Provided, Input> | {
    readonly invoke: RouteHandler<Owner, Path, Provided, Input>;
};
type RouteMiddleware<Owner, Path extends string, Provided extends ContextKey = never> = Layer<Owner, Path, Provided> | readonly (Layer<Owner, Path, Provided> | readonly Layer<Owner, Path, Provided>[])[];
type RouteChain<Owner, Path extends string, Provided extends ContextKey = never, Input = unknown> = readonly [
    RouteMiddleware<Owner, Path, Provided>,
    ...RouteMiddleware<Owner, Path, Provided>[],
    Layer<Owner, Path, Provided, Input>
];
interface AddRoute {
    <Owner, const Path extends string>(this: Owner, path: Path, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string, I extends Schema>(this: Owner, path: Path, attributes: AttributesOf<I>, handler: RouteHandler<Owner, Path, never, OutputOf<I>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>>(this: Owner, path: Path, first: A, handler: Layer<Owner, Path, ProvidedIn<A>>): Owner;
    <Owner, const Path extends string, I extends Schema, A extends RouteMiddleware<Owner, Path>>(this: Owner, path: Path, attributes: AttributesOf<I>, first: A, handler: Layer<Owner, Path, ProvidedIn<A>, OutputOf<I>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>>(this: Owner, path: Path, first: A, second: B, handler: Layer<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>): Owner;
    <Owner, const Path extends string, I extends Schema, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>>(this: Owner, path: Path, attributes: AttributesOf<I>, first: A, second: B, handler: Layer<Owner, Path, ProvidedIn<A> | ProvidedIn<B>, OutputOf<I>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>, C extends RouteMiddleware<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>>(this: Owner, path: Path, first: A, second: B, third: C, ...rest: RouteRest<Owner, Path, ProvidedIn<A> | ProvidedIn<B> | ProvidedIn<C>>): Owner;
    <Owner, const Path extends string, I extends Schema, A extends RouteMiddleware<Owner, Path>, B extends RouteMiddleware<Owner, Path, ProvidedIn<A>>, C extends RouteMiddleware<Owner, Path, ProvidedIn<A> | ProvidedIn<B>>>(this: Owner, path: Path, attributes: AttributesOf<I>, first: A, second: B, third: C, ...rest: RouteRest<Owner, Path, ProvidedIn<A> | ProvidedIn<B> | ProvidedIn<C>, OutputOf<I>>): Owner;
}
type RouteRest<Owner, Path extends string, Provided extends ContextKey, Input = unknown> = readonly [
    ...RouteMiddleware<Owner, Path, Provided>[],
    Layer<Owner, Path, Provided, Input>
];
interface AddMethodRoute {
    <Owner, const Path extends string>(this: Owner, method: string, path: Path, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string, I extends Schema>(this: Owner, method: string, path: Path, attributes: AttributesOf<I>, handler: RouteHandler<Owner, Path, never, OutputOf<I>>): Owner;
    <Owner, const Path extends string, A extends RouteMiddleware<Owner, Path>>(this: Owner, method: string, path: Path, first: A, handler: Layer<Owner, Path, ProvidedIn<A>>): Owner;
    <Owner, const Path extends string, I extends Schema, A extends RouteMiddleware<Owner, Path>>(this: Owner, method: string, path: Path, attributes: AttributesOf<I>, first: A, handler: Layer<Owner, Path, ProvidedIn<A>, OutputOf<I>>): Owner;
    <Owner, const Path extends string>(this: Owner, method: string, path: Path, ...chain: RouteChain<Owner, Path>): Owner;
    <Owner, const Path extends string, I extends Schema>(this: Owner, method: string, path: Path, attributes: AttributesOf<I>, ...chain: RouteChain<Owner, Path, never, OutputOf<I>>): Owner;
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
export type { AddMethodRoute, AddRoute, AttributesOf, GroupMiddleware, RouteChain, RouteGroup, RouteHandler, RouteMiddleware, RouterOptions, Routes, WithInput };
