// Written by pnpm api.

// context.d.ts
/// <reference lib="esnext.disposable" />
import { IopaError, User, CodecTable, HeaderFields, HeadersInit, Capabilities, SendingOptions, ReceivedKeys, Bag, CoreKeys, ExtensionKey, IopaKeys, Body, Logger } from "@iopa/constants";
type EndReason = "finish" | "disconnect" | "timeout" | "unsubscribe" | "reset" | "shutdown";
declare const abortReason: (reason: EndReason) => IopaError;
interface BodyHolder {
    readonly environment: {
        readonly bodies?: HeldBytes | undefined;
    };
    readonly endpoint: {
        readonly holdsBack?: boolean;
    };
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
type Payload = string | Uint8Array | AsyncIterable<Uint8Array> | null;
type Step = IteratorResult<Uint8Array, undefined>;
declare abstract class PayloadStream implements AsyncIterableIterator<Uint8Array> {
    #private;
    bytes: number;
    get begun(): boolean;
    protected abstract pull(): Promise<Step>;
    protected abstract giveUp(): void;
    protected finish(): void;
    next(): Promise<Step>;
    return(): Promise<IteratorReturnResult<undefined>>;
    ready(): Promise<void> | null;
    opened(): Promise<void> | null;
    [Symbol.asyncIterator](): this;
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
type SendingCallback = () => unknown;
type SealedHeaders = Omit<HeaderFields, "set" | "append" | "delete">;
interface AnswerHead {
    readonly "iopa.StatusCode": number;
    readonly "iopa.ReasonPhrase": string;
    readonly "iopa.Headers": SealedHeaders;
    readonly "iopa.ContentType": string;
    readonly status: number;
    readonly reason: string;
    readonly headers: SealedHeaders;
    readonly type: string;
    readonly ok: boolean;
    readonly error: IopaError | null;
    toString(): string;
}
interface AnswerContent {
    bytes(limit?: number): Promise<Uint8Array<ArrayBuffer>>;
    text(): Promise<string>;
    json(codecs?: CodecTable): Promise<unknown>;
}
interface Answer extends AnswerContent {
    "iopa.StatusCode": number;
    "iopa.ReasonPhrase": string;
    get "iopa.Headers"(): HeaderFields;
    set "iopa.Headers"(headers: HeadersInit);
    "iopa.ContentType": string;
    "iopa.Body": unknown;
    readonly "server.Capabilities": Capabilities;
    status: number;
    reason: string;
    get headers(): HeaderFields;
    set headers(headers: HeadersInit);
    type: string;
    body: unknown;
    readonly ok: boolean;
    readonly error: IopaError | null;
    readonly sealed: boolean;
    fail(error: IopaError): void;
    reset(): void;
    onSendingHeaders(callback: SendingCallback, options?: SendingOptions): void;
    toString(): string;
}
interface Excerpt {
    readonly type: string;
    readonly size: number;
    readonly start: Uint8Array;
}
interface SealedAnswer extends AnswerHead {
    readonly payload: Payload;
    readonly payloadBytes: Uint8Array<ArrayBuffer>;
    readonly isStream: boolean;
    readonly headerPairs: readonly string[];
    readonly problem: Problem;
    readonly isProblem: boolean;
    readonly encoded: boolean;
    readonly excerpt: Excerpt | null;
    readonly resource: string;
    readonly route: string;
    readonly sealed: boolean;
    collect(limit: number, holder?: BodyHolder): Promise<void>;
}
interface ReceivedAnswer extends AnswerHead, AnswerContent, Partial<ReceivedKeys> {
    readonly body: AsyncIterable<Uint8Array>;
}
interface LinkAnswer extends Omit<SealedAnswer, keyof ReceivedAnswer>, ReceivedAnswer {
}
interface RequestOptions {
    readonly headers?: HeadersInit;
    readonly type?: string;
    readonly signal?: AbortSignal;
}
interface Client {
    readonly pathBase: string;
    get(path: string, options?: RequestOptions): Promise<ReceivedAnswer>;
    put(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>;
    post(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>;
    patch(path: string, body: unknown, options?: RequestOptions): Promise<ReceivedAnswer>;
    delete(path: string, options?: RequestOptions): Promise<ReceivedAnswer>;
    send(request: Bag): Promise<ReceivedAnswer>;
    observe(path: string, options?: RequestOptions): AsyncIterable<ReceivedAnswer>;
    observe(request: Bag): AsyncIterable<ReceivedAnswer>;
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
}
interface PeerClientOptions {
    readonly signal?: AbortSignal;
    readonly timeout?: number;
    readonly silence?: number;
}
interface Peer {
    client(options?: PeerClientOptions): Promise<Client>;
}
type DefaultParams = Readonly<Record<string, string>>;
type Owned = {
    [Symbol.asyncDispose](): PromiseLike<void>;
} | {
    [Symbol.dispose](): void;
} | {
    close(): unknown;
};
type ContextKeys = Omit<CoreKeys, "iopa.Params" | "iopa.Body" | "server.ParentContext" | "server.Connection" | "server.Peer"> & {
    [K in ExtensionKey]?: IopaKeys[K] | undefined;
};
interface BaseContext<Params = DefaultParams> extends ContextKeys {
    "iopa.Params": Params;
    get "iopa.Body"(): AsyncIterable<Uint8Array> | null;
    set "iopa.Body"(body: Body);
    "server.ParentContext": Context | null;
    readonly "server.Connection": Context | null;
    readonly "server.Peer": Peer | undefined;
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
    input: unknown;
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
    readonly peer: Peer | undefined;
    readonly requestedPath: string;
    readonly requestedMethod: string;
    readonly response: Answer;
    bytes(): Promise<Uint8Array<ArrayBuffer>>;
    text(): Promise<string>;
    json<T = unknown>(): Promise<T>;
    readonly signal: AbortSignal;
    readonly ended: boolean;
    readonly endReason: EndReason;
    defer(dispose: (reason: EndReason) => unknown): void;
    own<T extends Owned>(resource: T): T;
    child(path: string, method?: string): Context;
    notify(path: string): void;
    private(): void;
    onSendingHeaders(callback: () => unknown, options?: SendingOptions): void;
    toString(): string;
    [Symbol.asyncDispose](): Promise<void>;
}
interface Authenticated {
    user: User;
}
type Context<Provided extends keyof IopaKeys = never, Params = DefaultParams> = BaseContext<Params> & {
    [K in Provided]: Exclude<IopaKeys[K], undefined>;
} & ("server.User" extends Provided ? Authenticated : unknown);
export { PayloadStream as a, abortReason as g, problemOf as p };
export type { Answer as A, BodyHolder as B, Context as C, Excerpt as E, HeldBytes as H, LinkAnswer as L, Owned as O, Payload as P, ReceivedAnswer as R, SendingCallback as S, SealedAnswer as b, Problem as c, Peer as d, BaseContext as e, EndReason as f, Client as h, PeerClientOptions as i, RequestOptions as j, SealedHeaders as k };

// host.d.ts
/// <reference lib="esnext.disposable" />
import { P as Payload, a as PayloadStream, B as BodyHolder, H as HeldBytes } from "./context.js";
import { Excerpt, SendingCallback, Answer, SealedAnswer, Problem, Peer, Context, BaseContext, EndReason, Owned, LinkAnswer, ReceivedAnswer } from "./index.js";
export { g as abortReason, p as problemOf } from "./context.js";
import { CodecTable, HeaderFields, HeadersInit, Capabilities, IopaError, ReceivedKeys, SendingOptions, Bag, Body, Trailers, Logger } from "@iopa/constants";
declare const abortable: <T>(signal: AbortSignal | undefined, work: () => Promise<T>, late?: (value: T) => void) => Promise<T>;
declare const addressGroup: (address: string) => string;
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
declare const kindOf: (value: unknown) => Kind;
interface Encoded {
    readonly payload: Payload;
    readonly type: string;
}
declare const encodeBody: (body: unknown, type: string, codecs: CodecTable) => Encoded;
interface ReadableAnswer {
    readonly sealed: boolean;
    readonly status: number;
    readonly body: unknown;
    readonly payload: Payload;
    readonly payloadBytes: Uint8Array<ArrayBuffer>;
    readonly headers: {
        has(name: string): boolean;
    };
    type: string;
    setBody(body: unknown, kind: Kind): void;
    collect(limit: number): Promise<void>;
}
declare class AnswerReading {
    #private;
    constructor(answer: ReadableAnswer, encode: () => Encoded, origin: "upstream" | "internal", limit: number);
    bytes(limit?: number): Promise<Uint8Array<ArrayBuffer>>;
    text(): Promise<string>;
    json(codecs: CodecTable): Promise<unknown>;
}
interface AsyncScope {
    runInAsyncScope<This, Args extends unknown[], R>(fn: (this: This, ...args: Args) => R, self?: This, ...args: Args): R;
}
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
type Source = AsyncIterable<unknown> | Iterable<unknown> | ReadableStream<unknown>;
declare class HeldBodies {
    #private;
    hold(source: Source): PayloadStream;
    giveUp(): void;
}
declare const abandonValue: (value: unknown) => void;
interface NotedMethods {
    readonly path: string;
    readonly methods: ReadonlySet<string>;
}
interface AnswerOwner {
    readonly "server.Capabilities": Capabilities;
    readonly "iopa.Method": string;
    readonly "iopa.Headers": HeaderFields;
    readonly "iopa.Scheme": string;
    readonly "iopa.Observe"?: boolean | undefined;
    readonly requestedMethod: string;
    readonly environment: {
        readonly codecs: CodecTable;
        readonly bodyLimit: number;
    };
    defer(dispose: () => unknown): void;
}
interface ReceivedProblem {
    readonly code?: string | undefined;
    readonly detail?: string | undefined;
    readonly extensions?: Readonly<Record<string, unknown>> | undefined;
}
interface ReceivedParts {
    readonly headers?: HeaderMap;
    readonly type?: string;
    readonly payload?: Payload;
    readonly reason?: string;
    readonly codecs?: CodecTable;
    readonly problem?: ReceivedProblem | undefined;
    readonly keys?: Partial<ReceivedKeys>;
}
declare const OPEN = 0;
type AnswerState = 0 | 1 | 2;
interface RareParts {
    reason: string;
    excerpt: Excerpt | null;
    judged: boolean;
    noted: NotedMethods | null;
    readonly callbacks: SendingCallback[];
    held: HeldBodies | null;
    bodyScope: AsyncScope | null;
    lengthOfBody: boolean;
    reading: AnswerReading | null;
    codecs: CodecTable | null;
    earlier: AsyncIterable<EarlierState> | null;
    deliveries: number;
    observed: (() => void) | null;
}
interface EarlierState {
    readonly body: unknown;
    readonly headers: Readonly<Record<string, string>>;
}
interface AnswerFields {
    readonly owner: AnswerOwner | null;
    state: AnswerState;
    code: number;
    mediaType: string;
    fields: HeaderMap | null;
    content: unknown;
    kind: Kind;
    wire: Payload;
    failure: IopaError | null;
    rare: RareParts | null;
}
declare const rareOf: (answer: AnswerFields) => RareParts;
declare class AnswerRecord implements AnswerFields, Answer, SealedAnswer {
    #private;
    "iopa.StatusCode": number;
    "iopa.ReasonPhrase": string;
    "iopa.Headers": HeaderMap;
    "iopa.ContentType": string;
    "iopa.Body": unknown;
    readonly "server.Capabilities": Capabilities;
    value: unknown;
    run: object | null;
    resource: string;
    route: string;
    guards: object | null;
    readonly owner: AnswerOwner | null;
    code: number;
    mediaType: string;
    fields: HeaderMap | null;
    content: unknown;
    kind: Kind;
    wire: Payload;
    failure: IopaError | null;
    rare: RareParts | null;
    state: AnswerFields["state"];
    received: boolean;
    constructor(owner?: AnswerOwner | null);
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
    take(value: unknown): boolean;
    setBody(body: unknown, kind: Kind): void;
    noteLength(): void;
    get ok(): boolean;
    get error(): IopaError | null;
    get problem(): Problem;
    get isProblem(): boolean;
    get encoded(): boolean;
    get excerpt(): Excerpt | null;
    set excerpt(excerpt: Excerpt | null);
    get sealed(): boolean;
    get headerPairs(): readonly string[];
    get payload(): Payload;
    get payloadBytes(): Uint8Array<ArrayBuffer>;
    get isStream(): boolean;
    collect(limit: number, holder?: BodyHolder): Promise<void>;
    bytes(limit?: number): Promise<Uint8Array<ArrayBuffer>>;
    text(): Promise<string>;
    json(codecs?: CodecTable): Promise<unknown>;
    onSendingHeaders(callback: SendingCallback, options?: SendingOptions): void;
    reset(): void;
    fail(error: IopaError): void;
    toString(): string;
}
interface ValueTarget {
    readonly code: number;
    status: number;
    type: string;
    body: unknown;
    readonly headers: HeaderMap;
    setBody(body: unknown, kind: Kind): void;
    noteLength(): void;
}
declare const applyValue: (answer: ValueTarget, value: unknown) => void;
declare const checkBag: (bag: unknown) => asserts bag is Bag;
interface BodyStream extends AsyncIterable<Uint8Array> {
    bytes(limit: number, holder?: BodyHolder): Uint8Array | Promise<Uint8Array>;
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
    peer?(): Peer | undefined;
    readonly inherited?: InheritedKeys;
}
declare const localEndpoint: (bodyLimit: number) => Endpoint;
declare const isLoopback: (address: string) => boolean;
interface RequestSource {
    readonly headerless?: boolean;
    headers?(): string[] | HeaderFields;
    body?(): Body;
    authority?(): string;
    contentType?(): string;
    hasPrecondition?(): boolean;
    inform?(status: number, pairs: readonly string[]): boolean;
    trailers?(): Trailers;
    readonly addressedAs?: {
        readonly "iopa.Host": string;
        readonly "iopa.Port": number;
    };
}
interface ContextInit {
    readonly method: string;
    readonly path: string;
    readonly query: string;
    readonly rawPath: string;
    readonly endpoint: Endpoint;
    readonly source: RequestSource | null;
}
interface ChangeTerms {
    readonly judged: boolean;
    readonly readable: boolean;
    readonly exclusive: boolean;
}
interface ChangeOrder {
    readonly active: number;
    run(context: Context, terms: ChangeTerms, handler: () => unknown): unknown;
}
interface ChangeHost {
    readonly clock: EnvironmentClock;
    readonly timeout: number;
    readonly bodyLimit: number;
    nameOf(path: string): string;
    create(init: ContextInit, change: Context): Context;
    run(context: Context, done: () => void): void;
}
interface EnvironmentClock {
    now(): number;
    elapsed(): number;
    setTimeout(callback: () => void, ms: number, options?: {
        readonly keep?: boolean;
    }): unknown;
    clearTimeout(handle: unknown): void;
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
    readonly clock: EnvironmentClock;
    now(): number;
    bounded?(work: Promise<void>, hurry: () => void): Promise<void>;
    changes: ChangeOrder | null;
    changeHost?: ChangeHost;
    notify(path: string, origin?: object): void;
    mayGet?(path: string, context: Context): boolean | Promise<boolean>;
}
interface OwnedContext extends BaseContext {
    readonly response: Answer & SealedAnswer;
    "server.ParentContext": OwnedContext | null;
    readonly "server.Connection": OwnedContext | null;
    readonly connection: OwnedContext | null;
    child(path: string, method?: string): OwnedContext;
    readonly environment: Environment;
    readonly endpoint: Endpoint;
    readonly hasPrecondition: boolean;
    end(reason?: EndReason): void | Promise<void>;
    planEnd(reason: EndReason): void;
    onEndAsked(listener: () => void): void;
    assertLive(): void;
}
interface AnsweredContext extends Omit<OwnedContext, "response"> {
    readonly response: SealedAnswer;
}
type Disposer = (reason: EndReason) => unknown;
declare class Scope {
    #private;
    ended: boolean;
    constructor(environment: Environment, parent: Scope | null, counted?: 0 | 1);
    get environment(): Environment;
    get endReason(): EndReason;
    get signal(): AbortSignal;
    defer(dispose: Disposer): void;
    own<T extends Owned>(resource: T): T;
    planEnd(reason: EndReason): void;
    hold(asked: () => void): void;
    onEndAsked(listener: () => void): void;
    release(): void;
    end(reason?: EndReason): void | Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
    assertLive(): void;
}
declare const RECORD: unique symbol;
declare const SCOPE: unique symbol;
declare const BEHIND: unique symbol;
declare const contextOf: <T extends object>(value: T) => T;
interface RunContext extends OwnedContext {
    readonly response: AnswerRecord;
    "server.ParentContext": RunContext | null;
    readonly "server.Connection": RunContext | null;
    readonly connection: RunContext | null;
    readonly [RECORD]: AnswerRecord;
    readonly [SCOPE]: Scope;
    child(path: string, method?: string): RunContext;
}
declare const fullPath: (base: string, path: string) => string;
declare const viewOf: (context: RunContext, prefix: string, logger: Logger | null) => RunContext;
declare const isMountPath: (context: Context) => boolean;
declare class ContextFactory {
    #private;
    constructor(environment: Environment);
    get live(): number;
    create(init: ContextInit, parent?: Scope | Context | null): RunContext;
    promote(bag: Bag, parent?: Scope | Context | null): RunContext;
}
declare const isContext: (value: unknown) => value is Context;
declare const jsonInMemory: (context: Context) => unknown;
declare const isHttp: (scheme: string) => boolean;
declare const noteNegotiation: (answer: AnswerFields, codecs: CodecTable) => void;
interface PathLimits {
    readonly pathSegments: number;
    readonly segmentLength: number;
}
declare const joinPath: (segments: readonly string[], limits?: PathLimits) => string;
declare const decodePath: (raw: string, limits?: PathLimits) => string;
declare const checkPath: (path: string, limits?: PathLimits) => string;
declare const encodePath: (path: string) => string;
declare const hasPreconditionField: (pairs: readonly string[]) => boolean;
declare const createContext: (environment: Environment, init: ContextInit, parent: Scope | Context | null) => RunContext;
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
    readonly Codec: 1024;
    readonly SpecialCodec: 2048;
};
declare class Reads {
    #private;
    bits: number;
    onPrivate: (() => void) | null;
    origin: object | null;
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
declare const receivedAnswer: (status: number, parts?: ReceivedParts) => LinkAnswer;
declare const withPayload: (answer: LinkAnswer, payload: Payload) => LinkAnswer;
declare const useCodecs: (answer: ReceivedAnswer, codecs: CodecTable) => void;
declare const whenRead: (answer: AnswerRecord, done: () => void, signal?: AbortSignal, failed?: (error: unknown) => unknown) => void;
declare const handOver: (answer: AnswerRecord) => LinkAnswer;
declare const report: (logger: Pick<Logger, "error">, line: string, ...error: readonly unknown[]) => void;
declare const sealAnswer: (answer: AnswerFields, codecs: CodecTable) => void | Promise<void>;
declare const beforeSealing: (answer: AnswerFields, callback: SendingCallback) => void;
declare const headReady: ({ wire, code, owner, mediaType }: AnswerFields) => Promise<void> | null;
declare const refuseAnswer: (answer: AnswerFields, error: IopaError, codecs: CodecTable) => void;
declare const preview: (answer: AnswerFields) => Encoded;
declare const answerToError: (error: IopaError) => SealedAnswer;
declare const answerUnrun: (context: OwnedContext, outcome: IopaError | number) => SealedAnswer;
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
declare const valueType: (context: Context, value?: unknown) => string;
export { AnswerRecord, BEHIND, BodyHolder, ContextFactory, HeaderMap, HeldBytes, KIND, OPEN, Payload, PayloadStream, READ, RECORD, Reads, SCOPE, Scope, TrackedHeaders, abandonValue, abortable, addressGroup, answerToError, answerUnrun, applyValue, assignHeaders, beforeSealing, bodyTooLarge, byteBody, checkBag, checkPath, collectBytes, concatBytes, contextOf, createContext, decodePath, encodeBody, encodePath, formatUrl, fullPath, handOver, hasPreconditionField, headReady, holdBytes, isContext, isHttp, isLoopback, isMountPath, joinPath, jsonInMemory, kindOf, localEndpoint, noteNegotiation, parseAuthority, parseUrl, preview, rareOf, readBody, readsOf, receivedAnswer, refuseAnswer, report, sealAnswer, trackReads, useCodecs, valueType, viewOf, whenRead, withPayload };
export type { AnswerFields, AnswerOwner, AnswerState, AnsweredContext, BodyStream, ChangeHost, ChangeOrder, ChangeTerms, ContextInit, EarlierState, Encoded, Endpoint, Environment, EnvironmentClock, InheritedKeys, Kind, NotedMethods, OwnedContext, PathLimits, RareParts, ReceivedParts, ReceivedProblem, RequestSource, RunContext };

// index.d.ts
/// <reference lib="esnext.disposable" />
export { A as Answer, e as BaseContext, h as Client, C as Context, f as EndReason, E as Excerpt, L as LinkAnswer, O as Owned, P as Payload, d as Peer, i as PeerClientOptions, c as Problem, R as ReceivedAnswer, j as RequestOptions, b as SealedAnswer, k as SealedHeaders, S as SendingCallback } from "./context.js";
import { HeadersInit } from "@iopa/constants";
declare const REPLY: unique symbol;
interface Reply {
    readonly [REPLY]: true;
    readonly status: number;
    readonly body: unknown;
    readonly headers: HeadersInit | undefined;
}
declare const reply: (status: number, body?: unknown, headers?: HeadersInit) => Reply;
declare const isReply: (value: object) => value is Reply;
export { isReply, reply };
export type { Reply };
