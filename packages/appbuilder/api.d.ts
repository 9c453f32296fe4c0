// Written by pnpm api.

// app-types.d.ts
/// <reference lib="esnext.disposable" />
import { IopaKeys, KeysDeclaration, Logger } from "@iopa/constants";
import { Context, EndReason } from "@iopa/context";
import { SecurityScheme, PatternSegment, RouteAttributes, Clock, RouteInfo, Change, Subscription, Activity, Counts, Transport } from "@iopa/transport";
interface Next {
    (): Promise<unknown>;
    invoke(context: Context): Promise<unknown>;
}
type MiddlewareFunction<C = Context> = (context: C, next: Next) => unknown;
interface MiddlewareObject<C = Context> {
    invoke?(context: C, next: Next): unknown;
    dispatch?(context: Context, next: Next): unknown;
}
type Permits = (as: Context, method: string | undefined, segments: readonly PatternSegment[]) => boolean;
interface Declarations<Required extends keyof IopaKeys = never, Provided extends keyof IopaKeys = never> {
    readonly name?: string;
    readonly provides?: readonly Provided[];
    readonly requires?: readonly Required[];
    readonly answers?: boolean;
    readonly keys?: KeysDeclaration | readonly KeysDeclaration[];
    readonly neutral?: boolean;
    readonly security?: readonly SecurityScheme[];
    readonly permits?: Permits;
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
    add(method: string | undefined, pattern: string, attributes: RouteAttributes, chain: readonly (MiddlewareFunction | MiddlewareObject)[], place?: () => string): RegisteredRoute;
    validateWith(validator: RouteValidator): void;
}
type RouteValidator = (route: {
    readonly method: string | undefined;
    readonly pattern: string;
    readonly attributes: RouteAttributes;
}, handler: MiddlewareFunction) => MiddlewareFunction | undefined;
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
    readonly clock: Clock;
    readonly logger: Logger;
    routes(as?: Context, where?: (route: RouteInfo) => boolean): Iterable<RouteInfo>;
    transports(): readonly {
        readonly name: string;
        readonly schemes: readonly string[];
        readonly urls: readonly string[];
    }[];
    notify(path: string): void;
    mayGet(path: string, as: Context): boolean | Promise<boolean>;
    endLogin(id: string, login: string): void;
    changes(listener: (change: Change) => void): Subscription;
    originOf(notification: Context): Context | null;
    activity(listener: (activity: Activity) => void): Subscription;
    counters(): Readonly<Record<string, Counts>>;
    readonly closing: boolean;
    defer(dispose: (reason: EndReason) => unknown): void;
    routesChanged(): void;
    notifyWhere(matches: (path: string) => boolean, known?: Iterable<string>): void;
}
interface Extension<Methods extends object> {
    readonly name: string;
    extend(app: AppHandle): Methods;
    readonly needsApp?: boolean;
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
export { defineMiddleware as l };
export type { AppHandle as A, Check as C, Declarations as D, Extension as E, MiddlewareFunction as M, Next as N, PlainMiddlewareObject as P, RegisteredRoute as R, Use as U, MiddlewareObject as a, ContextKey as b, ContextOf as c, DeclaredMiddleware as d, DefinedMiddleware as e, Mount as f, ProvidedBy as g, Provides as h, RequiredBy as i, RouteRegistry as j, RouteValidator as k };

// extension.d.ts
/// <reference lib="esnext.disposable" />
import { EarlierState, RunContext } from "@iopa/context/host";
export { EarlierState, valueType } from "@iopa/context/host";
import { Clock, MethodTypes, ResourceTypes, ResourceContract } from "@iopa/transport";
export { Activity, Change, Clock, CollectionContract, CollectionItem, CollectionPage, CollectionQuery, CollectionQueryInput, CollectionTypes, Counts, ErrorContract, HistoryItem, HistoryPage, HistoryQuery, HistoryTypes, InputFault, InputOf, JsonSchemaOptions, MethodContract, MethodTypes, OptionCheck, OutputOf, ParamsOf, PathParams, Pattern, PatternParams, PatternSegment, PatternValues, PresenceState, RepresentationOf, ResourceContract, ResourceTypes, RouteAttributes, RouteInfo, RoutePermits, Schema, SchemaIssue, SchemaResult, SecurityScheme, StateOf, Subscription, TwinContract, TwinState, TwinTypes, TypesOf, addressGroup, checkOptions, expandPattern, faultsOf, historyContract, invalidInput, isUnrouted, markFactory, matchPattern, optionError, paramNames, parsePattern, pathsOfRoute, userKeyOf, validate } from "@iopa/transport";
export { argumentError, callSite, checkSurplus, contentTag, formatHttpDate, kindOf, parseHttpDate } from "@iopa/transport/host";
import { MiddlewareFunction, Next, MiddlewareObject } from "./index.js";
export { A as AppHandle, C as Check, b as ContextKey, c as ContextOf, D as Declarations, d as DeclaredMiddleware, e as DefinedMiddleware, E as Extension, f as Mount, P as PlainMiddlewareObject, g as ProvidedBy, h as Provides, R as RegisteredRoute, i as RequiredBy, j as RouteRegistry, k as RouteValidator, U as Use } from "./app-types.js";
import { Context, Reply, EndReason } from "@iopa/context";
import { HeaderFields, Logger } from "@iopa/constants";
declare const clockOf: (context: Context) => Clock;
declare const protocolOf: (context: Context) => Readonly<Record<string, unknown>>;
declare const sentBytes: (context: Context, whole: boolean) => number | null;
declare const whenObserved: (context: Context, listener: () => void) => void;
declare const deliveriesOf: (context: Context) => number;
declare const replayFirst: (context: Context, states: AsyncIterable<EarlierState>) => void;
type Pipeline = (context: RunContext) => unknown;
declare const noteMethods: (context: Context, methods: readonly string[], shown?: readonly string[]) => void;
declare const isNoted: (context: Context) => boolean;
declare const sequence: (layers: readonly MiddlewareFunction[], terminal?: Pipeline, names?: readonly string[]) => MiddlewareFunction;
interface PreconditionOptions {
    readonly method: string | undefined;
    readonly own: boolean;
    hasGet(path: string): boolean;
}
interface CheckedHandler extends MiddlewareFunction {
    readonly check: (context: Context) => unknown;
    readonly perform: (checked: unknown, context: Context, next: Next) => unknown;
    readonly exclusive: boolean;
}
declare const withPreconditions: (handler: MiddlewareFunction, { method, own, hasGet }: PreconditionOptions) => MiddlewareFunction;
interface Current {
    readonly exists: boolean;
    readonly etag: string | undefined;
    readonly lastModified: string | undefined;
    readonly isVersion?: (tag: string) => boolean;
}
type Verdict = "proceed" | "not-modified" | "failed";
declare const evaluate: (headers: HeaderFields, current: Current, reads: boolean) => Verdict;
interface RunNesting<T> {
    current(): T | undefined;
    run<R>(value: T, work: () => R): R;
    stop(): void;
}
declare const runNesting: <T>() => RunNesting<T>;
interface ResourceRequest<Params = unknown, Query = unknown, Headers = unknown, Input = unknown> {
    readonly params: Params;
    readonly query: Query;
    readonly headers: Headers;
    readonly input: Input;
    readonly context: Context;
}
interface Patch<State> {
    apply(state: State): State | Promise<State>;
}
type ResourceValue<T> = T | Reply | Response | undefined;
type ResourceHandler<Params, Method extends MethodTypes, Input = Method["input"], Answer = Method["answer"]> = (request: ResourceRequest<Params, Method["query"], Method["headers"], Input>) => ResourceValue<Answer> | Promise<ResourceValue<Answer>>;
type ResourceHandlers<Types extends ResourceTypes> = {
    readonly [Name in Exclude<keyof Types["methods"], PatchName>]: ResourceHandler<Types["params"], Types["methods"][Name]>;
} & {
    readonly [Name in Extract<keyof Types["methods"], PatchName>]?: ResourceHandler<Types["params"], Types["methods"][Name], Patch<Types["state"]>>;
};
type PatchName = "patch" | "ipatch";
interface ServeOptions {
    readonly middleware?: readonly (MiddlewareFunction | MiddlewareObject)[];
    readonly instances?: () => Iterable<string>;
    readonly preconditions?: "own";
}
interface ResourceServer<Types extends ResourceTypes = ResourceTypes> {
    serve(contract: ResourceContract<Types>, host: ServeHost, options?: ServeOptions): void;
}
interface ServeHost {
    readonly clock: Clock;
    readonly logger: Logger;
    serve<Types extends ResourceTypes>(contract: ResourceContract<Types>, handlers: ResourceHandlers<Types>, options?: ServeOptions): void;
    notify(path: string): void;
    mayGet(path: string, as: Context): boolean | Promise<boolean>;
    defer(dispose: (reason: EndReason) => unknown): void;
}
type StorageChange = {
    readonly type: "put";
    readonly key: string;
    readonly value: Uint8Array;
} | {
    readonly type: "delete";
    readonly key: string;
};
interface StorageRange {
    readonly prefix?: string;
    readonly after?: string;
    readonly limit?: number;
    readonly reverse?: boolean;
}
interface Storage {
    get(key: string): Promise<Uint8Array | undefined>;
    put(key: string, value: Uint8Array): Promise<void>;
    delete(key: string): Promise<void>;
    list(range?: StorageRange): AsyncIterable<readonly [
        key: string,
        value: Uint8Array
    ]>;
    batch(changes: readonly StorageChange[]): Promise<void>;
    close(): Promise<void>;
}
export { clockOf, deliveriesOf, evaluate, isNoted, noteMethods, protocolOf, replayFirst, runNesting, sentBytes, sequence, whenObserved, withPreconditions };
export type { CheckedHandler, Current, Patch, Pipeline, PreconditionOptions, ResourceHandler, ResourceHandlers, ResourceRequest, ResourceServer, ResourceValue, RunNesting, ServeHost, ServeOptions, Storage, StorageChange, StorageRange, Verdict };

// index.d.ts
/// <reference lib="esnext.disposable" />
import { IopaKeys as IopaKeys$1, Logger, Codec, Bag, Capabilities, User, CoreKeys } from "@iopa/constants";
export { Bag, IopaError, Logger, User, defineKeys, isIopaError } from "@iopa/constants";
import { BaseContext, Context, ReceivedAnswer, EndReason } from "@iopa/context";
export { Answer, Context, ReceivedAnswer, Reply, reply } from "@iopa/context";
import { Limits, Clock, RouteInfo, Host, Listener, ConnectOptions, Client, Counts, CoreRouteAttributes } from "@iopa/transport";
export { Client, ConnectOptions, Counts, Limits, Peer, PeerClientOptions, RequestOptions, TlsOptions, Transport } from "@iopa/transport";
import { OwnedContext } from "@iopa/context/host";
import { AppHandle, RouteRegistry, Use, Mount, Provides, ProvidedBy } from "./extension.js";
export { M as MiddlewareFunction, a as MiddlewareObject, N as Next, l as defineMiddleware } from "./app-types.js";
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
    readonly transports: ReturnType<AppHandle["transports"]>;
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
