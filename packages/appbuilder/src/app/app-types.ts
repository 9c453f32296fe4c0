import type { IopaKeys } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { DeclaredMiddleware, MiddlewareFunction, MiddlewareObject, Next } from '../pipeline/middleware.ts'
import type { RouteInfo, Transport } from '../transport/transport.ts'

declare const PROVIDED: unique symbol

/** Marks the type of an app with the keys that its middleware provides. */
export interface Provides<Key extends keyof IopaKeys> {
  readonly [PROVIDED]?: { readonly [K in Key]: true }
}

/** The keys that the middleware of an app provides. */
export type ProvidedBy<App> = App extends { readonly [PROVIDED]?: infer Keys } ? Extract<keyof NonNullable<Keys>, keyof IopaKeys> : never

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
}

/** Middleware that adds methods to the app, such as a router's `get`. */
export interface Extension<Methods extends object> {
  readonly name: string
  /** The methods, put on the app; called once per `use`. */
  extend(app: AppHandle): Methods
  invoke?(context: Context, next: Next): unknown
  dispatch?(context: Context, next: Next): unknown
  /** Its routes, for discovery. */
  routes?(): Iterable<RouteInfo>
}

/** An object without declarations that is no extension. */
export type PlainMiddlewareObject<C> = MiddlewareObject<C> & { readonly provides?: never; readonly requires?: never; readonly extend?: never }

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
