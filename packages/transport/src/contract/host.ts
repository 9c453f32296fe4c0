import type { Logger } from '@iopa/constants'
import type { EndReason, SealedAnswer } from '@iopa/context'
import type { AnsweredContext, ContextInit, OwnedContext, Scope } from '@iopa/context/host'
import type { Clock } from './clock.ts'
import type { Limits } from './limits.ts'
import type { RouteInfo } from './routes.ts'

/** A path whose state has changed, or that a handler has named. */
export interface Change {
  readonly path: string
  /** The context that caused it; null for `app.notify`. It may have ended. */
  readonly origin: OwnedContext | null
}

/** A registration that delivers changes until its context ends. */
export interface Observation {
  /** False when the first answer was not 2xx: it was delivered, and nothing will follow. */
  readonly active: boolean
  /** Ends the observing context. */
  close(reason?: EndReason): void | Promise<void>
}

/** How a transport wants an observation. */
export interface HostObserveOptions {
  /** True where the transport itself ends the observation when its user expires or is revoked. */
  readonly lasting?: boolean
  /** Bytes of the start of a body that is too large for observers: they come with the link that takes its place. 0 unless given. */
  readonly excerpt?: number
  /** True for a streamed answer that the transport delivers unchanged: the handler sends its own events, and nothing is observed. */
  passes?(answer: SealedAnswer): boolean
}

/** Something to dispose. */
export interface Subscription {
  [Symbol.dispose](): void
}

/** Takes a context whose run is done. Written as a method, so that a function for any context of the transport fits. */
type RunDone = { done(context: AnsweredContext): void }['done']

/** The app as a transport sees it. */
export interface Host {
  /** The listener's scope: parent of connections, and of requests without one. It ends after `close`. */
  readonly scope: Scope
  readonly limits: Limits
  /** Aborts when the listener shuts down. */
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly logger: Logger
  /** This host with the limits that a transport's own options override. */
  withLimits(limits: Partial<Limits> | undefined): Host
  /**
   * Refuses to serve unprotected: an address off loopback needs a middleware that provides `server.User`, or `allowUnauthenticated`.
   * @throws IopaError 500 with a sentence that names `allowUnauthenticated: true`.
   */
  assertProtected(address: string, allowUnauthenticated: boolean | undefined): void
  /** A context of the one shape; its parent is a connection's context, else the listener's scope. */
  create(init: ContextInit, parent?: OwnedContext | Scope): OwnedContext
  /**
   * Runs the pipeline and calls `done` once, synchronously where all handlers are; then `context.response` is sealed. Never throws.
   * With `whole`, a streamed payload is collected before that, within the deadline: all of it with `'all'`, else what
   * cannot be read in parts. A body that HEAD or the status leaves out stays a stream; it need not be read.
   */
  run(context: OwnedContext, done: RunDone, whole?: boolean | 'all'): void
  /** As `run`, as a promise that never rejects. */
  invoke(context: OwnedContext, whole?: boolean | 'all'): Promise<void>
  /**
   * Stops the deadline of a request that runs while its peer is awaited, such as for the next block of its body; with false it begins again, in full.
   * The transport bounds the waiting by itself.
   */
  awaitsPeer(context: OwnedContext, awaits: boolean): void
  /**
   * Registers the observer, runs the GET that it is, delivers the answer and then one after each change; the next
   * delivery waits for the promise of the one before. An answer that is not 2xx is the last. Ends with the context, and with a 401 when
   * its user expires or is revoked.
   */
  observe(context: OwnedContext, deliver: (answer: SealedAnswer) => Promise<void> | void, options?: HostObserveOptions): Promise<Observation>
  /** One value for all listeners of the app: made by `create` the first time, for as long as the app lasts. */
  shared<T>(key: string, create: () => T): T
  /** Every change of any path: for filters and bridges. */
  changes(listener: (change: Change) => void): Subscription
  /** A GET of `path` with user, headers and peer of `as`, shared with callers that are equal to it; bytes, not a stream. */
  represent(path: string, as: OwnedContext): Promise<SealedAnswer>
  /** Hands observers of `path` the last known representation, where no GET route here could make one. */
  deliver(path: string, answer: SealedAnswer): void
  /** Notifies the observers of `path`. */
  notify(path: string): void
  /** Reads how many requests of this host are in work; `shed` is called for each one that is refused as too many. For `countersOf`. */
  load(shed: () => void): () => number
  /** Resolves when no request of this host is in work. */
  idle(): Promise<void>
  /**
   * Every route of the app, mounts included. With `as` only those that this context may know of: what stands behind a guard
   * (middleware that provides `server.User`) is left out for a context without a user that has not passed it.
   */
  routes(as?: OwnedContext): Iterable<RouteInfo>
  /**
   * True where the user of a request may GET a path of this app: at once where nothing authenticates, otherwise by that GET. For lists of instances,
   * which `routes` does not know. Verdicts last as long as the request.
   */
  mayGet(path: string, as: OwnedContext): boolean | Promise<boolean>
  /** Grows with every route that is added or removed, mounts included: what is made from `routes()` stays right until then. */
  readonly routesVersion: number
}
