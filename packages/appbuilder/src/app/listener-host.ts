import { IopaError, type Logger } from '@iopa/constants'
import type { EndReason, SealedAnswer } from '@iopa/context'
import {
  ContextFactory,
  type ContextInit,
  createContext,
  type Environment,
  isLoopback,
  type OwnedContext,
  type RunContext,
  type Scope
} from '@iopa/context/host'
import type {
  Change,
  Client,
  Clock,
  Host,
  HostObserveOptions,
  Observation,
  PeerClientOptions,
  PeerTarget,
  RouteInfo,
  Subscription
} from '@iopa/transport'
import { type Limits, mergeLimits, optionError } from '@iopa/transport'
import { connectPeer } from '@iopa/transport/host'
import type { ObservationRegistry } from '../observation/observation.ts'
import { type ComposedPipeline, compose } from '../pipeline/compose.ts'
import { Runner } from '../pipeline/runner.ts'
import { announcedRoutes, coverageOf, exposedOf, routesFor } from './coverage.ts'
import type { NestedApp } from './nested-app.ts'
import { permittedRoutes } from './permissions.ts'
import { dispatchLayersOf } from './run-order.ts'
import type { SharedState } from './shared-state.ts'

/** What the hosts of one app share. */
export interface ListenerApp {
  readonly registry: ObservationRegistry
  readonly shared: SharedState
  readonly clock: Clock
  readonly logger: Logger
  pipeline(): ComposedPipeline
  /** A change of a path, for observers here, around and within. */
  readonly changed: (path: string, origin: RunContext | null) => void
  notify(path: string): void
  readonly self: NestedApp
}

/** The app as one listener sees it: its limits, its runner, its scope. */
export class ListenerHost implements Host {
  readonly scope: Scope
  readonly limits: Limits
  /** That of the runner itself: no step of its own on the way of a request. */
  readonly run: Host['run']
  readonly #name: string
  readonly #app: ListenerApp
  readonly #runner: Runner
  readonly #environment: Environment

  constructor(name: string, app: ListenerApp, scope: Scope, limits: Limits) {
    this.#name = name
    this.#app = app
    this.scope = scope
    this.limits = limits
    const { clock, changed } = app
    this.#environment = scope.environment
    this.#runner = new Runner({ codecs: scope.environment.codecs, limits, clock, pipeline: () => app.pipeline(), changed })
    this.run = this.#runner.run as Host['run']
    scope.defer(() => this.#runner.close())
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
      if (limits?.[name] !== undefined) throw optionError(`The limit '${name}' is one of the whole app: give it to new App({ limits }).`)
    return limits === undefined ? this : new ListenerHost(this.#name, this.#app, this.scope, mergeLimits(this.limits, limits))
  }

  assertProtected(address: string, allowUnauthenticated: boolean | undefined): void {
    if (allowUnauthenticated === true || isLoopback(address)) return
    const exposed = exposedOf(coverageOf(this.#app.self))
    if (exposed.length === 0) return
    throw new IopaError(
      500,
      'unprotected-listener',
      `${this.#name}() on ${address} is open to everyone, and nothing authenticates before ${exposed.join(', ')}: give it dtls (CoAP, UDP), put an authentication middleware before it, listen on 127.0.0.1, or say allowUnauthenticated: true.`
    )
  }

  create(init: ContextInit, parent: OwnedContext | Scope = this.scope): OwnedContext {
    return createContext(this.#environment, init, parent)
  }

  invoke(context: OwnedContext, whole: boolean | 'all' = false): Promise<void> {
    return new Promise(resolve => this.run(context, () => resolve(), whole))
  }

  awaitsPeer(context: OwnedContext, awaits: boolean): void {
    this.#runner.awaitsPeer(context as RunContext, awaits)
  }

  observe(context: OwnedContext, deliver: (answer: SealedAnswer) => Promise<void> | void, options: HostObserveOptions = {}): Promise<Observation> {
    const environment = this.#environment
    environment.observed?.()
    environment.observed = undefined
    return this.#app.registry.observe(context as RunContext, deliver, this.run, this.limits, options)
  }

  shared<T>(key: string, create: () => T): T {
    return this.#app.shared.get(key, create)
  }

  connect(peer: PeerTarget, options: PeerClientOptions = {}): Promise<Client> {
    const { scope, clock, limits } = this
    const layers = dispatchLayersOf(this.#app.self.entries)
    const factory = new ContextFactory(this.#environment)
    return connectPeer(peer, options, { factory, scope, clock, limits, dispatch: send => compose(layers, send) })
  }

  changes(listener: (change: Change) => void): Subscription {
    const subscription = this.#app.registry.listen(listener, error =>
      this.logger.error(`iopa: a listener of ${this.#name} could not be told of a change`, error)
    )
    this.scope.defer(() => subscription[Symbol.dispose]())
    return subscription
  }

  represent(path: string, as: OwnedContext): Promise<SealedAnswer> {
    return this.#app.registry.represent(path, as as RunContext)
  }

  deliver(path: string, answer: SealedAnswer): void {
    this.#app.registry.deliver(path, answer)
  }

  notify(path: string): void {
    this.#app.notify(path)
  }

  routes(as?: OwnedContext): Iterable<RouteInfo> {
    const { self } = this.#app
    if (as === undefined) return announcedRoutes(self)
    return permittedRoutes(as['server.User'] === undefined ? routesFor(self, as) : announcedRoutes(self), self, as)
  }

  mayGet(path: string, as: OwnedContext): boolean | Promise<boolean> {
    return this.#environment.mayGet?.(path, as as RunContext) ?? true
  }

  get routesVersion(): number {
    return this.#app.self.routesVersion
  }

  load(shed: () => void): () => number {
    this.#runner.shed = shed
    return () => this.#runner.inFlight
  }

  /** Resolves when nothing is in work any more. */
  idle(): Promise<void> {
    return this.#runner.idle()
  }

  end(reason: EndReason): void | Promise<void> {
    return this.scope.end(reason)
  }
}
