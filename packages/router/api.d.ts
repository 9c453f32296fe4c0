// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { ContextOf, RouteAttributes, Provides, ProvidedBy, Extension } from "@iopa/appbuilder/extension";
import { Next } from "@iopa/appbuilder";
type PathParams<Pattern extends string> = string extends Pattern ? Readonly<Record<string, string | undefined>> : Named<Names<Pattern>>;
type Named<Name extends string> = {
    readonly [Key in Name as Key extends `${string}?` ? never : Key]: string;
} & {
    readonly [Key in Name as Key extends `${infer Bare}?` ? Bare : never]?: string | undefined;
} extends infer Params ? {
    readonly [Key in keyof Params]: Params[Key];
} : never;
type Names<Pattern extends string> = Pattern extends `${infer Before}{${infer After}` ? Close<After> extends [
    infer Body extends string,
    infer Rest extends string
] ? NamesOfColons<Before, Mark<Rest>> | (EndsInColonName<Before> extends true ? never : Marked<BraceName<Body>, Mark<Rest>>) | Names<Rest> : never : NamesOfColons<Pattern, "">;
type Close<Text extends string, Taken extends string = "", Open extends unknown[] = [
]> = Text extends `${infer Body}}${infer Rest}` ? [
    ...Open,
    ...Opened<Body>
] extends [
    unknown,
    ...infer Left
] ? Close<Rest, `${Taken}${Body}}`, Left> : [
    `${Taken}${Body}`,
    Rest
] : never;
type Opened<Text extends string> = Text extends `${string}{${infer Rest}` ? [
    unknown,
    ...Opened<Rest>
] : [
];
type BraceName<Body extends string> = Body extends `${infer Name}:${string}` ? Name : Body extends `${infer Name}*` ? Name : Body;
type NamesOfColons<Text extends string, Last extends string> = Text extends `${infer Segment}/${infer Rest}` ? NameOfColon<Segment, ""> | NamesOfColons<Rest, Last> : NameOfColon<Text, Last>;
type NameOfColon<Segment extends string, Last extends string> = Segment extends `:${infer Name}` ? Marked<Name, Last> : Segment extends "*" | "*?" ? Segment : never;
type EndsInColonName<Text extends string> = Text extends `${string}/${infer Rest}` ? EndsInColonName<Rest> : Text extends `:${string}` ? true : false;
type Mark<Rest extends string> = Rest extends `?${string}` ? "?" : "";
type Marked<Name extends string, Last extends string> = Name extends "" ? never : `${Name}${Last}`;
interface RouteTableOptions {
    readonly trailingSlash?: "strict" | "ignore";
}
type PrefixOf<Owner> = Owner extends {
    readonly prefix: infer Prefix extends string;
} ? Prefix : "";
type RouteHandler<Owner, Path extends string> = (context: ContextOf<Owner, PathParams<`${PrefixOf<Owner>}${Path}`>>, next: Next) => unknown;
type RouteMiddleware<Owner, Path extends string> = RouteHandler<Owner, Path> | {
    readonly invoke: RouteHandler<Owner, Path>;
} | readonly RouteMiddleware<Owner, Path>[];
interface AddRoute {
    <Owner, const Path extends string>(this: Owner, path: Path, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string>(this: Owner, path: Path, attributes: RouteAttributes, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string>(this: Owner, path: Path, ...chain: RouteChain<Owner, Path>): Owner;
    <Owner, const Path extends string>(this: Owner, path: Path, attributes: RouteAttributes, ...chain: RouteChain<Owner, Path>): Owner;
}
type RouteChain<Owner, Path extends string> = readonly [
    RouteMiddleware<Owner, Path>,
    ...RouteMiddleware<Owner, Path>[],
    RouteHandler<Owner, Path> | {
        readonly invoke: RouteHandler<Owner, Path>;
    }
];
interface AddMethodRoute {
    <Owner, const Path extends string>(this: Owner, method: string, path: Path, handler: RouteHandler<Owner, Path>): Owner;
    <Owner, const Path extends string>(this: Owner, method: string, path: Path, attributes: RouteAttributes, handler: RouteHandler<Owner, Path>): Owner;
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
type RouteGroup<Owner, Prefix extends string> = Routes & Provides<ProvidedBy<Owner>> & {
    readonly prefix: Prefix;
};
interface RouterOptions extends RouteTableOptions {
}
declare const router: (options?: RouterOptions) => Extension<Routes>;
export { router };
export type { AddMethodRoute, AddRoute, PathParams, RouteChain, RouteGroup, RouteHandler, RouteMiddleware, RouterOptions, Routes };
