// Written by pnpm api.

// app-types.d.ts
/// <reference lib="esnext.disposable" />
import { IopaKeys, KeysDeclaration } from "@iopa/constants";
import { Context } from "@iopa/context";
import { RouteAttributes, RouteInfo, Transport } from "@iopa/transport";
interface Next {
    (): Promise<unknown>;
    invoke(context: Context): Promise<unknown>;
}
type MiddlewareFunction<C = Context> = (context: C, next: Next) => unknown;
interface MiddlewareObject<C = Context> {
    invoke?(context: C, next: Next): unknown;
    dispatch?(context: Context, next: Next): unknown;
}
interface Declarations<Required extends keyof IopaKeys = never, Provided extends keyof IopaKeys = never> {
    readonly name?: string;
    readonly provides?: readonly Provided[];
    readonly requires?: readonly Required[];
    readonly answers?: boolean;
    readonly keys?: KeysDeclaration | readonly KeysDeclaration[];
    readonly neutral?: boolean;
}
type DeclaredMiddleware<Required extends keyof IopaKeys, Provided extends keyof IopaKeys> = (MiddlewareFunction<Context<Required>> | MiddlewareObject<Context<Required>>) & {
    readonly provides: readonly Provided[];
    readonly requires?: readonly Required[];
};
declare const defineMiddleware: <const Required extends keyof IopaKeys = never, const Provided extends keyof IopaKeys = never>(declarations: Declarations<Required, Provided>, middleware: MiddlewareFunction<Context<Required>>) => DefinedMiddleware<Required, Provided>;
type DefinedMiddleware<Required extends keyof IopaKeys, Provided extends keyof IopaKeys> = MiddlewareFunction<Context<Required>> & {
    readonly provides: readonly Provided[];
    readonly requires: readonly Required[];
    readonly keys?: KeysDeclaration | readonly KeysDeclaration[];
    readonly neutral?: boolean;
};
interface RouteRegistry {
    add(method: string | undefined, pattern: string, attributes: RouteAttributes, chain: readonly (MiddlewareFunction | MiddlewareObject)[]): RegisteredRoute;
}
interface RegisteredRoute {
    remove(): void;
}
declare const PROVIDED: unique symbol;
type ContextKey = keyof IopaKeys;
interface Provides<Key extends keyof IopaKeys> {
    readonly [PROVIDED]?: {
        readonly [K in Key]: true;
    };
}
type RequiredBy<App> = App extends {
    readonly "~requires"?: infer Keys;
} ? Extract<keyof NonNullable<Keys>, keyof IopaKeys> : never;
type ProvidedBy<App> = (App extends {
    readonly [PROVIDED]?: infer Keys;
} ? Extract<keyof NonNullable<Keys>, keyof IopaKeys> : never) | RequiredBy<App>;
type ContextOf<App, Params = Readonly<Record<string, string>>> = Context<ProvidedBy<App>, Params>;
type Check<Required extends keyof IopaKeys, Provided> = [
    Exclude<Required, Provided>
] extends [
    never
] ? unknown : {
    readonly "keys that nothing before provides": Exclude<Required, Provided>;
};
interface AppHandle {
    readonly capabilities: Record<string, Record<string, unknown>>;
    readonly registry: RouteRegistry;
    notifyWhere(matches: (path: string) => boolean, known?: Iterable<string>): void;
}
interface Extension<Methods extends object> {
    readonly name: string;
    extend(app: AppHandle): Methods;
    invoke?(context: Context, next: Next): unknown;
    dispatch?(context: Context, next: Next): unknown;
    routes?(): Iterable<RouteInfo>;
    readonly registry?: RouteRegistry;
}
interface Mountable {
    readonly use: Use;
}
interface Mount {
    <This, Inner extends Mountable>(this: This, path: string, app: Inner & Check<RequiredBy<Inner>, ProvidedBy<This>>, ...surplus: never[]): This;
    <This>(this: This, path: string, middleware: MiddlewareFunction<ContextOf<This>>, ...surplus: never[]): This;
    <This>(this: This, path: string, middleware: PlainMiddlewareObject<ContextOf<This>>, ...surplus: never[]): This;
    <This, Required extends keyof IopaKeys>(this: This, path: string, middleware: (MiddlewareFunction<Context<Required>> | MiddlewareObject<Context<Required>>) & {
        readonly requires: readonly Required[];
    } & Check<Required, ProvidedBy<This>>, ...surplus: never[]): This;
}
type PlainMiddlewareObject<C> = MiddlewareObject<C> & {
    readonly provides?: never;
    readonly requires?: never;
    readonly extend?: never;
    readonly "~requires"?: never;
};
interface Use {
    <This, Required extends keyof IopaKeys = never, Provided extends keyof IopaKeys = never>(this: This, middleware: DeclaredMiddleware<Required, Provided> & Check<Required, ProvidedBy<This>>): This & Provides<Provided>;
    <This, Inner extends Mountable>(this: This, app: Inner & Check<RequiredBy<Inner>, ProvidedBy<This>>): This;
    <This>(this: This, middleware: MiddlewareFunction<ContextOf<This>>): This;
    <This>(this: This, middleware: PlainMiddlewareObject<ContextOf<This>>): This;
    <This>(this: This, transport: Transport): This;
    <This, Methods extends object>(this: This, extension: Extension<Methods>): This & Methods;
    <This, Options extends readonly unknown[]>(this: This, middleware: new (app: never, ...options: Options) => MiddlewareObject, ...options: Options): This;
    <This, Required extends keyof IopaKeys = never, Provided extends keyof IopaKeys = never>(this: This, middleware: DeclaredMiddleware<Required, Provided> & Check<Required, ProvidedBy<This>>): This & Provides<Provided>;
}
export { defineMiddleware as k };
export type { AppHandle as A, Check as C, Declarations as D, Extension as E, MiddlewareFunction as M, Next as N, PlainMiddlewareObject as P, RegisteredRoute as R, Use as U, ContextKey as a, ContextOf as b, DeclaredMiddleware as c, DefinedMiddleware as d, Mount as e, ProvidedBy as f, Provides as g, RequiredBy as h, RouteRegistry as i, MiddlewareObject as j };

// extension.d.ts
/// <reference lib="esnext.disposable" />
export { MethodContract, PathParams, Pattern, PatternParams, PatternSegment, PatternValues, ResourceContract, RouteAttributes, RouteInfo, Schema, SchemaIssue, SchemaResult, SecurityScheme, checkOptions, expandPattern, isUnrouted, markFactory, matchPattern, parsePattern, pathsOfRoute } from "@iopa/transport";
export { argumentError, callSite, checkSurplus, contentTag, formatHttpDate, kindOf, parseHttpDate } from "@iopa/transport/host";
import { MiddlewareFunction } from "./index.js";
export { A as AppHandle, C as Check, a as ContextKey, b as ContextOf, D as Declarations, c as DeclaredMiddleware, d as DefinedMiddleware, E as Extension, e as Mount, P as PlainMiddlewareObject, f as ProvidedBy, g as Provides, R as RegisteredRoute, h as RequiredBy, i as RouteRegistry, U as Use } from "./app-types.js";
import { RunContext } from "@iopa/context/host";
import { Context } from "@iopa/context";
import "@iopa/constants";
type Pipeline = (context: RunContext) => unknown;
declare const noteMethods: (context: Context, methods: readonly string[], shown?: readonly string[]) => void;
declare const isNoted: (context: Context) => boolean;
declare const sequence: (layers: readonly MiddlewareFunction[], terminal?: Pipeline, names?: readonly string[]) => MiddlewareFunction;
interface PreconditionOptions {
    readonly method: string | undefined;
    readonly own: boolean;
    hasGet(path: string): boolean;
}
declare const withPreconditions: (handler: MiddlewareFunction, { method, own, hasGet }: PreconditionOptions) => MiddlewareFunction;
export { isNoted, noteMethods, sequence, withPreconditions };
export type { Pipeline, PreconditionOptions };

// index.d.ts
/// <reference lib="esnext.disposable" />
import { IopaKeys as IopaKeys$1, Logger, Codec, Bag, Capabilities, User, CoreKeys } from "@iopa/constants";
export { Bag, IopaError, Logger, User, defineKeys, isIopaError } from "@iopa/constants";
import { BaseContext, Context, ReceivedAnswer, EndReason } from "@iopa/context";
export { Answer, Context, ReceivedAnswer, Reply, reply } from "@iopa/context";
import { Limits, Clock, RouteInfo, Host, Listener, ConnectOptions, Client, Counts, CoreRouteAttributes } from "@iopa/transport";
export { Client, ConnectOptions, Counts, Limits, RequestOptions, TlsOptions, Transport } from "@iopa/transport";
import { OwnedContext } from "@iopa/context/host";
import { RouteRegistry, Use, Mount, Provides, ProvidedBy } from "./extension.js";
export { M as MiddlewareFunction, j as MiddlewareObject, N as Next, k as defineMiddleware } from "./app-types.js";
interface AppOptions<Required extends keyof IopaKeys$1 = keyof IopaKeys$1> {
    readonly logger?: Logger | false;
    readonly limits?: Partial<Limits>;
    readonly codecs?: Iterable<Codec>;
    readonly clock?: Clock;
    readonly requires?: readonly Required[];
}
interface ObserveOptions {
    readonly signal?: AbortSignal;
    readonly headers?: Bag["iopa.Headers"];
}
interface Explanation {
    readonly pipeline: readonly {
        readonly name: string;
        readonly provides: readonly string[];
        readonly requires: readonly string[];
    }[];
    readonly routes: readonly RouteInfo[];
    readonly open: readonly string[];
    readonly keys: readonly {
        readonly namespace: string;
        readonly owner: string;
        readonly names: readonly string[];
    }[];
    readonly transports: readonly {
        readonly name: string;
        readonly schemes: readonly string[];
        readonly urls: readonly string[];
    }[];
    readonly limits: Limits;
    toString(): string;
}
declare class App<Required extends keyof IopaKeys$1 = never> {
    #private;
    readonly "~requires"?: {
        readonly [K in Required]: true;
    };
    readonly limits: Limits;
    readonly clock: Clock;
    readonly logger: Logger;
    constructor(options?: AppOptions<Required>);
    get live(): number;
    get capabilities(): Capabilities;
    get registry(): RouteRegistry;
    readonly use: Use;
    readonly mount: Mount;
    fork(when: (context: BaseContext) => boolean, build: (branch: App & Provides<ProvidedBy<this>>) => unknown, ...surplus: never[]): this;
    build(): (context: Context) => Promise<unknown>;
    invoke(request: Bag | Context): Promise<ReceivedAnswer>;
    create(bag: Bag): OwnedContext;
    defer(dispose: (reason: EndReason) => unknown): void;
    host(name?: string): Host;
    listen(...surplus: never[]): Promise<Listener[]>;
    close(options?: {
        readonly timeout?: number;
    }): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
    connect(url: string | URL, options?: ConnectOptions): Promise<Client>;
    observe(path: string, options?: ObserveOptions): AsyncIterable<ReceivedAnswer>;
    notify(path: string): void;
    revoke(user: string | User): void;
    routes(): Generator<RouteInfo>;
    explain(): Explanation;
    counters(): Readonly<Record<string, Counts>>;
}
interface IopaKeys extends CoreKeys {
}
interface AppKeys extends IopaKeys {
}
declare module "@iopa/constants" {
    interface IopaKeys extends AppKeys {
    }
}
interface RouteAttributes extends CoreRouteAttributes {
}
interface AppAttributes extends RouteAttributes {
}
declare module "@iopa/transport" {
    interface RouteAttributes extends AppAttributes {
    }
}
export { App, App as AppBuilder };
export type { AppOptions, Explanation, IopaKeys, ObserveOptions, RouteAttributes };
