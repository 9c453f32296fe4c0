import type { Capabilities } from './capabilities.ts'

/** What console offers; errors of the server go here. */
export interface Logger {
  error(...data: unknown[]): void
  warn(...data: unknown[]): void
  info(...data: unknown[]): void
  debug(...data: unknown[]): void
}

/** Case-insensitive header fields that keep several values of a name apart (RFC 9110 section 5). */
export interface HeaderFields extends Iterable<[name: string, value: string]> {
  /** The first value of a field. */
  get(name: string): string | undefined
  /** Every value of a field, in order. */
  getAll(name: string): string[]
  has(name: string): boolean
  /** Replaces every value of a field. */
  set(name: string, value: string | readonly string[]): void
  /** Adds a value and keeps the existing ones. */
  append(name: string, value: string): void
  delete(name: string): boolean
}

/** Bytes that can be read from any place, such as a file: block-wise and range requests read only what was asked for. */
export interface RandomAccessBody extends AsyncIterable<Uint8Array> {
  /** Length in bytes. */
  readonly size: number
  /** The bytes from `start` up to, not including, `end`. */
  read(start: number, end: number, signal?: AbortSignal): Promise<Uint8Array>
}

/** The body of a request: all of it, a stream to be read once, or none. */
export type Body = Uint8Array | AsyncIterable<Uint8Array> | null

/** How long the observers and connections of a user may last, set by authentication. It is not a claim: users that differ only in it are equal. */
export interface Validity {
  /** Milliseconds since 1970. */
  readonly until?: number
  /** Asked again and again for all that the user has together; false ends it. */
  readonly check?: () => boolean | Promise<boolean>
  /** Milliseconds between two checks, about; 60,000 unless given. */
  readonly every?: number
  /** Tells the logins of a user apart, such as sessions of a browser: each is checked, and ends, by itself. */
  readonly login?: string
}

/** The sender of the request, set by the authentication of the app. */
export interface User {
  readonly id: string
  /** By what proof it is known: `psk`, `certificate`, `rpk`, `oscore`, `bearer`, `basic`, `cookie`, or the name that a scheme was given. */
  readonly by?: string | undefined
  /** Where the id is valid, in case there are several such places: the same id of two realms is two users. */
  readonly realm?: string | undefined
  /** How long its observers and connections last; without it until they end by themselves. */
  readonly valid?: Validity
  readonly [claim: string]: unknown
}

/** When a callback of OnSendingHeaders runs. */
export interface SendingOptions {
  /** True for one that runs after all others, also after those that were registered before it: what it sees is the answer that is sent. False unless given. */
  readonly last?: boolean
}

/** Registers a callback that runs once, last registered first, before the first byte of the answer, which waits for its promise. */
export type OnSendingHeaders = (callback: () => unknown, options?: SendingOptions) => void

/**
 * Sends an informational answer, such as 103 Early Hints, before the final one. False where nothing is sent: the protocol or the client has none, the
 * final answer has begun, or sixteen were sent already. @throws IopaError 500 for a status that is not 102 to 199, and for fields that cannot be sent
 */
export type Inform = (status: number, headers: HeadersInit) => boolean

/** Fields that come, or leave, after a body: of HTTP/1.1 and HTTP/2. */
export interface Trailers {
  /** Those of the request, or of the answer that a client has: empty until the body has been read to its end. They are never merged into the headers. */
  readonly received: HeaderFields
  /**
   * Sends a field after the body of the answer; a function is called when the body has left, and may take its time. False where none is sent: the
   * protocol or the client has none, the answer has no body, or it has begun. The answer is then sent in chunks.
   * @throws IopaError 500 for a name that HTTP cannot carry, or that must come before the body (RFC 9110 section 6.5.1)
   */
  set(name: string, value: string | (() => string | Promise<string>)): boolean
}

/** The keys that every context has. */
export interface CoreKeys {
  readonly 'iopa.Version': string
  /** Unique within the app. */
  'iopa.Id': number
  'iopa.Method': string
  /** Canonical: decoded once, begins with `/`. */
  'iopa.Path': string
  /** The path split on `/`, without the empty one before the first. */
  readonly 'iopa.PathSegments': readonly string[]
  /** What `mount` has taken off the path; no trailing slash. */
  'iopa.PathBase': string
  /** As received, without the `?`. */
  'iopa.QueryString': string
  'iopa.Params': Readonly<Record<string, string>>
  /** The pattern that matched, empty before routing. */
  'iopa.Route': string
  'iopa.Headers': HeaderFields
  'iopa.ContentType': string
  'iopa.Body': Body
  /** The body as a route's schema gave it; undefined before it has been validated, and where the route has no schema. */
  'iopa.Input': unknown
  /** Without a colon: `http`. */
  'iopa.Scheme': string
  /** Protocol and version: `HTTP/1.1`. */
  'iopa.Protocol': string
  'iopa.Host': string
  'iopa.Port': number
  /** True asks to observe, false to stop; undefined otherwise. */
  'iopa.Observe': boolean | undefined
  /** Matches answers to requests; on bag framing only. */
  'iopa.Seq': number | string | undefined
  readonly 'iopa.CallCancelled': AbortSignal
  /** Dispatches `finish` or `disconnect` when the scope ends. */
  readonly 'iopa.Events': EventTarget
  'server.Capabilities': Capabilities
  /** The path as it came over the wire. */
  'server.RawPath': string
  'server.RemoteAddress': string
  'server.RemotePort': number
  readonly 'server.LocalAddress': string
  readonly 'server.LocalPort': number
  readonly 'server.TLS': boolean
  readonly 'server.SessionId': string
  /** The context of the connection; keys set on it are inherited by its later requests. */
  readonly 'server.Connection': Bag | null
  /** Sends requests to the sender of this one, where the protocol lets both sides ask; a `Peer` of `@iopa/context`. */
  readonly 'server.Peer': unknown
  'server.ParentContext': Bag | null
  'server.User': User | undefined
  'server.Logger': Logger
  /** True when the request was made by this process. */
  'server.IsLocalOrigin': boolean
  /** True when a notification re-runs GET. */
  'server.IsNotification': boolean
  /** True when the change came from another instance of the app. */
  'server.IsReplica': boolean
  /** True when the app runs this GET to judge the precondition of a change; access logs and rate limits skip it. */
  'server.IsPrecondition': boolean
  readonly 'server.OnSendingHeaders': OnSendingHeaders
  readonly 'server.Inform': Inform
  readonly 'server.Trailers': Trailers
  /** The socket or message below, of a type that only its transport knows. */
  readonly 'server.RawTransport': unknown
  /** Milliseconds since 1970. */
  'server.Timestamp': number
  readonly 'ssl.ClientCertificate': unknown
}

/** The keys of `context.response`. */
export interface AnswerKeys {
  /** Neutral status; while nothing has set it, the one that would be sent now. */
  'iopa.StatusCode': number
  'iopa.ReasonPhrase': string
  'iopa.Headers': HeaderFields
  'iopa.ContentType': string
  'iopa.Body': unknown
}

/**
 * Keys of answers as a client receives them; undefined on answers of other protocols. Packages add keys:
 * `declare module '@iopa/constants' { interface ReceivedKeys { readonly 'acme.Hops': number } }`
 */
export interface ReceivedKeys {
  /** Of HTTP: the fields after the body, once that has been read to its end. Nothing can be set. */
  readonly 'server.Trailers': Trailers
}

/**
 * Key to type. This is the interface that packages augment with keys of contexts:
 * `declare module '@iopa/constants' { interface IopaKeys { 'acme.Tenant': string } }`
 */
export interface IopaKeys extends CoreKeys {}

/** Keys that packages have added; optional until a middleware of the pipeline provides them. */
export type ExtensionKey = Exclude<keyof IopaKeys, keyof CoreKeys>

/** Headers as an app writes them. */
export type HeadersInit = Iterable<[name: string, value: string]> | Readonly<Record<string, string | readonly string[]>>

/** A plain object of keys: what `app.invoke()` and a client take. */
export type Bag = { -readonly [K in Exclude<keyof IopaKeys, 'iopa.Headers' | 'iopa.Body'>]?: IopaKeys[K] | undefined } & {
  'iopa.Headers'?: HeadersInit | undefined
  'iopa.Body'?: unknown
}
