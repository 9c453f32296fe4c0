import type { IopaKeys, KeysDeclaration } from '@iopa/constants'
import type { Context } from '@iopa/context'
import type { PatternSegment, SecurityScheme } from '@iopa/transport'

/** Runs the rest of the pipeline; it may be called once. */
export interface Next {
  /** Resolves with what the handler returned. Rejects when it is called twice. */
  (): Promise<unknown>
  /** Runs the rest of the pipeline with another context, as often as needed. */
  invoke(context: Context): Promise<unknown>
}

/** A function of the pipeline. What it returns without having called `next` becomes the answer. */
export type MiddlewareFunction<C = Context> = (context: C, next: Next) => unknown

/** An object of the pipeline: `invoke` for requests that come in, `dispatch` for those that clients send. */
export interface MiddlewareObject<C = Context> {
  invoke?(context: C, next: Next): unknown
  dispatch?(context: Context, next: Next): unknown
}

/**
 * Whether middleware would let the user of a request do something: a method, or any where it is undefined, at a path or at some path of a pattern,
 * mounts included.
 */
export type Permits = (as: Context, method: string | undefined, segments: readonly PatternSegment[]) => boolean

/** What middleware says of itself; `build` checks it. */
export interface Declarations<Required extends keyof IopaKeys = never, Provided extends keyof IopaKeys = never> {
  readonly name?: string
  /** Keys that it sets for those after it. */
  readonly provides?: readonly Provided[]
  /** Keys that it needs from those before it. */
  readonly requires?: readonly Required[]
  /** True for middleware that answers requests by itself: a guard covers it only where it stands before it. */
  readonly answers?: boolean
  /** Namespaces whose keys it uses. */
  readonly keys?: KeysDeclaration | readonly KeysDeclaration[]
  /**
   * True promises that what it reads of a peer, and the keys that it sets beside `server.User`, do not shape representations: log, telemetry, rate
   * limit, request id, authentication. Observers then share runs although it reads, say, their addresses.
   */
  readonly neutral?: boolean
  /** Of middleware that provides `server.User`: how users authenticate, each scheme an alternative; for documents. */
  readonly security?: readonly SecurityScheme[]
  /**
   * Of middleware that decides by path and method who may pass: listings leave out what it would refuse, it stands before the routes, and it is asked
   * again where middleware behind it rewrites the path or the method.
   */
  readonly permits?: Permits
}

/** Middleware that says what it provides; it need not be made with `defineMiddleware`. */
export type DeclaredMiddleware<Required extends keyof IopaKeys, Provided extends keyof IopaKeys> = (
  | MiddlewareFunction<Context<Required>>
  | MiddlewareObject<Context<Required>>
) & { readonly provides: readonly Provided[]; readonly requires?: readonly Required[] }

/** Puts declarations on a middleware function. */
export const defineMiddleware = <const Required extends keyof IopaKeys = never, const Provided extends keyof IopaKeys = never>(
  declarations: Declarations<Required, Provided>,
  middleware: MiddlewareFunction<Context<Required>>
): DefinedMiddleware<Required, Provided> => {
  const declared = (context: Context<Required>, next: Next): unknown => middleware(context, next)
  Object.defineProperty(declared, 'name', { value: declarations.name ?? middleware.name })
  return Object.assign(declared, {
    provides: declarations.provides ?? [],
    requires: declarations.requires ?? [],
    ...(declarations.neutral === undefined ? undefined : { neutral: declarations.neutral }),
    ...(declarations.security === undefined ? undefined : { security: declarations.security }),
    ...(declarations.permits === undefined ? undefined : { permits: declarations.permits }),
    ...(declarations.keys === undefined ? undefined : { keys: declarations.keys }),
    ...(declarations.answers === undefined ? undefined : { answers: declarations.answers })
  }) as unknown as DefinedMiddleware<Required, Provided>
}

/** What `defineMiddleware` gives. */
export type DefinedMiddleware<Required extends keyof IopaKeys, Provided extends keyof IopaKeys> = MiddlewareFunction<Context<Required>> & {
  readonly provides: readonly Provided[]
  readonly requires: readonly Required[]
  readonly keys?: KeysDeclaration | readonly KeysDeclaration[]
  readonly neutral?: boolean
}
