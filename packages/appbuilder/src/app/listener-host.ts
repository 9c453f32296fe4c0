import { IopaError, type Logger } from '@iopa/constants'
import { type Answer, type Context, type ContextFactory, type ContextInit, type EndReason, isLoopback, type Scope } from '@iopa/context'
import type { Change, Clock, Host, Observation, RouteInfo, Subscription } from '@iopa/transport'
import { type Limits, mergeLimits } from '@iopa/transport'
import type { ObservationRegistry } from '../observation/observation.ts'
import type { ComposedPipeline } from '../pipeline/compose.ts'
import { Dispatcher } from '../pipeline/dispatcher.ts'
import type { Whole } from '../pipeline/finishing.ts'

/** What the hosts of one app share. */
export interface HostContext {
  readonly factory: ContextFactory
  readonly registry: ObservationRegistry
  readonly shared: Map<string, unknown>
  readonly clock: Clock
  readonly logger: Logger
  pipeline(): ComposedPipeline
  /** A change of a path, for observers here, around and within. */
  readonly changed: (path: string, origin: Context | null) => void
  notify(path: string): void
  /** The routes that `as` may know of; null for all of them. */
  routes(as: Context | null): Iterable<RouteInfo>
  /** What answers although no middleware before it provides `server.User`; empty when there is nothing. */
  exposed(): readonly string[]
}

/** The app as one listener sees it: its limits, its dispatcher, its scope. */
export class ListenerHost implements Host {
  readonly scope: Scope
  readonly limits: Limits
  readonly #name: string
  readonly #app: HostContext
  readonly #dispatcher: Dispatcher

  constructor(name: string, app: HostContext, scope: Scope, limits: Limits) {
    this.#name = name
    this.#app = app
    this.scope = scope
    this.limits = limits
    this.#dispatcher = new Dispatcher(() => app.pipeline(), scope.environment.codecs, limits, app.clock, app.changed)
    scope.defer(() => this.#dispatcher.close())
  }

  get signal(): AbortSignal {
    return this.scope.signal
  }
  get clock(): Clock {
    return this.#app.clock
  }
  get logger(): Logger {
    return this.#app.logger
  }

  withLimits(limits: Partial<Limits> | undefined): Host {
    for (const name of ['bodyMemory', 'failureLogs'] as const)
      if (limits?.[name] !== undefined)
        throw new IopaError(500, 'bad-limit', `The limit '${name}' is one of the whole app: give it to new App({ limits }).`)
    return limits === undefined ? this : new ListenerHost(this.#name, this.#app, this.scope, mergeLimits(this.limits, limits))
  }

  assertProtected(address: string, allowUnauthenticated: boolean | undefined): void {
    if (allowUnauthenticated === true || isLoopback(address)) return
    const exposed = this.#app.exposed()
    if (exposed.length === 0) return
    throw new IopaError(
      500,
      'unprotected-listener',
      `${this.#name}() would listen on ${address}, where anybody may reach it, and no middleware that provides 'server.User' stands before ${exposed.join(', ')}: use an authentication middleware before it, listen on 127.0.0.1, or say allowUnauthenticated: true.`
    )
  }

  create(init: ContextInit, parent: Context | Scope = this.scope): Context {
    return this.#app.factory.create(init, parent)
  }

  run(context: Context, done: (context: Context) => void, whole: Whole = false): void {
    this.#dispatcher.run(context, done, whole)
  }

  invoke(context: Context, whole: Whole = false): Promise<void> {
    return new Promise(resolve => this.#dispatcher.run(context, () => resolve(), whole))
  }

  observe(context: Context, deliver: (answer: Answer) => Promise<void> | void, lasting?: boolean): Promise<Observation> {
    const { environment } = this.scope
    environment.observed?.()
    environment.observed = undefined
    return this.#app.registry.observe(context, deliver, (observing, done) => this.run(observing, done), this.limits, lasting)
  }

  shared<T>(key: string, create: () => T): T {
    const { shared } = this.#app
    if (!shared.has(key)) shared.set(key, create())
    return shared.get(key) as T
  }

  changes(listener: (change: Change) => void): Subscription {
    const subscription = this.#app.registry.listen(change => {
      try {
        listener(change)
      } catch (error) {
        this.logger.error(`iopa: a listener of ${this.#name} could not be told of a change`, error)
      }
    })
    this.scope.defer(() => subscription[Symbol.dispose]())
    return subscription
  }

  represent(path: string, as: Context): Promise<Answer> {
    return this.#app.registry.represent(path, as)
  }

  deliver(path: string, answer: Answer): void {
    this.#app.registry.deliver(path, answer)
  }

  notify(path: string): void {
    this.#app.notify(path)
  }

  routes(as?: Context): Iterable<RouteInfo> {
    return this.#app.routes(as === undefined || as['server.User'] !== undefined ? null : as)
  }

  load(shed: () => void): () => number {
    this.#dispatcher.shed = shed
    return () => this.#dispatcher.inFlight
  }

  /** Resolves when nothing is in work any more. */
  idle(): Promise<void> {
    return this.#dispatcher.idle()
  }

  end(reason: EndReason): void | Promise<void> {
    return this.scope.end(reason)
  }
}
