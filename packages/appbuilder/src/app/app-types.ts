import type { IopaKeys, Logger } from '@iopa/constants'
import type { Context, EndReason } from '@iopa/context'
import type { Activity, Change, Clock, Counts, RouteInfo, Subscription, Transport } from '@iopa/transport'
import type { DeclaredMiddleware, MiddlewareFunction, MiddlewareObject, Next } from '../pipeline/middleware.ts'
import type { RouteRegistry } from './route-registry.ts'

declare const PROVIDED: unique symbol

/** The name of a key of contexts: of the core, of packages or of the app. */
export type ContextKey = keyof IopaKeys

/** Marks the type of an app with the keys that its middleware provides. */
export interface Provides<Key extends keyof IopaKeys> {
  readonly [PROVIDED]?: { readonly [K in Key]: true }
}

/** The keys that an app requires of the app around it. */
export type RequiredBy<App> = App extends { readonly '~requires'?: infer Keys } ? Extract<keyof NonNullable<Keys>, keyof IopaKeys> : never

/** The keys that the middleware of an app has before it: those of the app, and those that the app around it must provide. */
export type ProvidedBy<App> =
  | (App extends { readonly [PROVIDED]?: infer Keys } ? Extract<keyof NonNullable<Keys>, keyof IopaKeys> : never)
  | RequiredBy<App>

/** The context of a handler that is added to `App` now. */
export type ContextOf<App, Params = Readonly<Record<string, string>>> = Context<ProvidedBy<App>, Params>

/** Nothing, when all required keys are provided; otherwise a type that names those that are missing. */
export type Check<Required extends keyof IopaKeys, Provided> = [Exclude<Required, Provided>] extends [never]
  ? unknown
  : { readonly 'keys that nothing before provides': Exclude<Required, Provided> }

/** What an extension may do with the app that it is added to. */
export interface AppHandle {
  /** What the app can do, by URN; an extension adds what it can. */
  readonly capabilities: Record<string, Record<string, unknown>>
  /** The routes of the app. @throws IopaError 500 where no router has been used. */
  readonly registry: RouteRegistry
  readonly clock: Clock
  readonly logger: Logger
  /** Its routes, mounts and forks included; with `as` those that the user of a request may see, and with `where` those of them that it wants. */
  routes(as?: Context, where?: (route: RouteInfo) => boolean): Iterable<RouteInfo>
  /** Its transports, each with the URLs at which it listens now. */
  transports(): readonly { readonly name: string; readonly schemes: readonly string[]; readonly urls: readonly string[] }[]
  /** Tells the observers of `path` that it has changed. @throws IopaError 400 for an illegal path. */
  notify(path: string): void
  /**
   * True where the user of a request may GET a path of this app: at once where nothing authenticates, otherwise by that GET. Verdicts last as long as the
   * request.
   */
  mayGet(path: string, as: Context): boolean | Promise<boolean>
  /** Ends the observers and connections of one login of a user (`valid.login`), with 401; those of an app that listens itself. */
  endLogin(id: string, login: string): void
  /** Every change of any path of this app, until it is disposed or the app has closed: for caches. */
  changes(listener: (change: Change) => void): Subscription
  /**
   * The context whose change led to this run of a notification: of several changes that share the run the newest one. Null where no request of the app
   * made the change, and for any other context. It may have ended. For traces.
   */
  originOf(notification: Context): Context | null
  /** Connections that come and go, and what is refused before there is a context, of all listeners: for logs and metrics. */
  activity(listener: (activity: Activity) => void): Subscription
  /** What each transport has now, and what it has refused since it began to listen, by its name. */
  counters(): Readonly<Record<string, Counts>>
  /** True from the call of `close` on: what is in work is finished, nothing new is accepted. */
  readonly closing: boolean
  /** Runs `dispose` when the app closes, after its listeners. */
  defer(dispose: (reason: EndReason) => unknown): void
  /** Says that a route was added or removed: what is made from the routes is made again. */
  routesChanged(): void
  /** Notifies observers of the `known` paths, and of every path that is observed and `matches`: another route answers there from now on, or none. */
  notifyWhere(matches: (path: string) => boolean, known?: Iterable<string>): void
}

/** Middleware that adds methods to the app, such as a router's `get`. */
export interface Extension<Methods extends object> {
  readonly name: string
  /** The methods, put on the app; called once per `use`. */
  extend(app: AppHandle): Methods
  /** True where it works for a whole app alone: routes, which do not call `extend`, refuse it. */
  readonly needsApp?: boolean
  invoke?(context: Context, next: Next): unknown
  dispatch?(context: Context, next: Next): unknown
  /** Its routes, for discovery; when they change, it calls `routesChanged()` of its app. */
  routes?(): Iterable<RouteInfo>
  /** Set by a router: where other packages add routes. */
  readonly registry?: RouteRegistry
}

/** An app, as far as `use` and `mount` know it by its type. */
interface Mountable {
  readonly use: Use
}

/** The overloads of `mount`. */
export interface Mount {
  /** Runs an app for the paths at and below `path`. */
  <This, Inner extends Mountable>(this: This, path: string, app: Inner & Check<RequiredBy<Inner>, ProvidedBy<This>>, ...surplus: never[]): This
  /** Runs a function there. */
  <This>(this: This, path: string, middleware: MiddlewareFunction<ContextOf<This>>, ...surplus: never[]): This
  /** Runs an object there. */
  <This>(this: This, path: string, middleware: PlainMiddlewareObject<ContextOf<This>>, ...surplus: never[]): This
  /** Runs middleware there that says what it requires. */
  <This, Required extends keyof IopaKeys>(
    this: This,
    path: string,
    middleware: (MiddlewareFunction<Context<Required>> | MiddlewareObject<Context<Required>>) & { readonly requires: readonly Required[] } & Check<
        Required,
        ProvidedBy<This>
      >,
    ...surplus: never[]
  ): This
}

/** An object without declarations that is no extension. */
export type PlainMiddlewareObject<C> = MiddlewareObject<C> & {
  readonly provides?: never
  readonly requires?: never
  readonly extend?: never
  /** An app has `invoke` as well, but a check of its own. */
  readonly '~requires'?: never
}

/**
 * The overloads of `use`. Middleware with declarations stands first, so that what it provides is not lost, and once
 * more last, for a compiler reports the last overload alone. Functions come before classes, for the parameters of an
 * inline function take their types from the first overload that a function fits.
 */
export interface Use {
  <This, Required extends keyof IopaKeys = never, Provided extends keyof IopaKeys = never>(
    this: This,
    middleware: DeclaredMiddleware<Required, Provided> & Check<Required, ProvidedBy<This>>
  ): This & Provides<Provided>
  /** Adds an app, which runs as one mounted at `/`. */
  <This, Inner extends Mountable>(this: This, app: Inner & Check<RequiredBy<Inner>, ProvidedBy<This>>): This
  /** Adds a function. */
  <This>(this: This, middleware: MiddlewareFunction<ContextOf<This>>): This
  /** Adds an object. */
  <This>(this: This, middleware: PlainMiddlewareObject<ContextOf<This>>): This
  /** Serves a transport. */
  <This>(this: This, transport: Transport): This
  /** Adds an extension and its methods. */
  <This, Methods extends object>(this: This, extension: Extension<Methods>): This & Methods
  /** Adds a class, which is constructed once, with the app and the options. */
  <This, Options extends readonly unknown[]>(
    this: This,
    middleware: new (app: never, ...options: Options) => MiddlewareObject,
    ...options: Options
  ): This
  /** Adds middleware that says what it provides and requires. */
  <This, Required extends keyof IopaKeys = never, Provided extends keyof IopaKeys = never>(
    this: This,
    middleware: DeclaredMiddleware<Required, Provided> & Check<Required, ProvidedBy<This>>
  ): This & Provides<Provided>
}
