// Written by pnpm api.

// index.d.ts
/// <reference lib="esnext.disposable" />
declare const CAPABILITIES: {
    readonly App: "urn:io.iopa:app";
    readonly Router: "urn:io.iopa:router";
    readonly Static: "urn:io.iopa:static";
    readonly Http: "urn:io.iopa:http";
    readonly Tcp: "urn:io.iopa:tcp";
    readonly Udp: "urn:io.iopa:udp";
    readonly Coap: "urn:io.iopa:coap";
    readonly CoapProxy: "urn:io.iopa:coap-proxy";
    readonly Mqtt: "urn:io.iopa:mqtt";
    readonly Memory: "urn:io.iopa:memory";
};
type Capability = Record<string, unknown>;
type Capabilities = Record<string, Capability>;
interface Codec {
    readonly mediaType: string;
    readonly contentFormat?: number;
    encode(value: unknown): Uint8Array | string;
    decode(bytes: Uint8Array): unknown;
    takes?(this: void, value: unknown): boolean;
    readonly negotiated?: boolean;
    valueSize?(bytes: Uint8Array): number;
}
declare const decodeText: (bytes: Uint8Array) => string;
declare const jsonCodec: Codec;
declare const textCodec: Codec;
declare const octetStreamCodec: Codec;
declare class CodecTable {
    #private;
    negotiable: boolean;
    constructor(codecs?: Iterable<Codec>);
    addMissing(codec: Codec): void;
    find(contentType: string): Codec | undefined;
    formatOf(value: unknown): number;
    choices(accept: string, text: boolean): readonly Codec[];
    [Symbol.iterator](): IterableIterator<Codec>;
}
type AppErrorCode = "already-built" | "already-listening" | "already-protected" | "answer-head-too-large" | "answer-not-collected" | "answer-sent" | "answer-too-large" | "app-closed" | "async-condition" | "bad-bag" | "bad-cookie" | "bad-fork" | "bad-header-name" | "bad-header-value" | "bad-key" | "bad-middleware" | "bad-mount" | "bad-namespace" | "bad-option" | "bad-reason" | "bad-resource" | "bad-schema" | "bad-session-value" | "bad-status" | "bad-store" | "bad-user" | "bind-failed" | "body-stalled" | "body-used" | "bridge-expected" | "cache-in-use" | "cache-not-used" | "document-path-taken" | "duplicate-route" | "file-not-on-disk" | "guard-behind-routes" | "guard-bypassed" | "headers-sent" | "internal-error" | "invalid-answer" | "invalid-constraint" | "invalid-group" | "invalid-handler" | "invalid-method" | "invalid-middleware" | "invalid-pattern" | "invalid-prefix" | "invoked-too-deep" | "late-middleware" | "link-attribute" | "lost-rejection" | "method-taken" | "missing-await" | "missing-key" | "mount-cycle" | "namespace-conflict" | "nested-codec" | "nested-limits" | "nested-transport" | "next-called-late" | "next-called-twice" | "no-dtls" | "no-form" | "no-router" | "no-state" | "no-transport" | "no-validator" | "nothing-to-serve" | "nothing-to-subscribe" | "permits-too-late" | "provided-too-late" | "proxy-in-use" | "psk-needs-tls-1.2" | "psk-without-certificates" | "psk-without-websocket" | "reserved-namespace" | "router-in-use" | "schema-failed" | "scope-ended" | "second-broker" | "second-validator" | "session-too-large" | "store-damaged" | "store-unavailable" | "store-unreadable" | "surplus-argument" | "telemetry-in-use" | "tls-reload" | "tls-without-ca" | "tls-without-key" | "unprotected-listener" | "websocket-expected" | "websocket-missing";
type IopaErrorCode = AppErrorCode | "accept-without-format" | "ambiguous-credentials" | "answer-gone" | "answer-not-kept" | "association-ended" | "authentication-busy" | "bad-answer" | "bad-block" | "bad-coap-option" | "bad-credentials" | "bad-host" | "bad-idempotency-key" | "bad-method" | "bad-param" | "bad-property" | "bad-proxy-uri" | "bad-query" | "bad-request" | "bad-seen" | "bad-state-version" | "bad-target" | "bad-topic" | "bad-url" | "bag-body" | "bag-key" | "bag-observe" | "bag-syntax" | "bag-type" | "bodies-in-memory" | "body-too-large" | "broker-client-id" | "broker-credentials" | "broker-forbidden" | "broker-moved" | "cbor-too-deep" | "cbor-too-dense" | "chunk-extensions-too-large" | "circular-change" | "closed" | "coding-in-http-1.0" | "connect-failed" | "control-method" | "critical-option" | "cross-site-request" | "disconnect" | "disconnected" | "document-deleted" | "document-exists" | "document-too-large" | "dot-segment" | "empty-segment" | "encoding-not-acceptable" | "enhance-your-calm" | "field-name-too-long" | "field-too-large" | "file-changed" | "file-gone" | "file-too-large" | "files-exhausted" | "files-not-accepted" | "finish" | "forbidden-key" | "foreign-origin" | "foreign-protocol" | "form-too-large" | "forwarded-conflict" | "fragment-in-target" | "frame-cut-off" | "frame-timeout" | "frame-too-long" | "group-request" | "handshake-failed" | "header-timeout" | "headers-too-large" | "hop-limit-reached" | "http-version" | "idempotency-key-reused" | "incomplete-answer" | "incomplete-request" | "invalid-input" | "invalid-senml" | "json-too-deep" | "json-too-dense" | "keys-unavailable" | "malformed-cbor" | "malformed-form" | "malformed-json" | "malformed-link-format" | "malformed-message" | "malformed-patch" | "malformed-problem" | "malformed-request" | "malformed-senml" | "malformed-text" | "many-hosts" | "message-refused" | "message-too-large" | "method-case" | "method-not-allowed" | "middleware-refused" | "mqtt-version" | "no-content-format" | "no-host" | "no-port" | "no-query-in-mqtt" | "no-route" | "no-subprotocol" | "no-such-condition" | "no-such-method" | "no-user" | "not-a-form" | "not-found" | "not-in-mqtt-3" | "not-json" | "not-kept" | "not-listening" | "not-migrated" | "not-observable" | "not-permitted" | "not-served" | "not-the-device" | "nul-in-path" | "operator-expected" | "option-too-long" | "other-host" | "other-scheme" | "overloaded" | "packet-too-large" | "patch-conflict" | "patch-too-large" | "path-too-long" | "peer-gone" | "peer-reset" | "port-unreachable" | "precondition-failed" | "protection-timeout" | "protocol-version" | "proxy-busy" | "proxy-refused" | "proxying-refused" | "publish-refused" | "query-in-path" | "queues-full" | "range-not-satisfiable" | "rate-limit-unavailable" | "rate-limited" | "received-too-large" | "redirect-refused" | "redirected" | "refused" | "relative-path" | "request-over" | "request-under-way" | "reset" | "responses-refused" | "segment-too-long" | "sequence-exhausted" | "server-refused" | "session-store" | "shutdown" | "slash-in-segment" | "state-refused" | "storage-full" | "store-locked" | "subscription-refused" | "target-not-allowed" | "timeout" | "tls-handshake-failed" | "tls-scheme" | "token-too-long" | "too-many-clients" | "too-many-connections" | "too-many-fields" | "too-many-files" | "too-many-headers" | "too-many-observations" | "too-many-observers" | "too-many-parts" | "too-many-peers" | "too-many-records" | "too-many-retained" | "too-many-segments" | "topic-is-state" | "unauthenticated" | "undecodable-path" | "undecodable-query" | "unknown-coding" | "unknown-document-version" | "unknown-expectation" | "unknown-host" | "unknown-thing" | "unprotected-answer" | "unproven-server" | "unstable-answer" | "unsubscribe" | "unsupported-cbor" | "unsupported-charset" | "unsupported-coding" | "unsupported-patch" | "unverified-peer" | "upstream-failed" | "upstream-timeout" | "user-expired";
interface IopaErrorOptions {
    readonly cause?: unknown;
    readonly headers?: Readonly<Record<string, string>>;
    readonly extensions?: Readonly<Record<string, unknown>>;
}
declare class IopaError extends Error {
    readonly name = "IopaError";
    readonly status: number;
    readonly code: IopaErrorCode | (string & {});
    readonly detail: string;
    readonly headers: Readonly<Record<string, string>> | undefined;
    readonly extensions: Readonly<Record<string, unknown>> | undefined;
    constructor(status: number, code: IopaErrorCode | (string & {}), detail?: string, options?: IopaErrorOptions);
}
type ErrorOrigin = "upstream" | "internal";
declare const withOrigin: <E>(error: E, origin: ErrorOrigin) => E;
declare const originOf: (error: unknown) => ErrorOrigin | undefined;
declare const isIopaError: (value: unknown) => value is IopaError;
interface Logger {
    error(...data: unknown[]): void;
    warn(...data: unknown[]): void;
    info(...data: unknown[]): void;
    debug(...data: unknown[]): void;
}
interface HeaderFields extends Iterable<[
    name: string,
    value: string
]> {
    get(name: string): string | undefined;
    getAll(name: string): string[];
    has(name: string): boolean;
    set(name: string, value: string | readonly string[]): void;
    append(name: string, value: string): void;
    delete(name: string): boolean;
}
interface RandomAccessBody extends AsyncIterable<Uint8Array> {
    readonly size: number;
    read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array>;
}
type Body = Uint8Array | AsyncIterable<Uint8Array> | null;
interface Validity {
    readonly until?: number;
    readonly check?: () => boolean | Promise<boolean>;
    readonly every?: number;
    readonly login?: string;
}
interface User {
    readonly id: string;
    readonly by?: string | undefined;
    readonly realm?: string | undefined;
    readonly valid?: Validity;
    readonly [claim: string]: unknown;
}
interface SendingOptions {
    readonly last?: boolean;
}
type OnSendingHeaders = (callback: () => unknown, options?: SendingOptions) => void;
type Inform = (status: number, headers: HeadersInit) => boolean;
interface Trailers {
    readonly received: HeaderFields;
    set(name: string, value: string | (() => string | Promise<string>)): boolean;
}
interface CoreKeys {
    readonly "iopa.Version": string;
    "iopa.Id": number;
    "iopa.Method": string;
    "iopa.Path": string;
    readonly "iopa.PathSegments": readonly string[];
    "iopa.PathBase": string;
    "iopa.QueryString": string;
    "iopa.Params": Readonly<Record<string, string>>;
    "iopa.Route": string;
    "iopa.Headers": HeaderFields;
    "iopa.ContentType": string;
    "iopa.Body": Body;
    "iopa.Input": unknown;
    "iopa.Scheme": string;
    "iopa.Protocol": string;
    "iopa.Host": string;
    "iopa.Port": number;
    "iopa.Observe": boolean | undefined;
    "iopa.Seq": number | string | undefined;
    readonly "iopa.CallCancelled": AbortSignal;
    readonly "iopa.Events": EventTarget;
    "server.Capabilities": Capabilities;
    "server.RawPath": string;
    "server.RemoteAddress": string;
    "server.RemotePort": number;
    readonly "server.LocalAddress": string;
    readonly "server.LocalPort": number;
    readonly "server.TLS": boolean;
    readonly "server.SessionId": string;
    readonly "server.Connection": Bag | null;
    readonly "server.Peer": unknown;
    "server.ParentContext": Bag | null;
    "server.User": User | undefined;
    "server.Logger": Logger;
    "server.IsLocalOrigin": boolean;
    "server.IsNotification": boolean;
    "server.IsReplica": boolean;
    "server.IsPrecondition": boolean;
    readonly "server.OnSendingHeaders": OnSendingHeaders;
    readonly "server.Inform": Inform;
    readonly "server.Trailers": Trailers;
    readonly "server.RawTransport": unknown;
    "server.Timestamp": number;
    readonly "ssl.ClientCertificate": unknown;
}
interface AnswerKeys {
    "iopa.StatusCode": number;
    "iopa.ReasonPhrase": string;
    "iopa.Headers": HeaderFields;
    "iopa.ContentType": string;
    "iopa.Body": unknown;
}
interface ReceivedKeys {
    readonly "server.Trailers": Trailers;
}
interface IopaKeys extends CoreKeys {
}
type ExtensionKey = Exclude<keyof IopaKeys, keyof CoreKeys>;
type HeadersInit = Iterable<[
    name: string,
    value: string
]> | Readonly<Record<string, string | readonly string[]>>;
type Bag = {
    -readonly [K in Exclude<keyof IopaKeys, "iopa.Headers" | "iopa.Body">]?: IopaKeys[K] | undefined;
} & {
    "iopa.Headers"?: HeadersInit | undefined;
    "iopa.Body"?: unknown;
};
declare const checkKeys: (value: unknown) => void;
declare const parseJson: (text: string) => unknown;
declare const describeValue: (value: unknown) => string;
declare const listItems: (iterator: Iterator<unknown>, begun?: unknown[]) => unknown[];
declare const isPlainObject: (value: object) => boolean;
declare const isOpaque: (value: object) => boolean;
declare const encodeJson: (value: unknown) => string;
interface KeyDeclaration {
    readonly doc?: string;
    readonly redact?: boolean;
}
interface KeysDeclaration {
    readonly namespace: string;
    readonly owner: string;
    readonly keys: Readonly<Record<string, KeyDeclaration>>;
}
declare const defineKeys: (namespace: string, declaration: {
    readonly owner: string;
    readonly keys?: Readonly<Record<string, KeyDeclaration>>;
}) => KeysDeclaration;
declare const IOPA: {
    readonly Version: "iopa.Version";
    readonly Id: "iopa.Id";
    readonly Method: "iopa.Method";
    readonly Path: "iopa.Path";
    readonly PathSegments: "iopa.PathSegments";
    readonly PathBase: "iopa.PathBase";
    readonly QueryString: "iopa.QueryString";
    readonly Params: "iopa.Params";
    readonly Route: "iopa.Route";
    readonly Headers: "iopa.Headers";
    readonly ContentType: "iopa.ContentType";
    readonly Body: "iopa.Body";
    readonly Input: "iopa.Input";
    readonly Scheme: "iopa.Scheme";
    readonly Protocol: "iopa.Protocol";
    readonly Host: "iopa.Host";
    readonly Port: "iopa.Port";
    readonly Observe: "iopa.Observe";
    readonly Seq: "iopa.Seq";
    readonly CallCancelled: "iopa.CallCancelled";
    readonly Events: "iopa.Events";
    readonly StatusCode: "iopa.StatusCode";
    readonly ReasonPhrase: "iopa.ReasonPhrase";
};
declare const SERVER: {
    readonly Capabilities: "server.Capabilities";
    readonly RawPath: "server.RawPath";
    readonly RemoteAddress: "server.RemoteAddress";
    readonly RemotePort: "server.RemotePort";
    readonly LocalAddress: "server.LocalAddress";
    readonly LocalPort: "server.LocalPort";
    readonly TLS: "server.TLS";
    readonly SessionId: "server.SessionId";
    readonly Connection: "server.Connection";
    readonly Peer: "server.Peer";
    readonly ParentContext: "server.ParentContext";
    readonly User: "server.User";
    readonly Logger: "server.Logger";
    readonly IsLocalOrigin: "server.IsLocalOrigin";
    readonly IsNotification: "server.IsNotification";
    readonly IsReplica: "server.IsReplica";
    readonly IsPrecondition: "server.IsPrecondition";
    readonly OnSendingHeaders: "server.OnSendingHeaders";
    readonly Inform: "server.Inform";
    readonly Trailers: "server.Trailers";
    readonly RawTransport: "server.RawTransport";
    readonly Timestamp: "server.Timestamp";
};
declare const SSL: {
    readonly ClientCertificate: "ssl.ClientCertificate";
};
declare const IOPA_VERSION = "5.0";
declare const MEDIA_TYPES: {
    readonly Text: "text/plain; charset=utf-8";
    readonly Json: "application/json";
    readonly ProblemJson: "application/problem+json";
    readonly OctetStream: "application/octet-stream";
    readonly EventStream: "text/event-stream";
};
declare const mediaTypeEssence: (contentType: string) => string;
declare const METHODS: {
    readonly GET: "GET";
    readonly HEAD: "HEAD";
    readonly POST: "POST";
    readonly PUT: "PUT";
    readonly PATCH: "PATCH";
    readonly IPATCH: "iPATCH";
    readonly FETCH: "FETCH";
    readonly DELETE: "DELETE";
    readonly OPTIONS: "OPTIONS";
};
declare const CONTROL_METHODS: {
    readonly CONNECT: "CONNECT";
    readonly DISCONNECT: "DISCONNECT";
    readonly SUBSCRIBE: "SUBSCRIBE";
    readonly UNSUBSCRIBE: "UNSUBSCRIBE";
    readonly PUBLISH: "PUBLISH";
    readonly DATA: "DATA";
};
declare const isControlMethod: (method: string) => boolean;
declare const checkMethodCase: (method: string) => string;
declare const changesState: (method: string) => boolean;
declare const DEFAULT_PORTS: Readonly<Record<string, number>>;
declare const schemeOf: (value: string) => string;
declare const STATUS: {
    readonly OK: 200;
    readonly CREATED: 201;
    readonly ACCEPTED: 202;
    readonly NO_CONTENT: 204;
    readonly RESET_CONTENT: 205;
    readonly PARTIAL_CONTENT: 206;
    readonly MOVED_PERMANENTLY: 301;
    readonly FOUND: 302;
    readonly SEE_OTHER: 303;
    readonly NOT_MODIFIED: 304;
    readonly TEMPORARY_REDIRECT: 307;
    readonly PERMANENT_REDIRECT: 308;
    readonly BAD_REQUEST: 400;
    readonly UNAUTHORIZED: 401;
    readonly FORBIDDEN: 403;
    readonly NOT_FOUND: 404;
    readonly METHOD_NOT_ALLOWED: 405;
    readonly NOT_ACCEPTABLE: 406;
    readonly REQUEST_TIMEOUT: 408;
    readonly CONFLICT: 409;
    readonly GONE: 410;
    readonly PRECONDITION_FAILED: 412;
    readonly CONTENT_TOO_LARGE: 413;
    readonly URI_TOO_LONG: 414;
    readonly UNSUPPORTED_MEDIA_TYPE: 415;
    readonly RANGE_NOT_SATISFIABLE: 416;
    readonly MISDIRECTED_REQUEST: 421;
    readonly UNPROCESSABLE_CONTENT: 422;
    readonly PRECONDITION_REQUIRED: 428;
    readonly TOO_MANY_REQUESTS: 429;
    readonly REQUEST_HEADER_FIELDS_TOO_LARGE: 431;
    readonly INTERNAL_SERVER_ERROR: 500;
    readonly NOT_IMPLEMENTED: 501;
    readonly BAD_GATEWAY: 502;
    readonly SERVICE_UNAVAILABLE: 503;
    readonly GATEWAY_TIMEOUT: 504;
};
declare const reasonPhrase: (status: number) => string;
declare const userKeyOf: (user: User | null | undefined) => string;
declare const idOfUserKey: (key: string) => string;
declare const sameUser: (a: User, b: User) => boolean;
export { CAPABILITIES, CONTROL_METHODS, CodecTable, DEFAULT_PORTS, IOPA, IOPA_VERSION, IopaError, MEDIA_TYPES, METHODS, SERVER, SSL, STATUS, changesState, checkKeys, checkMethodCase, decodeText, defineKeys, describeValue, encodeJson, idOfUserKey, isControlMethod, isIopaError, isOpaque, isPlainObject, jsonCodec, listItems, mediaTypeEssence, octetStreamCodec, originOf, parseJson, reasonPhrase, sameUser, schemeOf, textCodec, userKeyOf, withOrigin };
export type { AnswerKeys, Bag, Body, Capabilities, Capability, Codec, CoreKeys, ErrorOrigin, ExtensionKey, HeaderFields, HeadersInit, Inform, IopaErrorCode, IopaErrorOptions, IopaKeys, KeyDeclaration, KeysDeclaration, Logger, OnSendingHeaders, RandomAccessBody, ReceivedKeys, SendingOptions, Trailers, User, Validity };
