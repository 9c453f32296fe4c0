// Written by pnpm api.

// byte-channel.d.ts
/// <reference lib="esnext.disposable" />
interface Limits {
    readonly body: number;
    readonly bodyMemory: number;
    readonly headerBytes: number;
    readonly headerCount: number;
    readonly pathSegments: number;
    readonly segmentLength: number;
    readonly connections: number;
    readonly connectionsPerAddress: number;
    readonly inFlight: number;
    readonly inFlightPerConnection: number;
    readonly requestTimeout: number;
    readonly headerTimeout: number;
    readonly idleTimeout: number;
    readonly queueMessages: number;
    readonly queueBytes: number;
    readonly observers: number;
    readonly observersPerConnection: number;
    readonly drainTimeout: number;
    readonly failureLogs: number;
}
declare const DEFAULT_LIMITS: Limits;
declare const mergeLimits: (base: Limits, overrides: Partial<Limits> | undefined) => Limits;
interface NamedCertificate {
    readonly key: string | Uint8Array;
    readonly cert: string | Uint8Array;
}
interface TlsOptions {
    readonly key?: string | Uint8Array;
    readonly cert?: string | Uint8Array;
    readonly ca?: string | Uint8Array | readonly (string | Uint8Array)[];
    readonly requestCert?: boolean;
    readonly minVersion?: "TLSv1.2" | "TLSv1.3";
    readonly verify?: boolean;
    readonly serverName?: string;
    readonly sni?: Readonly<Record<string, NamedCertificate>>;
    readonly psk?: Readonly<Record<string, Uint8Array>>;
}
declare const checkTlsOptions: (name: string, given: TlsOptions | undefined, caller: unknown, more?: Readonly<Record<string, true>>) => void;
interface ByteReceiver {
    data(chunk: Uint8Array): void;
    end(): void;
    drain(): void;
    close(error?: Error): void;
}
interface ByteChannel {
    readonly remoteAddress: string;
    readonly remotePort: number;
    readonly localAddress: string;
    readonly localPort: number;
    readonly tls: boolean;
    readonly raw: unknown;
    readonly buffered: number;
    open(receiver: ByteReceiver): void;
    write(bytes: Uint8Array | string): boolean;
    writeAll?(pieces: readonly Uint8Array[]): boolean;
    pause(): void;
    resume(): void;
    end(): void;
    destroy(): void;
    resetUnlessEnded?(): void;
    clientCertificate?(): unknown;
    readonly pskIdentity?: string | undefined;
    readonly protocol?: string | undefined;
}
interface ByteAddress {
    readonly host: string;
    readonly port: number;
    readonly path?: string | undefined;
    readonly mode?: number | undefined;
    readonly fd?: number | undefined;
    readonly proxyProtocol?: {
        readonly from: readonly string[];
        readonly timeout: number;
    } | undefined;
    readonly tls?: TlsOptions | undefined;
    readonly alpn?: readonly string[] | undefined;
    readonly over?: ByteChannel | undefined;
}
declare const proxiedBy: (proxies: readonly string[] | undefined, { headerTimeout }: Pick<Limits, "headerTimeout">) => ByteAddress["proxyProtocol"];
interface ByteServer {
    readonly address: string;
    readonly port: number;
    close(): Promise<void>;
    reload?(tls: TlsOptions): void;
}
interface ByteNetwork {
    listen(address: ByteAddress, accept: (channel: ByteChannel) => void, failed?: () => void, unsecured?: (peer: Pick<ByteChannel, "remoteAddress" | "remotePort">) => void): Promise<ByteServer>;
    connect(address: ByteAddress, signal?: AbortSignal): Promise<ByteChannel>;
}
export { DEFAULT_LIMITS as D, checkTlsOptions as e, mergeLimits as m, proxiedBy as p };
export type { ByteChannel as B, Limits as L, TlsOptions as T, ByteAddress as a, ByteNetwork as b, ByteReceiver as c, ByteServer as d };

// datagram-channel.d.ts
/// <reference lib="esnext.disposable" />
interface DatagramReceiver {
    message(bytes: Uint8Array, address: string, port: number, toMulticast?: boolean): void;
    error(error: Error): void;
}
interface DatagramChannel {
    readonly localAddress: string;
    readonly localPort: number;
    readonly raw: unknown;
    open(receiver: DatagramReceiver): void;
    send(bytes: Uint8Array, port: number, address: string): void;
    join?(group: string): void;
    close(): Promise<void>;
}
interface DatagramAddress {
    readonly host: string;
    readonly port: number;
    readonly shared?: boolean;
    readonly spread?: boolean;
    readonly multicastInterface?: string | undefined;
    readonly multicastHops?: number | undefined;
    readonly peer?: {
        readonly address: string;
        readonly port: number;
    } | undefined;
}
interface DatagramNetwork {
    bind(address: DatagramAddress): Promise<DatagramChannel>;
}
export type { DatagramChannel as D, DatagramNetwork as a, DatagramAddress as b, DatagramReceiver as c };

// entity-tags.d.ts
/// <reference lib="esnext.disposable" />
import { IopaError, Body, Bag, CodecTable, Logger, KeysDeclaration, Codec } from "@iopa/constants";
import { LinkAnswer, Context, SealedAnswer, EndReason, PeerClientOptions, Client } from "@iopa/context";
import { RunContext, ContextFactory, Scope, HeaderMap, ContextInit, OwnedContext, AnsweredContext, HeldBytes } from "@iopa/context/host";
import { L as Limits, T as TlsOptions, B as ByteChannel } from "./byte-channel.js";
declare const argumentError: (caller: unknown, code: string, detail: string) => IopaError;
declare const kindOf: (value: unknown) => string;
type OptionCheck = true | "flag" | "function" | "text" | "texts" | "dtls" | "protection";
declare const checkOptions: (name: string, given: unknown, known: Readonly<Record<string, OptionCheck>>, caller: unknown) => void;
declare const optionError: (detail: string) => IopaError;
declare const requiredPort: (name: string, port: number | undefined) => number;
declare const checkSurplus: (name: string, surplus: readonly unknown[], caller: unknown) => void;
declare const markFactory: <F extends (...values: never[]) => unknown>(name: string, factory: F) => F;
declare const factoryName: (value: unknown) => string | undefined;
type TimerHandle = unknown;
interface TimerOptions {
    readonly keep?: boolean;
}
interface Clock {
    now(): number;
    elapsed(): number;
    setTimeout(callback: () => void, ms: number, options?: TimerOptions): TimerHandle;
    clearTimeout(handle: TimerHandle): void;
    hold?(work: Promise<unknown>): void;
}
declare const systemClock: Clock;
declare const loaded: <T>(clock: Clock, module: Promise<T>) => Promise<T>;
declare const withinTime: (clock: Clock, delay: number, work: Promise<unknown>) => Promise<boolean>;
type Send = (context: RunContext) => unknown;
interface ClientOwner {
    readonly factory: ContextFactory;
    readonly scope: Scope;
    dispatch(send: Send): Send;
}
interface PeerClientOwner extends ClientOwner {
    readonly clock: Clock;
    readonly limits: Limits;
}
interface OutgoingRequest {
    readonly method: string;
    readonly path: string;
    readonly query: string;
    readonly headers: HeaderMap;
    readonly type: string;
    readonly body: Body;
    readonly signal: AbortSignal | undefined;
    readonly bag: Bag;
}
declare const outgoing: (request: Bag, codecs?: CodecTable) => OutgoingRequest;
interface Link {
    readonly concurrency: number;
    readonly closed: Promise<LinkEnd>;
    readonly prefix?: string;
    readonly requestTimeout?: number;
    readonly silence?: string | undefined;
    readonly idleTimeout?: number;
    request(message: OutgoingRequest, options: LinkRequestOptions): Promise<LinkAnswer>;
    subscribe(message: OutgoingRequest, sink: Sink, options: SubscribeOptions): Promise<void>;
    close(): Promise<void>;
}
interface Sink {
    next(answer: LinkAnswer): void | Promise<void>;
    accepted(): void;
}
interface LinkRequestOptions {
    readonly signal: AbortSignal;
    awaits?(what: "receipt" | "answer" | "body"): void;
}
interface SubscribeOptions extends LinkRequestOptions {
    readonly resume?: unknown;
}
interface LinkEnd {
    readonly reason: "finish" | "lost" | "refused";
    readonly error?: unknown;
}
interface LinkLoss {
    readonly sent: boolean;
    readonly repeat?: boolean;
    readonly retryAfter?: number | undefined;
    readonly resume?: unknown;
}
interface Credentials {
    readonly username: string;
    readonly password: string;
}
interface Serving {
    readonly host: Host;
    readonly user: string | undefined;
}
interface OpenOptions {
    readonly signal: AbortSignal;
    readonly clock: Clock;
    readonly limits: Limits;
    readonly tls?: TlsOptions | undefined;
    readonly credentials?: Credentials | undefined;
    readonly serve?: Serving | undefined;
    readonly waitsFor?: ((step: string) => void) | undefined;
}
interface Constraint {
    readonly source: string;
    readonly regex: RegExp;
    test(segment: string): boolean;
    readonly breadth: number;
}
type PatternSegment = {
    readonly kind: "static";
    readonly value: string;
} | {
    readonly kind: "param";
    readonly name: string;
    readonly constraint?: Constraint;
    readonly optional?: boolean;
} | MixedSegment | {
    readonly kind: "tail";
    readonly name: string;
    readonly optional?: boolean;
};
interface MixedSegment {
    readonly kind: "mixed";
    readonly prefix: string;
    readonly params: readonly MixedParam[];
    readonly shape: string;
}
interface MixedParam {
    readonly name: string;
    readonly constraint?: Constraint;
    readonly literal: string;
}
declare const MAX_SEGMENTS = 64;
declare const MAX_SEGMENT_LENGTH = 1024;
declare const isOptionalSegment: (segment: PatternSegment) => boolean;
declare const paramNames: (segment: PatternSegment) => readonly string[];
declare const placeParams: ({ prefix, params }: MixedSegment, text: string, starts: number[], ends: number[], at: number, offset: number) => boolean;
declare const acceptsSegment: (segment: PatternSegment, text: string) => boolean;
declare const compareSegments: (a: PatternSegment, b: PatternSegment) => number;
interface Pattern {
    readonly text: string;
    readonly segments: readonly PatternSegment[];
    readonly variants: readonly (readonly PatternSegment[])[];
}
declare const parsePattern: (text: string) => Pattern;
type PatternParams = Readonly<Record<string, string>>;
type PatternValues = Readonly<Record<string, string | number | undefined>>;
declare const matchPattern: ({ variants }: Pattern, path: string) => PatternParams | undefined;
declare const expandPattern: (pattern: Pattern, values: PatternValues) => string;
interface CollectionContract {
    readonly item: ResourceContract;
    readonly id: string;
    readonly create: boolean;
    readonly page: number;
    readonly filter: readonly string[];
}
interface CollectionItem<State = unknown> {
    readonly id: string;
    readonly state: State;
}
interface CollectionPage<State = unknown> {
    readonly items: readonly CollectionItem<State>[];
    readonly next?: string;
}
type CollectionQuery<Filter extends string = never> = {
    readonly after?: string;
    readonly limit: number;
} & {
    readonly [Name in Filter]?: string;
};
type CollectionQueryInput<Filter extends string = never> = {
    readonly after?: string;
    readonly limit?: number;
} & {
    readonly [Name in Filter]?: string | number | boolean;
};
interface CollectionTypes<Params, Item extends ResourceTypes, Create, Filter extends string> extends ResourceTypes {
    readonly params: Params;
    readonly paramsInput: Params;
    readonly state: CollectionPage<Item["state"] & Item["computed"]>;
    readonly stateInput: CollectionPage<Item["state"] & Item["computed"]>;
    readonly computed: unknown;
    readonly methods: CollectionMethods<Item, Filter, Create>;
}
type CollectionMethods<Item extends ResourceTypes, Filter extends string, Create> = Create extends true ? {
    readonly get: ListTypes<Item, Filter>;
    readonly post: CreateTypes<Item>;
} : {
    readonly get: ListTypes<Item, Filter>;
};
interface ListTypes<Item extends ResourceTypes, Filter extends string> {
    readonly query: CollectionQuery<Filter>;
    readonly queryInput: CollectionQueryInput<Filter>;
    readonly headers: unknown;
    readonly headersInput: unknown;
    readonly input: unknown;
    readonly inputInput: unknown;
    readonly answer: CollectionPage<Item["state"] & Item["computed"]>;
    readonly errors: never;
}
interface CreateTypes<Item extends ResourceTypes> {
    readonly query: URLSearchParams;
    readonly queryInput: Readonly<Record<string, string | readonly string[]>>;
    readonly headers: unknown;
    readonly headersInput: unknown;
    readonly input: Item["state"];
    readonly inputInput: Item["stateInput"];
    readonly answer: CollectionItem<Item["state"] & Item["computed"]>;
    readonly errors: never;
}
interface Schema<Input = unknown, Output = Input> {
    readonly "~standard": {
        readonly version: 1;
        readonly vendor: string;
        validate(value: unknown): SchemaResult<Output> | Promise<SchemaResult<Output>>;
        readonly types?: {
            readonly input: Input;
            readonly output: Output;
        } | undefined;
        readonly jsonSchema?: {
            input(options: JsonSchemaOptions): Readonly<Record<string, unknown>>;
            output(options: JsonSchemaOptions): Readonly<Record<string, unknown>>;
        };
    };
}
interface JsonSchemaOptions {
    readonly target: "draft-2020-12" | "draft-07" | "openapi-3.0" | (string & {});
}
type SchemaResult<Output> = {
    readonly value: Output;
    readonly issues?: undefined;
} | {
    readonly issues: readonly SchemaIssue[];
};
interface SchemaIssue {
    readonly message: string;
    readonly path?: readonly (PropertyKey | {
        readonly key: PropertyKey;
    })[] | undefined;
}
type InputOf<S> = S extends {
    readonly "~standard": {
        readonly types?: {
            readonly input: infer Input;
        } | undefined;
    };
} ? Input : unknown;
type OutputOf<S> = S extends {
    readonly "~standard": {
        readonly types?: {
            readonly output: infer Output;
        } | undefined;
    };
} ? Output : unknown;
interface MethodContract {
    readonly title?: string;
    readonly description?: string;
    readonly query?: Schema;
    readonly headers?: Schema;
    readonly input?: Schema;
    readonly answer?: Schema;
    readonly errors?: Readonly<Record<string, ErrorContract>>;
    readonly security?: readonly SecurityScheme[];
}
interface ErrorContract {
    readonly status: number;
    readonly title?: string;
    readonly extensions?: Schema;
}
interface ResourceTypes {
    readonly params: unknown;
    readonly paramsInput: unknown;
    readonly state: unknown;
    readonly stateInput: unknown;
    readonly computed: unknown;
    readonly methods: Readonly<Record<string, MethodTypes>>;
}
interface MethodTypes {
    readonly query: unknown;
    readonly queryInput: unknown;
    readonly headers: unknown;
    readonly headersInput: unknown;
    readonly input: unknown;
    readonly inputInput: unknown;
    readonly answer: unknown;
    readonly errors: unknown;
}
interface ResourceContract<Types extends ResourceTypes = ResourceTypes> {
    readonly pattern: string;
    readonly title?: string;
    readonly description?: string;
    readonly rt?: string;
    readonly if?: string;
    readonly params?: Schema;
    readonly state?: Schema;
    readonly computed?: Readonly<Record<string, Schema>>;
    readonly methods: Readonly<Record<string, MethodContract>>;
    readonly security?: readonly SecurityScheme[];
    readonly version: number;
    readonly migrate?: (old: unknown, version: number) => unknown;
    readonly collection?: CollectionContract;
    readonly "~types"?: Types;
}
type SecurityScheme = {
    readonly name: string;
    readonly type: "http";
    readonly scheme: "basic" | "bearer";
    readonly format?: string;
} | {
    readonly name: string;
    readonly type: "apiKey";
    readonly in: "header" | "query" | "cookie";
    readonly field: string;
} | {
    readonly name: string;
    readonly type: "openIdConnect";
    readonly url: string;
} | {
    readonly name: string;
    readonly type: "mutualTLS";
} | {
    readonly name: string;
    readonly type: "psk";
};
type ParamsOf<Contract> = TypesOf<Contract>["params"];
type StateOf<Contract> = TypesOf<Contract>["state"];
type RepresentationOf<Contract> = TypesOf<Contract>["state"] & TypesOf<Contract>["computed"];
type TypesOf<Contract> = Contract extends {
    readonly "~types"?: infer Types;
} ? Extract<Types, ResourceTypes> extends never ? UnknownTypes : Extract<Types, ResourceTypes> : UnknownTypes;
interface UnknownTypes extends ResourceTypes {
    readonly params: PatternParams;
}
type RoutePermits = (as: Context, method: string | undefined, segments: readonly PatternSegment[]) => boolean;
interface RouteInfo {
    readonly method: string | undefined;
    readonly pattern: string;
    readonly segments: readonly PatternSegment[];
    readonly attributes: RouteAttributes;
    readonly middleware?: readonly string[];
    readonly requires?: readonly string[];
    readonly guarded?: boolean;
    readonly permits?: readonly RoutePermits[];
    readonly security?: readonly SecurityScheme[];
}
interface CoreRouteAttributes {
    readonly rt?: string;
    readonly if?: string;
    readonly ct?: number | readonly number[];
    readonly title?: string;
    readonly description?: string;
    readonly params?: Schema;
    readonly query?: Schema;
    readonly headers?: Schema;
    readonly input?: Schema;
    readonly answer?: Schema;
    readonly errors?: Readonly<Record<string, ErrorContract>>;
    readonly security?: readonly SecurityScheme[];
    readonly resource?: ResourceContract;
    readonly sz?: number;
    readonly obs?: boolean;
    readonly instances?: () => Iterable<string>;
    readonly preconditions?: "own";
    readonly discoverable?: boolean;
}
interface RouteAttributes extends CoreRouteAttributes {
}
declare const answersMethod: ({ method }: RouteInfo, asked: string) => boolean;
declare const pathsOfRoute: (route: RouteInfo) => Iterable<string>;
declare const prefixed: (prefix: string, route: RouteInfo) => RouteInfo;
declare const isUnrouted: (context: Context) => boolean;
interface Change {
    readonly path: string;
    readonly origin: OwnedContext | null;
}
interface Observation {
    readonly active: boolean;
    close(reason?: EndReason): void | Promise<void>;
}
interface HostObserveOptions {
    readonly lasting?: boolean;
    readonly excerpt?: number;
    passes?(answer: SealedAnswer): boolean;
}
interface PeerTarget {
    readonly url: URL;
    readonly observable?: readonly string[];
    readonly keys?: KeysDeclaration | readonly KeysDeclaration[];
    open(options: OpenOptions): Promise<Link>;
}
interface Subscription {
    [Symbol.dispose](): void;
}
type RunDone = {
    done(context: AnsweredContext): void;
}["done"];
interface Host {
    readonly scope: Scope;
    readonly limits: Limits;
    readonly signal: AbortSignal;
    readonly clock: Clock;
    readonly logger: Logger;
    withLimits(limits: Partial<Limits> | undefined): Host;
    assertProtected(address: string, allowUnauthenticated: boolean | undefined): void;
    create(init: ContextInit, parent?: OwnedContext | Scope): OwnedContext;
    run(context: OwnedContext, done: RunDone, whole?: boolean | "all"): void;
    invoke(context: OwnedContext, whole?: boolean | "all"): Promise<void>;
    awaitsPeer(context: OwnedContext, awaits: boolean): void;
    observe(context: OwnedContext, deliver: (answer: SealedAnswer) => Promise<void> | void, options?: HostObserveOptions): Promise<Observation>;
    shared<T>(key: string, create: () => T): T;
    connect(peer: PeerTarget, options?: PeerClientOptions): Promise<Client>;
    changes(listener: (change: Change) => void): Subscription;
    represent(path: string, as: OwnedContext): Promise<SealedAnswer>;
    deliver(path: string, answer: SealedAnswer): void;
    notify(path: string): void;
    load(shed: () => void): () => number;
    idle(): Promise<void>;
    routes(as?: OwnedContext): Iterable<RouteInfo>;
    mayGet(path: string, as: OwnedContext): boolean | Promise<boolean>;
    readonly routesVersion: number;
}
type RouteLayer = {
    layer(context: Context, next: () => Promise<unknown>): unknown;
}["layer"];
interface TransportApp {
    readonly registry: {
        add(method: string, pattern: string, attributes: RouteAttributes, chain: readonly RouteLayer[]): {
            remove(): void;
        };
    };
    notifyWhere(matches: (path: string) => boolean, known?: Iterable<string>): void;
}
interface Transport {
    readonly name: string;
    readonly schemes: readonly string[];
    readonly capabilities?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    readonly codecs?: readonly Codec[];
    readonly keys?: KeysDeclaration | readonly KeysDeclaration[];
    readonly clustered?: boolean;
    bodies?(limit: number): HeldBytes;
    attach?(app: TransportApp): void;
    listen(host: Host): Promise<Listener>;
    readonly serves?: boolean;
    readonly observable?: readonly string[];
    open(url: URL, options: OpenOptions): Promise<Link>;
}
interface Listener {
    readonly url: URL;
    readonly urls?: readonly URL[];
    close(options?: {
        readonly timeout?: number;
    }): Promise<void>;
    reload?(tls: TlsOptions): void;
}
interface ServedApp {
    build(): unknown;
    host(name?: string): Host;
}
interface ConnectOptions {
    readonly signal?: AbortSignal;
    readonly timeout?: number;
    readonly tls?: TlsOptions;
    readonly credentials?: Credentials;
    readonly maxLinks?: number;
    readonly clock?: Clock;
    readonly limits?: Partial<Limits>;
    readonly serve?: ServedApp | {
        readonly app: ServedApp;
        readonly user?: string;
    };
}
declare const listenerUrl: (scheme: string, address: string, port: number) => URL;
declare const CONNECT_OPTIONS: Record<keyof ConnectOptions, true>;
declare const connect: (transport: Transport, url: string | URL, options?: ConnectOptions) => Promise<Client>;
declare const connectWith: (transport: Transport, url: URL, options: ConnectOptions, owner: ClientOwner) => Promise<Client>;
declare const connectPeer: (peer: PeerTarget, options: PeerClientOptions, owner: PeerClientOwner) => Promise<Client>;
declare const transportFor: (transports: readonly Transport[], url: URL) => Transport;
interface ConnectionOpened {
    readonly kind: "connection-opened";
    readonly transport: string;
    readonly address: string;
    readonly port: number;
}
interface ConnectionClosed {
    readonly kind: "connection-closed";
    readonly transport: string;
    readonly address: string;
    readonly port: number;
    readonly duration: number;
}
interface Refusal {
    readonly kind: "refused";
    readonly transport: string;
    readonly address: string | undefined;
    readonly port: number | undefined;
    readonly status: number;
    readonly code: string;
}
type Activity = ConnectionOpened | ConnectionClosed | Refusal;
declare class ActivityFeed {
    #private;
    get active(): boolean;
    report(activity: Activity): void;
    listen(listener: (activity: Activity) => void): Subscription;
}
declare const ACTIVITY = "iopa.activity";
interface Counts {
    readonly inFlight: number;
    readonly connections: number;
    readonly observers: number;
    readonly sessions: number;
    readonly shed: number;
    readonly refused: number;
    readonly dropped: number;
}
declare const COUNTERS = "iopa.counters";
type Peer = Pick<ByteChannel, "remoteAddress" | "remotePort">;
declare class Counters {
    #private;
    connections: number;
    observers: number;
    shed: number;
    refused: number;
    dropped: number;
    readonly name: string;
    readonly own: (() => Partial<Counts>) | undefined;
    readonly inFlight: () => number;
    constructor(name: string, host: Host, own: (() => Partial<Counts>) | undefined, note: (line: string) => void);
    readonly refuse: (channel?: ByteChannel) => void;
    refusal(status: number, code: string, peer?: Peer): void;
    readonly unsecured: (peer: Peer) => void;
    opened({ remoteAddress: address, remotePort: port }: Peer): number;
    closed({ remoteAddress: address, remotePort: port }: Peer, began: number): void;
    readonly failed: () => void;
    observed(context: Context): void;
}
declare class AppCounters {
    #private;
    constructor(clock: Clock, logger: Logger);
    begin(name: string, host: Host, own: (() => Partial<Counts>) | undefined): Counters;
    read(): Record<string, Counts>;
}
declare const countersOf: (host: Host, name: string, own?: () => Partial<Counts>) => Counters;
declare const USERS = "iopa.users";
declare const usersOf: (host: Pick<Host, "shared" | "clock" | "logger" | "limits">) => UserWatches;
interface WatchOptions {
    readonly by?: Context;
    readonly checked?: () => void;
}
declare class UserWatches {
    #private;
    constructor({ clock, logger, limits }: Pick<Host, "clock" | "logger" | "limits">);
    watch(context: Context, ended: (error: IopaError) => void, { by, checked }?: WatchOptions): Subscription | null;
    endLogin(id: string, login: string): void;
    revoke(id: string, lastId: number): void;
    revocations(listener: (id: string) => void): Subscription;
}
declare const tagOfDigest: (digest: Uint8Array) => string;
declare const contentTag: (content: Uint8Array | string) => string;
declare const shortTag: (etag: string) => string;
declare const tagsIn: (field: string) => readonly string[];
declare const matchesStrongly: (given: string, current: string) => boolean;
declare const matchesWeakly: (given: string, current: string) => boolean;
export { ACTIVITY as A, USERS as U, ActivityFeed as a, MAX_SEGMENTS as a2, MAX_SEGMENT_LENGTH as a3, checkOptions as aA, compareSegments as aB, connect as aC, countersOf as aD, expandPattern as aE, isOptionalSegment as aF, isUnrouted as aG, listenerUrl as aH, loaded as aI, markFactory as aJ, matchPattern as aK, optionError as aL, outgoing as aM, paramNames as aN, parsePattern as aO, pathsOfRoute as aP, placeParams as aQ, requiredPort as aR, shortTag as aS, systemClock as aT, tagOfDigest as aU, usersOf as aV, UserWatches as aw, acceptsSegment as ay, answersMethod as az, AppCounters as b, CONNECT_OPTIONS as c, COUNTERS as d, argumentError as f, checkSurplus as g, connectPeer as h, connectWith as i, contentTag as j, factoryName as k, kindOf as l, matchesStrongly as m, matchesWeakly as n, transportFor as o, prefixed as p, Counters as r, tagsIn as t, withinTime as w };
export type { LinkEnd as $, CollectionContract as B, Clock as C, CollectionItem as D, CollectionPage as E, CollectionQuery as F, CollectionQueryInput as G, Host as H, CollectionTypes as I, ConnectOptions as J, ConnectionClosed as K, LinkLoss as L, MethodTypes as M, ConnectionOpened as N, OpenOptions as O, Constraint as P, CoreRouteAttributes as Q, ResourceTypes as R, Subscription as S, Counts as T, Credentials as V, ErrorContract as W, HostObserveOptions as X, InputOf as Y, JsonSchemaOptions as Z, Link as _, LinkRequestOptions as a0, Listener as a1, MethodContract as a4, MixedParam as a5, MixedSegment as a6, Observation as a7, OptionCheck as a8, ParamsOf as a9, Pattern as aa, PatternParams as ab, PatternSegment as ac, PatternValues as ad, PeerTarget as ae, Refusal as af, RepresentationOf as ag, RouteAttributes as ah, RouteInfo as ai, RoutePermits as aj, SchemaResult as ak, SecurityScheme as al, ServedApp as am, Serving as an, Sink as ao, StateOf as ap, SubscribeOptions as aq, TimerHandle as ar, TimerOptions as as, Transport as at, TransportApp as au, TypesOf as av, WatchOptions as ax, ClientOwner as e, OutgoingRequest as q, ResourceContract as s, SchemaIssue as u, Schema as v, OutputOf as x, Activity as y, Change as z };

// host.d.ts
/// <reference lib="esnext.disposable" />
import { Clock } from "./index.js";
export { A as ACTIVITY, a as ActivityFeed, b as AppCounters, c as CONNECT_OPTIONS, d as COUNTERS, e as ClientOwner, U as USERS, f as argumentError, g as checkSurplus, h as connectPeer, i as connectWith, j as contentTag, k as factoryName, l as kindOf, m as matchesStrongly, n as matchesWeakly, p as prefixed, t as tagsIn, o as transportFor, w as withinTime } from "./entity-tags.js";
import { LinkAnswer } from "@iopa/context";
import { ErrorOrigin, IopaError, Logger } from "@iopa/constants";
import "@iopa/context/host";
import "./byte-channel.js";
declare const callSite: (method: unknown) => (() => string);
type Next = IteratorResult<LinkAnswer, undefined>;
interface AnswerQueueLimits {
    readonly queueMessages: number;
    readonly queueBytes: number;
}
declare const NEWEST_ONLY: AnswerQueueLimits;
declare class AnswerQueue {
    #private;
    constructor(limits: AnswerQueueLimits);
    get over(): boolean;
    push(answer: LinkAnswer): void;
    clear(): void;
    end(): void;
    fail(error: unknown): void;
    cut(): void;
    next(): Promise<Next>;
}
declare const marked: (error: unknown, origin: ErrorOrigin) => unknown;
declare const markedCopy: (error: IopaError, origin: ErrorOrigin) => IopaError;
declare const marking: <T>(origin: ErrorOrigin, work: () => T) => T;
declare class FailureLog {
    #private;
    constructor(clock: Clock, logger: Logger, limit: number, what?: string);
    take(): boolean;
    flush(): void;
}
declare const sharedError: (status: number, code: string, detail: string, headers?: Readonly<Record<string, string>>) => IopaError;
declare const parseHttpDate: (text: string) => number | undefined;
declare const formatHttpDate: (time: number) => string;
export { AnswerQueue, FailureLog, NEWEST_ONLY, callSite, formatHttpDate, marked, markedCopy, marking, parseHttpDate, sharedError };

// index.d.ts
/// <reference lib="esnext.disposable" />
import { IopaError, User, Logger } from "@iopa/constants";
export { Bag, Body, CAPABILITIES, Capabilities, Codec, CodecTable, DEFAULT_PORTS, HeaderFields, HeadersInit, IOPA_VERSION, IopaError, KeysDeclaration, Logger, MEDIA_TYPES, METHODS, RandomAccessBody, STATUS, Trailers, User, changesState, decodeText, defineKeys, encodeJson, idOfUserKey, isControlMethod, isIopaError, parseJson, reasonPhrase, sameUser, schemeOf, userKeyOf } from "@iopa/constants";
import { Payload, LinkAnswer, Peer, Context } from "@iopa/context";
export { Client, EndReason, Excerpt, LinkAnswer, Payload, Peer, PeerClientOptions, Problem, ReceivedAnswer, RequestOptions, SealedAnswer } from "@iopa/context";
import { PathLimits, HeldBytes, BodyHolder, OwnedContext, Endpoint } from "@iopa/context/host";
export { AnsweredContext, BodyHolder, BodyStream, OwnedContext as Context, ContextInit, Endpoint, HeaderMap, HeldBytes, InheritedKeys, PathLimits, ReceivedProblem, RequestSource, Scope, abortable, addressGroup, answerToError, answerUnrun, bodyTooLarge, byteBody, checkPath, collectBytes, concatBytes, decodePath, encodeBody, encodePath, hasPreconditionField, holdBytes, isHttp, isLoopback, joinPath, parseUrl, readBody, receivedAnswer, withPayload } from "@iopa/context/host";
import { C as Clock, O as OpenOptions, L as LinkLoss, q as OutgoingRequest, r as Counters, H as Host, R as ResourceTypes, M as MethodTypes, s as ResourceContract, S as Subscription, u as SchemaIssue, v as Schema, x as OutputOf } from "./entity-tags.js";
export { y as Activity, z as Change, B as CollectionContract, D as CollectionItem, E as CollectionPage, F as CollectionQuery, G as CollectionQueryInput, I as CollectionTypes, J as ConnectOptions, K as ConnectionClosed, N as ConnectionOpened, P as Constraint, Q as CoreRouteAttributes, T as Counts, V as Credentials, W as ErrorContract, X as HostObserveOptions, Y as InputOf, Z as JsonSchemaOptions, _ as Link, $ as LinkEnd, a0 as LinkRequestOptions, a1 as Listener, a2 as MAX_SEGMENTS, a3 as MAX_SEGMENT_LENGTH, a4 as MethodContract, a5 as MixedParam, a6 as MixedSegment, a7 as Observation, a8 as OptionCheck, a9 as ParamsOf, aa as Pattern, ab as PatternParams, ac as PatternSegment, ad as PatternValues, ae as PeerTarget, af as Refusal, ag as RepresentationOf, ah as RouteAttributes, ai as RouteInfo, aj as RoutePermits, ak as SchemaResult, al as SecurityScheme, am as ServedApp, an as Serving, ao as Sink, ap as StateOf, aq as SubscribeOptions, ar as TimerHandle, as as TimerOptions, at as Transport, au as TransportApp, av as TypesOf, aw as UserWatches, ax as WatchOptions, ay as acceptsSegment, az as answersMethod, aA as checkOptions, aB as compareSegments, aC as connect, aD as countersOf, aE as expandPattern, aF as isOptionalSegment, aG as isUnrouted, aH as listenerUrl, aI as loaded, aJ as markFactory, aK as matchPattern, aL as optionError, aM as outgoing, aN as paramNames, aO as parsePattern, aP as pathsOfRoute, aQ as placeParams, aR as requiredPort, aS as shortTag, aT as systemClock, aU as tagOfDigest, aV as usersOf } from "./entity-tags.js";
import { B as ByteChannel, L as Limits } from "./byte-channel.js";
export { a as ByteAddress, b as ByteNetwork, c as ByteReceiver, d as ByteServer, D as DEFAULT_LIMITS, T as TlsOptions, e as checkTlsOptions, m as mergeLimits, p as proxiedBy } from "./byte-channel.js";
import { D as DatagramChannel, a as DatagramNetwork } from "./datagram-channel.js";
export { b as DatagramAddress, c as DatagramReceiver } from "./datagram-channel.js";
type BagSeq = number | string;
interface BagRequest {
    readonly method: string;
    readonly path: string;
    readonly query: string;
    readonly headers: string[];
    readonly contentType: string;
    readonly body: Uint8Array | null;
    readonly observe: boolean | undefined;
    readonly seq: BagSeq | undefined;
}
interface BagFault {
    readonly error: IopaError;
    readonly seq: BagSeq | undefined;
}
interface BagLimits extends PathLimits {
    readonly headerBytes: number;
    readonly headerCount: number;
}
interface BagAnswer {
    readonly status: number;
    readonly reason: string;
    readonly headerPairs: readonly string[];
    readonly type: string;
    readonly encoded: boolean;
    readonly payload: Payload;
}
declare function decodeBagRequest(line: Uint8Array, limits?: BagLimits): BagRequest | BagFault;
declare function decodeBagAnswer(line: Uint8Array): {
    readonly answer: LinkAnswer;
    readonly seq: BagSeq | undefined;
};
declare function decodeBagSeq(line: Uint8Array): BagSeq | undefined;
declare function encodeBagRequest({ method, path, query, headers, contentType, body, observe, seq }: BagRequest): string;
declare function encodeBagAnswer(answer: BagAnswer, seq: BagSeq | undefined): string;
declare const silenceLimit: (type: string, limit: number) => number;
declare const nextChunk: (body: AsyncIterator<Uint8Array>, limit: number, clock: Clock) => Promise<IteratorResult<Uint8Array>>;
interface OutboxLimits {
    readonly queueBytes: number;
}
declare class Outbox {
    #private;
    writable: boolean;
    constructor(channel: ByteChannel, limits: OutboxLimits);
    get pendingBytes(): number;
    write(bytes: Uint8Array): boolean;
    cork(): void;
    uncork(): void;
    flush(): void;
    drained(): Promise<void>;
    onDrain(): void;
    onClose(): void;
}
interface DatagramEndpoint {
    readonly address: string;
    readonly port: number;
}
interface SecuredIdentity {
    readonly user: User | undefined;
    readonly proof?: User["by"] | undefined;
    readonly fingerprint?: string | undefined;
    readonly clientCertificate?: (() => unknown) | undefined;
}
declare const sameIdentity: (one: SecuredIdentity, two: SecuredIdentity) => boolean;
interface SecuredPeer extends SecuredIdentity {
    readonly id: string;
    readonly proven: DatagramEndpoint;
    readonly latest: DatagramEndpoint | undefined;
    readonly maxPayload: number;
    send(bytes: Uint8Array, to?: "proven" | "latest"): void;
    confirm(): void;
    close(): void;
}
type SecuredEnd = "closed" | "idle" | "revoked" | "lost";
interface SecuredReceiver {
    opened(peer: SecuredPeer): void;
    message(bytes: Uint8Array, peer: SecuredPeer, unproven: boolean): void;
    closed(peer: SecuredPeer, reason: SecuredEnd): void;
    error(error: Error): void;
}
interface SecurityEnvironment {
    readonly clock: Clock;
    readonly limits: Limits;
    readonly logger: Logger;
    readonly accept: boolean;
    refused?(endpoint: DatagramEndpoint, code: string): void;
}
interface SecuredTarget extends DatagramEndpoint {
    readonly host: string;
}
interface SecuredChannel {
    readonly localAddress: string;
    readonly localPort: number;
    readonly raw: unknown;
    open(receiver: SecuredReceiver): void;
    connect(target: SecuredTarget, signal: AbortSignal): Promise<SecuredPeer>;
    revoke(matches: (identity: SecuredIdentity) => boolean): void;
    close(): Promise<void>;
}
interface SecuredDatagrams {
    readonly name: string;
    readonly exclusive?: boolean;
    over(channel: DatagramChannel, environment: SecurityEnvironment): SecuredChannel;
}
interface Handshake {
    readonly host: string;
    readonly addresses: readonly string[];
    readonly port: number;
    readonly network: DatagramNetwork;
    readonly dtls: SecuredDatagrams;
    readonly options: OpenOptions;
}
declare class Association implements SecuredReceiver {
    #private;
    readonly channel: SecuredChannel;
    peer: SecuredPeer;
    constructor(channel: SecuredChannel, place: string);
    begin(message: (bytes: Uint8Array, unproven: boolean) => void, ended: () => void): void;
    get refused(): AbortSignal;
    opened(): void;
    message(bytes: Uint8Array, _: SecuredPeer, unproven: boolean): void;
    closed(): void;
    error(error: Error): void;
}
declare const openAssociation: (handshake: Handshake) => Promise<Association>;
interface BackoffOptions {
    readonly initial: number;
    readonly maximum: number;
    readonly random?: () => number;
}
declare class Backoff {
    #private;
    constructor(options: BackoffOptions);
    next({ initial, least }?: {
        readonly initial?: number;
        readonly least?: number;
    }): number;
    reset(): void;
}
declare const channelClosed: () => IopaError;
declare const connectionLost: (cause?: unknown) => IopaError;
declare const linkLost: (loss: LinkLoss, cause?: unknown) => IopaError & LinkLoss;
declare const lossOf: (error: IopaError, loss: LinkLoss) => IopaError & LinkLoss;
declare const peerGone: () => IopaError;
declare const overloaded: (limit: number, what?: string) => IopaError;
declare const answerTimeout: (ms?: number, advice?: string) => IopaError;
declare const badAnswer: (detail: string, cause?: unknown) => IopaError;
declare const observationRefused: (answer: LinkAnswer) => IopaError;
declare const requestBytes: ({ body }: OutgoingRequest, limit: number, signal: AbortSignal) => Promise<Uint8Array | null>;
interface UsedUrlParts {
    readonly credentials?: boolean;
    readonly query?: boolean;
}
declare const checkTarget: ({ protocol, search, hash }: URL, { credentials }: Pick<OpenOptions, "credentials">, { credentials: user, query }?: UsedUrlParts) => void;
type Owned = Pick<BodyHolder, "server.User" | "server.RemoteAddress">;
declare const bodyBudget: (limit: number, heap?: number) => HeldBytes;
declare class HeldBuffer {
    #private;
    constructor(bodies: HeldBytes | undefined);
    resize(bytes: number, owned: Owned): void;
    free(): void;
}
interface Connection {
    readonly channel: ByteChannel;
    touch(): void;
    keepAlive(keep: boolean): void;
    busy(requests: number): void;
    remove(): void;
}
type Limited = Pick<Limits, "connections" | "connectionsPerAddress" | "idleTimeout">;
declare class CountedConnection implements Connection {
    #private;
    readonly channel: ByteChannel;
    readonly address: string;
    readonly began: number;
    lastActive: number;
    kept: boolean;
    requests: number;
    constructor(channel: ByteChannel, owner: Connections, address: string, began: number);
    touch(): void;
    keepAlive(keep: boolean): void;
    busy(requests: number): void;
    remove(): void;
}
declare class Connections {
    #private;
    constructor(clock: Clock, limits: Limited, onIdle: (connection: Connection) => void, counters?: Pick<Counters, "opened" | "closed" | "refuse">);
    get size(): number;
    get sweeps(): number;
    admit(channel: ByteChannel, perAddress?: boolean): Connection | null;
    delete(connection: CountedConnection): void;
    settled(connection: CountedConnection): void;
    drain(timeout: number, goodbye: (connection: Connection) => void): Promise<void>;
}
interface SessionHandlers<State> {
    message(session: SecuredSession<State>, bytes: Uint8Array, unproven: boolean): void;
    ended(session: SecuredSession<State>): void;
}
interface SecuredSessionsInit<State> {
    readonly host: Host;
    readonly channel: SecuredChannel;
    readonly counters: Counters;
    readonly scheme: string;
    readonly protocol: string;
    readonly peer?: (this: SessionEndpoint<State>) => Peer | undefined;
    readonly handlers: SessionHandlers<State>;
}
declare class SessionEndpoint<State> implements Endpoint {
    readonly scheme: string;
    readonly protocol: string;
    readonly remoteAddress: string;
    readonly remotePort: number;
    readonly localAddress: string;
    readonly localPort: number;
    readonly tls: boolean;
    readonly sessionId: string;
    readonly rawTransport: unknown;
    readonly bodyLimit: number;
    session: SecuredSession<State> | undefined;
    readonly clientCertificate?: () => unknown;
    readonly peer?: (this: SessionEndpoint<State>) => Peer | undefined;
    constructor({ channel, scheme, protocol, host, peer: ask }: SecuredSessionsInit<State>, { id, proven, clientCertificate }: SecuredPeer);
}
interface SessionOwner<State> {
    readonly host: Host;
    readonly counters: Counters;
    revoke(session: SecuredSession<State>): void;
}
interface Waiting {
    readonly bytes: Uint8Array;
    readonly unproven: boolean;
}
declare class SecuredSession<State> {
    #private;
    readonly peer: SecuredPeer;
    readonly connection: OwnedContext;
    readonly endpoint: SessionEndpoint<State>;
    state: State | undefined;
    waiting: Waiting[] | null;
    waitingBytes: number;
    constructor(owner: SessionOwner<State>, peer: SecuredPeer, connection: OwnedContext, endpoint: SessionEndpoint<State>);
    look(by: OwnedContext): void;
    end(): void;
}
declare class SecuredSessions<State> implements SecuredReceiver, SessionOwner<State> {
    #private;
    readonly host: Host;
    readonly counters: Counters;
    constructor(init: SecuredSessionsInit<State>);
    get size(): number;
    opened(peer: SecuredPeer): void;
    message(bytes: Uint8Array, peer: SecuredPeer, unproven: boolean): void;
    closed(peer: SecuredPeer): void;
    error(error: Error): void;
    close(): void;
    endpointOf(peer: SecuredPeer): SessionEndpoint<State>;
    revoke({ peer }: SecuredSession<State>): void;
}
interface HistoryItem<State = unknown> {
    readonly version: number;
    readonly time: string;
    readonly state?: State;
    readonly deleted?: true;
}
interface HistoryPage<State = unknown> {
    readonly items: readonly HistoryItem<State>[];
    readonly next?: number;
}
interface HistoryQuery {
    readonly since?: {
        readonly version: number;
    } | {
        readonly time: number;
    };
    readonly limit: number;
}
interface HistoryQueryInput {
    readonly since?: string | number;
    readonly limit?: number;
}
interface HistoryTypes<Types extends ResourceTypes> extends ResourceTypes {
    readonly params: Types["params"];
    readonly paramsInput: Types["paramsInput"];
    readonly state: HistoryPage<Types["state"] & Types["computed"]>;
    readonly stateInput: HistoryPage<Types["state"] & Types["computed"]>;
    readonly computed: unknown;
    readonly methods: {
        readonly get: HistoryGet<Types>;
    };
}
interface HistoryGet<Types extends ResourceTypes> extends MethodTypes {
    readonly query: HistoryQuery;
    readonly queryInput: HistoryQueryInput;
    readonly headers: unknown;
    readonly headersInput: unknown;
    readonly input: unknown;
    readonly inputInput: unknown;
    readonly answer: HistoryPage<Types["state"] & Types["computed"]>;
    readonly errors: never;
}
declare const historyContract: <Types extends ResourceTypes>(contract: ResourceContract<Types>) => ResourceContract<HistoryTypes<Types>>;
type MessageOption = readonly [
    number: number,
    value: Uint8Array
];
interface PlainMessage {
    readonly code: number;
    readonly options: readonly MessageOption[];
    readonly payload: Uint8Array;
}
interface OpenedRequest {
    readonly message: PlainMessage;
    readonly user: User;
    readonly association: {
        readonly id: string;
    };
    protect(response: PlainMessage, kind: "response" | "notification"): PlainMessage | Promise<PlainMessage>;
    readonly requests?: RequestProtection;
    end(): void;
}
interface RefusedRequest {
    readonly refusal: PlainMessage;
    readonly code: string;
}
interface ProtectedRequest {
    readonly message: PlainMessage;
    open(response: PlainMessage): PlainMessage | undefined | Promise<PlainMessage | undefined>;
    end(): void;
}
interface RequestProtection {
    protect(request: PlainMessage): ProtectedRequest | Promise<ProtectedRequest>;
}
interface ProtectedSource extends DatagramEndpoint {
    readonly verified: boolean;
}
interface ActiveProtection {
    open(request: PlainMessage, source: ProtectedSource): OpenedRequest | RefusedRequest | undefined | Promise<OpenedRequest | RefusedRequest>;
    requires(path: string): boolean;
    requests(target: URL): RequestProtection | undefined;
    revoke(matches: (user: User) => boolean): void;
    close(): Promise<void>;
}
interface ProtectionEnvironment {
    readonly clock: Clock;
    readonly limits: Limits;
    readonly logger: Logger;
}
interface MessageProtection {
    readonly name: string;
    readonly option: number;
    readonly exclusive: boolean;
    start(environment: ProtectionEnvironment): Promise<ActiveProtection>;
}
interface TwinTypes {
    readonly params: unknown;
    readonly paramsInput: unknown;
    readonly reported: unknown;
    readonly reportedInput: unknown;
    readonly desired: unknown;
    readonly desiredInput: unknown;
}
interface TwinState<Reported = unknown, Desired = unknown> {
    readonly version: number;
    readonly reported: Reported;
    readonly desired: Desired;
    readonly delta: Desired;
}
interface PresenceState {
    readonly connected: boolean;
    readonly connections: number;
    readonly lastSeen: string | null;
}
interface TwinContract<Types extends TwinTypes = TwinTypes> extends ResourceContract<WholeTypes<Types>> {
    readonly reported: ResourceContract<PartTypes<Types, Types["reported"], Types["reportedInput"]>>;
    readonly desired: ResourceContract<PartTypes<Types, Types["desired"], Types["desiredInput"]>>;
    readonly delta: ResourceContract<ReadTypes<Types, Types["desired"]>>;
    readonly presence: ResourceContract<ReadTypes<Types, PresenceState>>;
}
interface PartTypes<Types extends TwinTypes, State, Input> extends ResourceTypes {
    readonly params: Types["params"];
    readonly paramsInput: Types["paramsInput"];
    readonly state: State;
    readonly stateInput: Input;
    readonly computed: unknown;
    readonly methods: {
        readonly get: PartMethod<unknown, unknown, State>;
        readonly put: PartMethod<State, Input, State>;
        readonly patch: PartMethod<unknown, unknown, State>;
        readonly ipatch: PartMethod<unknown, unknown, State>;
    };
}
interface ReadTypes<Types extends TwinTypes, State> extends ResourceTypes {
    readonly params: Types["params"];
    readonly paramsInput: Types["paramsInput"];
    readonly state: State;
    readonly stateInput: State;
    readonly computed: unknown;
    readonly methods: {
        readonly get: PartMethod<unknown, unknown, State>;
    };
}
interface WholeTypes<Types extends TwinTypes> extends ResourceTypes {
    readonly params: Types["params"];
    readonly paramsInput: Types["paramsInput"];
    readonly state: TwinState<Types["reported"], Types["desired"]>;
    readonly stateInput: TwinState<Types["reported"], Types["desired"]>;
    readonly computed: unknown;
    readonly methods: {
        readonly get: PartMethod<unknown, unknown, TwinState<Types["reported"], Types["desired"]>>;
        readonly delete: PartMethod<unknown, unknown, unknown>;
    };
}
interface PartMethod<Input, InputInput, Answer> extends MethodTypes {
    readonly query: URLSearchParams;
    readonly queryInput: Readonly<Record<string, string | readonly string[]>>;
    readonly headers: unknown;
    readonly headersInput: unknown;
    readonly input: Input;
    readonly inputInput: InputInput;
    readonly answer: Answer;
    readonly errors: never;
}
interface Upgradable {
    readonly protocol: string;
    readonly path: string;
    listens?(url: URL): void;
    admit?(request: OwnedContext): void;
    take(request: OwnedContext, channel: ByteChannel, head: Uint8Array): void;
}
declare class Upgrades {
    #private;
    add(upgrade: Upgradable): Subscription;
    serve(url: URL): Subscription;
    find(protocols: string, path: string): Upgradable | undefined;
}
declare const upgradesOf: (host: Pick<Host, "shared">) => Upgrades;
declare const REFUSED = 255;
declare const compileTransitions: <State extends string, Event extends string>(states: readonly State[], events: readonly Event[], table: Readonly<Record<State, Readonly<Partial<Record<Event, State>>>>>) => Uint8Array;
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
] ? NamesOfColons<Before, Mark<Rest>> | (EndsInColonName<Before> extends true ? never : Marked<BraceName<Body>, Mark<Rest>>) | Names<`.${Rest}`> : never : NamesOfColons<Pattern, "">;
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
interface InputFault {
    readonly pointer: string;
    readonly detail: string;
    readonly in?: "params" | "query" | "headers";
}
declare const validate: <S extends Schema>(schema: S, value: unknown, place?: InputFault["in"], name?: string) => OutputOf<S> | Promise<OutputOf<S>>;
declare const faultsOf: (issues: readonly SchemaIssue[], place?: InputFault["in"]) => readonly InputFault[];
declare const invalidInput: (faults: readonly InputFault[]) => IopaError;
declare class ConnectionUser {
    #private;
    constructor(host: Host, connection: Context, ended: (error: IopaError) => void);
    look(by: Context): void;
    close(): void;
}
export { Association, Backoff, ByteChannel, Clock, ConnectionUser, Connections, Counters, DatagramChannel, DatagramNetwork, HeldBuffer, Host, Limits, LinkLoss, MethodTypes, OpenOptions, Outbox, OutgoingRequest, OutputOf, REFUSED, ResourceContract, ResourceTypes, Schema, SchemaIssue, SecuredSession, SecuredSessions, Subscription, Upgrades, answerTimeout, badAnswer, bodyBudget, channelClosed, checkTarget, compileTransitions, connectionLost, decodeBagAnswer, decodeBagRequest, decodeBagSeq, encodeBagAnswer, encodeBagRequest, faultsOf, historyContract, invalidInput, linkLost, lossOf, nextChunk, observationRefused, openAssociation, overloaded, peerGone, requestBytes, sameIdentity, silenceLimit, upgradesOf, validate };
export type { ActiveProtection, BackoffOptions, BagAnswer, BagFault, BagLimits, BagRequest, BagSeq, Connection, DatagramEndpoint, Handshake, HistoryItem, HistoryPage, HistoryQuery, HistoryQueryInput, HistoryTypes, InputFault, MessageOption, MessageProtection, OpenedRequest, OutboxLimits, PartTypes, PathParams, PlainMessage, PresenceState, ProtectedRequest, ProtectedSource, ProtectionEnvironment, ReadTypes, RefusedRequest, RequestProtection, SecuredChannel, SecuredDatagrams, SecuredEnd, SecuredIdentity, SecuredPeer, SecuredReceiver, SecuredSessionsInit, SecuredTarget, SecurityEnvironment, SessionHandlers, TwinContract, TwinState, TwinTypes, Upgradable, UsedUrlParts, WholeTypes };

// node.d.ts
/// <reference lib="esnext.disposable" />
import { ByteChannel, ByteAddress, ByteNetwork } from "./index.js";
import { DatagramNetwork } from "./index.js";
declare const channelStream: (channel: ByteChannel) => object;
interface DgramModule {
    createSocket(options: object): unknown;
}
declare const datagramNetwork: (dgram?: DgramModule) => DatagramNetwork;
interface ProxiedEnds {
    readonly remoteAddress?: string | undefined;
    readonly remotePort?: number | undefined;
    readonly localAddress?: string | undefined;
    readonly localPort?: number | undefined;
}
interface SocketLike extends ProxiedEnds {
    readonly encrypted?: boolean;
    readonly alpnProtocol?: string | false | null;
    readonly writableLength: number;
    readonly destroyed: boolean;
    readonly writable: boolean;
    readonly writableFinished?: boolean;
    on(event: string, listener: (...values: never[]) => void): unknown;
    write(data: Uint8Array | string): boolean;
    cork?(): unknown;
    uncork?(): unknown;
    pause(): unknown;
    resume(): unknown;
    end(): unknown;
    destroy(): unknown;
    resetAndDestroy?(): unknown;
    setNoDelay?(on: boolean): unknown;
    readonly authorized?: boolean;
    getPeerCertificate?(): unknown;
}
interface ServerLike {
    address(): {
        address: string;
        port: number;
    } | string | null;
    listen(options: object, listening: () => void): unknown;
    close(done: () => void): unknown;
    once(event: string, listener: (...values: never[]) => void): unknown;
    on(event: string, listener: (...values: never[]) => void): unknown;
    off(event: string, listener: (...values: never[]) => void): unknown;
    emit(event: string, ...values: unknown[]): unknown;
    setSecureContext?(options: object): unknown;
}
interface NetModule {
    createServer(...given: never[]): unknown;
    connect(...given: never[]): unknown;
}
interface IdentityCheck {
    checkServerIdentity(host: string, certificate: never): Error | undefined;
}
interface TlsModule extends IdentityCheck {
    createSecureContext(options: object): unknown;
    createServer(...given: never[]): unknown;
    connect(...given: never[]): unknown;
}
interface SocketModules {
    readonly net?: NetModule;
    readonly tls?: () => Promise<TlsModule>;
}
declare const socketNetwork: ({ net, tls }?: SocketModules) => ByteNetwork;
interface ProxiedServer {
    endsOf(socket: SocketLike): ProxiedEnds;
    take(socket: SocketLike, server: Pick<ServerLike, "emit">): void;
    destroy(): void;
}
declare const proxiedServer: (proxyProtocol: NonNullable<ByteAddress["proxyProtocol"]>, refused: () => void) => Promise<ProxiedServer>;
export { channelStream, datagramNetwork, proxiedServer, socketNetwork };
export type { DgramModule, NetModule, ProxiedServer, TlsModule };
