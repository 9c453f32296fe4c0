import type { Bag, Codec, KeysDeclaration } from '@iopa/constants'
import type { Answer, Context, ContextInit, EndReason, HeldBytes, Scope } from '@iopa/context'
import type { Clock } from './clock.ts'
import type { Limits } from './limits.ts'
import type { TlsOptions } from './tls.ts'

/** A protocol: it listens for an app and connects for a client. A factory function makes one; its classes stay private. */
export interface Transport {
  /** Such as `coap`. */
  readonly name: string
  /** Without colons, such as `coap`, `coap+tcp`. */
  readonly schemes: readonly string[]
  /** What the transport can do, under its URN in `server.Capabilities`. */
  readonly capabilities?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** Codecs that its protocol brings to the app, for every protocol; one that the app was given goes before. */
  readonly codecs?: readonly Codec[]
  /** Namespaces whose keys it sets; `build` checks their owners. */
  readonly keys?: KeysDeclaration | readonly KeysDeclaration[]
  /** True in a worker of a cluster, whose observers do not hear of changes that other workers make. */
  readonly clustered?: boolean
  /** What bounds the bodies in memory, made with `bodyBudget` for `limits.bodyMemory`. An app has one, of the first of its transports that has any. */
  bodies?(limit: number): HeldBytes
  /** Binds and serves. Rejects when it cannot. */
  listen(host: Host): Promise<Listener>
  /** Opens a channel to another machine. Rejects when it cannot. */
  connect(url: URL, options?: ConnectOptions): Promise<Channel>
}

/** A transport that serves. */
export interface Listener {
  /** Where it listens, with the port that the system chose. */
  readonly url: URL
  /** Stops accepting, finishes what is in work within `timeout` ms, then forces. A second call waits for the first. */
  close(options?: { readonly timeout?: number }): Promise<void>
  /** Takes new certificates for the connections to come. */
  reload?(tls: TlsOptions): void
}

/** Options of every connect. */
export interface ConnectOptions {
  /** Aborts the connecting; a channel that is open ignores it. */
  readonly signal?: AbortSignal
  /** Milliseconds to connect, and for each request to be answered; 30,000 unless given. */
  readonly timeout?: number
  readonly tls?: TlsOptions
  readonly clock?: Clock
  readonly limits?: Partial<Limits>
}

/** A way to another machine. A request is a bag, or a context made by `app.connect`; `outgoing` reads both. */
export interface Channel {
  /** What goes before the path of every request, where it is not the path of the URL. */
  readonly prefix?: string
  /** Methods beside GET that `observe` takes; none unless given. */
  readonly observable?: readonly string[]
  /** Resolves with whatever status the peer answers; rejects when no answer can come. `iopa.CallCancelled` aborts it. */
  send(request: Bag): Promise<Answer>
  /** The first answer and each one after a change; ends when `iopa.CallCancelled` aborts, throws when the peer refuses. */
  observe(request: Bag): AsyncIterable<Answer>
  close(): Promise<void>
}

/** A route as its router announces it. */
export interface RouteInfo {
  /** Empty for every method. */
  readonly methods: readonly string[]
  /** With the prefix of the mounts around it. */
  readonly pattern: string
  readonly segments: readonly RouteSegment[]
  readonly attributes: RouteAttributes
  /** True where a guard stands among the middleware of the route itself. */
  readonly guarded?: boolean
}

/** One segment of a pattern. */
export type RouteSegment =
  | { readonly kind: 'static'; readonly value: string }
  | { readonly kind: 'param'; readonly name: string; readonly constraint?: RegExp; readonly optional?: boolean }
  | { readonly kind: 'tail'; readonly name: string; readonly optional?: boolean }

/** What discovery says of a route (RFC 6690 section 3). */
export interface RouteAttributes {
  /** Resource types, separated by spaces. */
  readonly rt?: string
  /** Interface descriptions, separated by spaces. */
  readonly if?: string
  /** Content-Format numbers. */
  readonly ct?: number | readonly number[]
  readonly title?: string
  /** Size in bytes. */
  readonly sz?: number
  /** True says that it can be observed (RFC 7641 section 6); every GET route can, unless false. */
  readonly obs?: boolean
  /** The paths that exist now below a pattern with params, for discovery and for wildcards: `() => ['/lights/hall']`. */
  readonly instances?: () => Iterable<string>
  /** `own` leaves the preconditions of its requests to the handler; otherwise the app judges them (RFC 9110 section 13). */
  readonly preconditions?: 'own'
  /** False hides the route from discovery. */
  readonly discoverable?: boolean
}

/** A path whose state has changed, or that somebody has named. */
export interface Change {
  readonly path: string
  /** The context that caused it; null for `app.notify`. It may have ended. */
  readonly origin: Context | null
}

/** A registration that tells of changes until its context ends. */
export interface Observation {
  /** False when the first answer was not 2xx: it was delivered, and nothing will follow. */
  readonly active: boolean
  /** Ends the observing context. */
  close(reason?: EndReason): void | Promise<void>
}

/** Something to dispose. */
export interface Subscription {
  [Symbol.dispose](): void
}

/** The app as a transport sees it. */
export interface Host {
  /** The listener's scope: parent of connections, and of requests without one. It ends after `close`. */
  readonly scope: Scope
  readonly limits: Limits
  /** Aborts when the listener shuts down. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly logger: Context['logger']
  /** This host with the limits that a transport's own options override. */
  withLimits(limits: Partial<Limits> | undefined): Host
  /**
   * Refuses to serve unprotected: an address off loopback needs a middleware that provides `server.User`, or `open`.
   * @throws IopaError 500 with a sentence that names `open: true`.
   */
  assertProtected(address: string, open: boolean | undefined): void
  /** A context of the one shape; its parent is a connection's context, else the listener's scope. */
  create(init: ContextInit, parent?: Context | Scope): Context
  /**
   * Runs the pipeline and calls `done` once, synchronously where all handlers are; then `context.response` is sealed. Never throws.
   * With `whole`, a streamed payload is collected before that, within the deadline: all of it with `'all'`, else what
   * cannot be read in parts. A body that HEAD or the status leaves out stays a stream; it need not be read.
   */
  run(context: Context, done: (context: Context) => void, whole?: boolean | 'all'): void
  /** As `run`, as a promise that never rejects. */
  invoke(context: Context, whole?: boolean | 'all'): Promise<void>
  /**
   * Registers the observer, runs the GET that it is, delivers the answer and then one after each change; the next
   * delivery waits for the promise of the one before. An answer that is not 2xx is the last. Ends with the context, and with a 401 when
   * its user expires or is revoked, unless `lasting`: then the transport sees to that.
   */
  observe(context: Context, deliver: (answer: Answer) => Promise<void> | void, lasting?: boolean): Promise<Observation>
  /** One value for all listeners of the app: made by `create` the first time, for as long as the app lasts. */
  shared<T>(key: string, create: () => T): T
  /** Every change of any path: for filters and bridges. */
  changes(listener: (change: Change) => void): Subscription
  /** A GET of `path` with user, headers and peer of `as`, shared with callers that are equal to it; bytes, not a stream. */
  represent(path: string, as: Context): Promise<Answer>
  /** Hands observers of `path` the last known representation, where no GET route here could make one. */
  deliver(path: string, answer: Answer): void
  /** Tells observers that `path` has changed. */
  notify(path: string): void
  /** Reads how many requests of this host are in work; `shed` is called for each one that is refused as too many. For `countersOf`. */
  load(shed: () => void): () => number
  /** Resolves when no request of this host is in work. */
  idle(): Promise<void>
  /**
   * Every route of the app, mounts included. With `as` only those that this context may know of: what stands behind a guard
   * (middleware that provides `server.User`) is left out for a context without a user that has not passed it.
   */
  routes(as?: Context): Iterable<RouteInfo>
}
