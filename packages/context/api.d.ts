// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
import { IopaError, CodecTable, HeaderFields, HeadersInit, Capabilities, IopaKeys, CoreKeys, ExtensionKey, Body, User, Logger, Bag, OnSendingHeaders } from "@iopa/constants";
type EndReason = "finish" | "disconnect" | "timeout" | "unsubscribe" | "reset" | "shutdown";
declare const abortReason: (reason: EndReason) => IopaError;
declare const abortable: <T>(signal: AbortSignal | undefined, work: () => Promise<T>, late?: (value: T) => void) => Promise<T>;
declare const KIND: {
    readonly Value: 0;
    readonly Text: 1;
    readonly Bytes: 2;
    readonly Stream: 3;
    readonly Parts: 4;
    readonly Items: 5;
    readonly Blob: 6;
    readonly Form: 7;
    readonly Multipart: 8;
    readonly Reply: 9;
    readonly Answer: 10;
    readonly Response: 11;
    readonly Error: 12;
    readonly Unsendable: 13;
};
type Kind = (typeof KIND)[keyof typeof KIND];
type Payload = string | Uint8Array | AsyncIterable<Uint8Array> | null;
interface Encoded {
    readonly payload: Payload;
    readonly type: string;
}
declare const encodeBody: (body: unknown, type: string, codecs: CodecTable) => Encoded;
declare class HeaderMap implements HeaderFields {
    #private;
    constructor(pairs?: string[]);
    static from(init: HeadersInit): HeaderMap;
    get size(): number;
    get(name: string): string | undefined;
    getAll(name: string): string[];
    has(name: string): boolean;
    set(name: string, value: string | readonly string[]): void;
    append(name: string, value: string): void;
    delete(name: string): boolean;
    [Symbol.iterator](): Generator<[
        name: string,
        value: string
    ]>;
    pairs(): readonly string[];
    get frozen(): boolean;
    freeze(): void;
}
declare const assignHeaders: (target: HeaderMap, init: HeadersInit) => void;
declare const abandonValue: (value: unknown) => void;
type SendingCallback = () => unknown;
interface Excerpt {
    readonly type: string;
    readonly size: number;
    readonly start: Uint8Array;
}
interface NotedMethods {
    readonly path: string;
    readonly methods: ReadonlySet<string>;
}
interface AnswerOwner {
    readonly "server.Capabilities": Capabilities;
    readonly "iopa.Method": string;
    readonly requestedMethod: string;
    readonly environment: {
        readonly codecs: CodecTable;
        readonly bodyLimit: number;
    };
    defer(dispose: () => unknown): void;
}
interface ReceivedParts {
    readonly headers?: HeaderMap;
    readonly type?: string;
    readonly payload?: Payload;
    readonly reason?: string;
    readonly codecs?: CodecTable;
}
interface InheritedKeys {
    readonly keys: ReadonlySet<string>;
    copy(connection: Context, request: Context): void;
}
interface Endpoint {
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
    readonly holdsBack?: boolean;
    clientCertificate?(): unknown;
    readonly inherited?: InheritedKeys;
}
declare const localEndpoint: (bodyLimit: number) => Endpoint;
declare const isLoopback: (address: string) => boolean;
type Owned = {
    [Symbol.asyncDispose](): PromiseLike<void>;
} | {
    [Symbol.dispose](): void;
} | {
    close(): unknown;
};
type Disposer = (reason: EndReason) => unknown;
declare class Scope {
    #private;
    constructor(environment: Environment, parent: Scope | null, counted?: 0 | 1);
    get environment(): Environment;
    get ended(): boolean;
    get endReason(): EndReason;
    get signal(): AbortSignal;
    defer(dispose: Disposer): void;
    own<T extends Owned>(resource: T): T;
    planEnd(reason: EndReason): void;
    hold(): void;
    onEndAsked(listener: () => void): void;
    release(): void;
    end(reason?: EndReason): void | Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
    assertLive(): void;
}
type DefaultParams = Readonly<Record<string, string>>;
type ContextKeys = Omit<CoreKeys, "iopa.Params" | "iopa.Body" | "server.ParentContext" | "server.Connection"> & {
    [K in ExtensionKey]?: IopaKeys[K] | undefined;
};
interface BaseContext<Params = DefaultParams> extends ContextKeys {
    "iopa.Params": Params;
    get "iopa.Body"(): AsyncIterable<Uint8Array> | null;
    set "iopa.Body"(body: Body);
    "server.ParentContext": Context | null;
    readonly "server.Connection": Context | null;
    readonly id: number;
    method: string;
    path: string;
    pathBase: string;
    readonly segments: readonly string[];
    params: Params;
    readonly route: string;
    readonly query: URLSearchParams;
    readonly headers: HeaderFields;
    readonly type: string;
    readonly body: AsyncIterable<Uint8Array> | null;
    readonly scheme: string;
    readonly protocol: string;
    readonly host: string;
    readonly port: number;
    readonly url: string;
    readonly observe: boolean | undefined;
    user: User | undefined;
    readonly logger: Logger;
    readonly remoteAddress: string;
    readonly remotePort: number;
    readonly connection: Context | null;
    readonly endpoint: Endpoint;
    readonly requestedPath: string;
    readonly requestedMethod: string;
    readonly hasPrecondition: boolean;
    readonly response: Answer;
    bytes(): Promise<Uint8Array<ArrayBuffer>>;
    text(): Promise<string>;
    json<T = unknown>(): Promise<T>;
    readonly signal: AbortSignal;
    readonly environment: Environment;
    readonly ended: boolean;
    readonly endReason: EndReason;
    defer(dispose: (reason: EndReason) => unknown): void;
    own<T extends Owned>(resource: T): T;
    child(path: string, method?: string): Context;
    end(reason?: EndReason): void | Promise<void>;
    planEnd(reason: EndReason): void;
    hold(): void;
    onEndAsked(listener: () => void): void;
    release(): void;
    assertLive(): void;
    notify(path: string): void;
    private(): void;
    onSendingHeaders(callback: () => unknown): void;
    toString(): string;
    [Symbol.asyncDispose](): Promise<void>;
}
interface Authenticated {
    user: User;
}
type Context<Provided extends keyof IopaKeys = never, Params = DefaultParams> = BaseContext<Params> & {
    [K in Provided]: Exclude<IopaKeys[K], undefined>;
} & ("server.User" extends Provided ? Authenticated : unknown);
interface ChangeOrder {
    readonly active: number;
    run(context: Context, judged: boolean, readable: boolean, handler: () => unknown): unknown;
}
interface BodyHolder {
    readonly environment: Environment;
    readonly endpoint: Endpoint;
    readonly "server.User": User | undefined;
    readonly "server.RemoteAddress": string;
    defer(dispose: () => unknown): void;
}
interface HeldBytes {
    hold(holder: BodyHolder, bytes: number, body?: object): void;
    take(owner: string, bytes: number): void;
    give(owner: string, bytes: number): void;
    readonly tight: boolean;
    hasRoom(owner: string, bytes: number): boolean;
    whenFreed(freed: () => void): void;
    ownerOf(holder: Pick<BodyHolder, "server.User" | "server.RemoteAddress">): string;
}
interface Environment {
    live: number;
    lastId: number;
    readonly capabilities: Capabilities;
    readonly logger: Logger;
    readonly codecs: CodecTable;
    readonly bodyLimit: number;
    bodies?: HeldBytes | undefined;
    readonly failures?: {
        take(): boolean;
        flush(): void;
    };
    observed?: (() => void) | undefined;
    now(): number;
    bounded?(work: Promise<void>, hurry: () => void): Promise<void>;
    changes: ChangeOrder | null;
    notify(path: string, origin?: object): void;
}
interface Problem {
    readonly type: string;
    readonly title: string;
    readonly status: number;
    readonly code?: string;
    readonly detail?: string;
    readonly [extension: string]: unknown;
}
declare const problemOf: (status: number, error: IopaError | null) => Problem;
declare class Answer {
    #private;
    value: unknown;
    run: object | null;
    resource: string;
    guards: object | null;
    constructor(owner?: AnswerOwner | null);
    static received(status: number, parts?: ReceivedParts): Answer;
    get "iopa.StatusCode"(): number;
    set "iopa.StatusCode"(status: number);
    get "iopa.ReasonPhrase"(): string;
    set "iopa.ReasonPhrase"(reason: string);
    get "iopa.Headers"(): HeaderMap;
    set "iopa.Headers"(headers: HeadersInit);
    get "iopa.ContentType"(): string;
    set "iopa.ContentType"(type: string);
    get "iopa.Body"(): unknown;
    set "iopa.Body"(body: unknown);
    get "server.Capabilities"(): Capabilities;
    get status(): number;
    set status(status: number);
    get reason(): string;
    set reason(reason: string);
    get headers(): HeaderMap;
    set headers(headers: HeadersInit);
    get type(): string;
    set type(type: string);
    get body(): unknown;
    set body(body: unknown);
    setBody(body: unknown, kind: Kind): void;
    noteLength(): void;
    get hasStatus(): boolean;
    get ok(): boolean;
    get error(): IopaError | null;
    setError(error: IopaError): void;
    get problem(): Problem;
    get isProblem(): boolean;
    get excerpt(): Excerpt | null;
    set excerpt(excerpt: Excerpt | null);
    get judged(): boolean;
    set judged(judged: boolean);
    get sealed(): boolean;
    get headerPairs(): readonly string[];
    get payload(): Payload;
    get payloadBytes(): Uint8Array<ArrayBuffer>;
    get isStream(): boolean;
    collect(limit: number, holder?: BodyHolder): Promise<void>;
    whenRead(done: () => void, signal?: AbortSignal, failed?: (error: unknown) => unknown): void;
    bytes(limit?: number): Promise<Uint8Array<ArrayBuffer>>;
    text(): Promise<string>;
    json(codecs?: CodecTable): Promise<unknown>;
    useCodecs(codecs: CodecTable): void;
    onSendingHeaders(callback: SendingCallback): void;
    get noted(): NotedMethods | null;
    note(path: string, methods: Iterable<string>): void;
    reset(): void;
    fail(error: IopaError): void;
    seal(codecs: CodecTable): void | Promise<void>;
    ready(): Promise<void> | null;
    refuse(error: IopaError, codecs: CodecTable): void;
    toString(): string;
}
declare const applyValue: (answer: Answer, value: unknown) => void;
declare const checkBag: (bag: unknown) => asserts bag is Bag;
interface BodyStream extends AsyncIterable<Uint8Array> {
    bytes(limit: number, holder?: BodyHolder): Promise<Uint8Array>;
}
declare const bodyTooLarge: (limit: number) => IopaError;
declare const holdBytes: (holder: BodyHolder | undefined, bytes: number, body?: object) => void;
declare const concatBytes: (chunks: readonly Uint8Array[], length?: number) => Uint8Array<ArrayBuffer>;
declare const collectBytes: (stream: AsyncIterable<Uint8Array>, limit: number, holder?: BodyHolder, body?: object) => Promise<Uint8Array<ArrayBuffer>>;
declare const readBody: (body: Body, limit: number, holder?: BodyHolder) => Uint8Array | Promise<Uint8Array>;
declare class ByteBody extends Uint8Array {
    [Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void>;
}
declare const byteBody: (bytes: Uint8Array, start?: number, end?: number) => ByteBody;
interface RequestSource {
    headers?(): string[] | HeaderFields;
    body?(): Body;
    authority?(): string;
    contentType?(): string;
    hasPrecondition?(): boolean;
}
interface ContextInit {
    readonly method: string;
    readonly path: string;
    readonly query: string;
    readonly rawPath: string;
    readonly endpoint: Endpoint;
    readonly source: RequestSource | null;
}
declare class PropertyBag {
    #private;
    "iopa.Id": number;
    "iopa.Method": string;
    "iopa.Path": string;
    "iopa.PathBase": string;
    "iopa.QueryString": string;
    "iopa.Params": Readonly<Record<string, string>>;
    "iopa.Route": string;
    "iopa.Scheme": string;
    "iopa.Protocol": string;
    "iopa.Observe": boolean | undefined;
    "iopa.Seq": number | string | undefined;
    "server.RawPath": string;
    "server.RemoteAddress": string;
    "server.RemotePort": number;
    "server.ParentContext": Bag | null;
    "server.User": User | undefined;
    "server.IsLocalOrigin": boolean;
    "server.IsNotification": boolean;
    "server.IsReplica": boolean;
    constructor(environment: Environment, init: ContextInit, parent: PropertyBag | Scope | null);
    get "iopa.Version"(): string;
    get "server.Logger"(): Logger;
    set "server.Logger"(logger: Logger);
    get "server.LocalAddress"(): string;
    get "server.LocalPort"(): number;
    get "server.TLS"(): boolean;
    get "server.SessionId"(): string;
    get "server.RawTransport"(): unknown;
    get "iopa.PathSegments"(): readonly string[];
    get "iopa.Headers"(): HeaderFields;
    set "iopa.Headers"(headers: HeadersInit);
    get "iopa.ContentType"(): string;
    set "iopa.ContentType"(type: string);
    get "iopa.Body"(): AsyncIterable<Uint8Array> | null;
    set "iopa.Body"(body: Body);
    get "iopa.Host"(): string;
    set "iopa.Host"(host: string);
    get "iopa.Port"(): number;
    set "iopa.Port"(port: number);
    get "iopa.CallCancelled"(): AbortSignal;
    get "iopa.Events"(): EventTarget;
    get "server.Capabilities"(): Capabilities;
    set "server.Capabilities"(capabilities: Capabilities);
    get "server.IsPrecondition"(): boolean;
    set "server.IsPrecondition"(isPrecondition: boolean);
    get "server.Timestamp"(): number;
    set "server.Timestamp"(time: number);
    get "server.Connection"(): Context | null;
    get "server.OnSendingHeaders"(): OnSendingHeaders;
    get "ssl.ClientCertificate"(): unknown;
    get response(): Answer;
    set response(value: unknown);
    get requestedPath(): string;
    get requestedMethod(): string;
    get hasPrecondition(): boolean;
    get environment(): Environment;
    get endpoint(): Endpoint;
    bytes(): Promise<Uint8Array>;
    text(): Promise<string>;
    json<T = unknown>(): Promise<T>;
    child(path: string, method?: string): Context;
    get signal(): AbortSignal;
    get ended(): boolean;
    get endReason(): EndReason;
    defer(dispose: (reason: EndReason) => unknown): void;
    own<T extends Owned>(resource: T): T;
    end(reason?: EndReason): void | Promise<void>;
    planEnd(reason: EndReason): void;
    hold(): void;
    onEndAsked(listener: () => void): void;
    release(): void;
    assertLive(): void;
    [Symbol.asyncDispose](): Promise<void>;
    notify(path: string): void;
    private(): void;
    onSendingHeaders(callback: () => unknown): void;
    toString(): string;
    [Symbol.toPrimitive](): string;
    toJSON(): Record<string, unknown>;
}
declare const fullPath: (base: string, path: string) => string;
declare class ContextView {
    #private;
    "iopa.Path": string;
    "iopa.PathBase": string;
    "iopa.Params": Readonly<Record<string, string>>;
    "iopa.Route": string;
    constructor(context: Context, prefix: string, logger: Logger | null);
    get response(): Answer;
    set response(answer: unknown);
    get "iopa.PathSegments"(): readonly string[];
    get "server.Logger"(): Logger;
    set "server.Logger"(logger: Logger);
    child(path: string, method?: string): Context;
    notify(path: string): void;
    static contextOf<T>(value: T): T | Context;
    static isMountPath(context: Context): boolean;
}
declare class ContextFactory {
    #private;
    constructor(environment: Environment);
    get live(): number;
    create(init: ContextInit, parent?: Scope | Context | null): Context;
    promote(bag: Bag, parent?: Scope | Context | null): Context;
}
declare const isContext: (value: unknown) => value is Context;
interface PathLimits {
    readonly pathSegments: number;
    readonly segmentLength: number;
}
declare const joinPath: (segments: readonly string[], limits?: PathLimits) => string;
declare const decodePath: (raw: string, limits?: PathLimits) => string;
declare const checkPath: (path: string, limits?: PathLimits) => string;
declare const encodePath: (path: string) => string;
declare const hasPreconditionField: (pairs: readonly string[]) => boolean;
declare const READ: {
    readonly Host: 1;
    readonly Port: 2;
    readonly HostField: 4;
    readonly Query: 8;
    readonly Accept: 16;
    readonly User: 32;
    readonly Scheme: 64;
    readonly Protocol: 128;
    readonly RawPath: 256;
    readonly Private: 512;
};
declare class Reads {
    #private;
    get bits(): number;
    whenPrivate(listener: () => void): void;
    add(bit: number): void;
    pause(): void;
    resume(): void;
    ignoring<T>(work: () => T): T;
}
declare const readsOf: (context: object) => Reads | undefined;
declare const trackReads: (context: object, reads: Reads) => void;
declare class TrackedHeaders extends HeaderMap {
    #private;
    constructor(pairs: string[], reads: Reads, unrecorded: ReadonlySet<string>);
    get size(): number;
    get(name: string): string | undefined;
    getAll(name: string): string[];
    has(name: string): boolean;
    [Symbol.iterator](): Generator<[
        name: string,
        value: string
    ]>;
    pairs(): readonly string[];
}
declare const REPLY: unique symbol;
interface Reply {
    readonly [REPLY]: true;
    readonly status: number;
    readonly body: unknown;
    readonly headers: HeadersInit | undefined;
}
declare const reply: (status: number, body?: unknown, headers?: HeadersInit) => Reply;
declare const isReply: (value: object) => value is Reply;
declare const report: (logger: Pick<Logger, "error">, line: string, ...error: readonly unknown[]) => void;
interface UrlParts {
    readonly scheme: string;
    readonly host: string;
    readonly port: number;
    readonly path: string;
    readonly query: string;
}
declare const parseUrl: (url: string | URL) => UrlParts;
declare const parseAuthority: (authority: string, scheme: string) => {
    host: string;
    port: number;
};
declare const formatUrl: (scheme: string, host: string, port: number, path: string, query: string) => string;
export { Answer, ContextFactory, ContextView, HeaderMap, PropertyBag, READ, Reads, Scope, TrackedHeaders, abandonValue, abortReason, abortable, applyValue, assignHeaders, bodyTooLarge, byteBody, checkBag, checkPath, collectBytes, concatBytes, decodePath, encodeBody, encodePath, formatUrl, fullPath, hasPreconditionField, holdBytes, isContext, isLoopback, isReply, joinPath, localEndpoint, parseAuthority, parseUrl, problemOf, readBody, readsOf, reply, report, trackReads };
export type { AnswerOwner, BaseContext, BodyHolder, BodyStream, ChangeOrder, Context, ContextInit, Encoded, EndReason, Endpoint, Environment, Excerpt, HeldBytes, InheritedKeys, NotedMethods, Owned, PathLimits, Payload, Problem, ReceivedParts, Reply, RequestSource, SendingCallback, UrlParts };
