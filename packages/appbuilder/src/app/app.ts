import { type Bag, CAPABILITIES, type Capabilities, IOPA_VERSION, type IopaKeys, type Logger, type User } from '@iopa/constants'
import type { BaseContext, Context, EndReason, ReceivedAnswer } from '@iopa/context'
import { ContextFactory, type Environment, type OwnedContext, type RunContext, Scope } from '@iopa/context/host'
import type { Client, ConnectOptions, Counts, Host, Listener, RouteInfo, Transport } from '@iopa/transport'
import { type Clock, checkOptions, DEFAULT_LIMITS, type Limits, markFactory, mergeLimits, systemClock } from '@iopa/transport'
import { CONNECT_OPTIONS, checkSurplus, marking, withinTime } from '@iopa/transport/host'
import type { Runner } from '../pipeline/runner.ts'
import { connectClient } from './app-client.ts'
import { addTransport, environmentOf } from './app-environment.ts'
import { invoked } from './app-invoke.ts'
import { AppObservations, OBSERVE_OPTIONS, type ObserveOptions } from './app-observations.ts'
import { APP_OPTIONS, type AppOptions } from './app-options.ts'
import { AppPipeline } from './app-pipeline.ts'
import type { AppHandle, Mount, ProvidedBy, Provides, Use } from './app-types.ts'
import { forkEntry, mountEntry } from './branches.ts'
import { checkBuild } from './build-checks.ts'
import { routesFor } from './coverage.ts'
import { entryOf, isExtension, isTransport, type PipelineEntry } from './entries.ts'
import { type Explanation, explanationOf, transportsOf } from './explain.ts'
import { extendApp } from './extension.ts'
import { type ListenerApp, ListenerHost } from './listener-host.ts'
import { Listeners } from './listeners.ts'
import { attach, closeNested, NESTED, type NestedApp } from './nested-app.ts'
import { ReadPermissions } from './read-permissions.ts'
import { missingRouter, type RouteRegistry } from './route-registry.ts'
import { SharedState } from './shared-state.ts'
import { silentLogger } from './silent-logger.ts'
import { totalLogger } from './total-logger.ts'

/**
 * An app: one pipeline that every transport feeds. Middleware runs in `use` order, the first outermost; it is composed
 * once, at `build` or at the first request, and fixed from then on.
 */
export class App<Required extends keyof IopaKeys = never> {
  /** For the type checker alone: the keys that the app around must provide. */
  declare readonly '~requires'?: { readonly [K in Required]: true }
  readonly limits: Limits
  readonly clock: Clock
  readonly logger: Logger
  readonly #capabilities: Capabilities
  readonly #environment: Environment
  readonly #factory: ContextFactory
  readonly #scope: Scope
  readonly #observations: AppObservations
  readonly #handle: AppHandle
  readonly #shared = new SharedState()
  readonly #runner: Runner
  readonly #pipeline: AppPipeline
  readonly #transports: Transport[] = []
  readonly #listeners: Listeners
  /** This app as the apps around it see it. */
  readonly #self: NestedApp
  #routes: RouteRegistry | null = null
  #closing: Promise<void> | null = null

  constructor(options: AppOptions<Required> = {}) {
    checkOptions('App', options, APP_OPTIONS, App)
    this.limits = mergeLimits(DEFAULT_LIMITS, options.limits)
    this.clock = options.clock ?? systemClock
    this.logger = options.logger === false ? silentLogger : (options.logger ?? console)
    this.#capabilities = { [CAPABILITIES.App]: { version: IOPA_VERSION } }
    this.#environment = environmentOf(this, this.#capabilities, options.codecs, (path, origin) => this.#observations.changed(path, origin))
    this.#factory = new ContextFactory(this.#environment)
    this.#scope = new Scope(this.#environment, null)
    this.#pipeline = new AppPipeline(this.logger, () => checkBuild(this.#self, this.#transports))
    this.#self = this.#nested(options)
    Object.defineProperty(this, NESTED, { value: this.#self })
    this.#observations = new AppObservations(this.#self, {
      factory: this.#factory,
      clock: this.clock,
      environment: this.#environment,
      create: bag => this.#create(bag),
      users: () => this.#shared.users
    })
    this.#handle = this.#observations.handle({
      routes: () => this.registry,
      transports: () => transportsOf(this.#self, transport => this.#listeners.urls(transport)),
      defer: dispose => this.defer(dispose),
      shared: this.#shared
    })
    const permissions = new ReadPermissions(this.#self, this.#observations.registry)
    this.#environment.mayGet = (path, context) => permissions.mayGet(path, context as RunContext)
    this.#runner = this.#observations.runner(this.limits)
    this.#listeners = new Listeners(transport => this.#hostFor(transport.name), this.logger)
  }

  /** Contexts that have not ended. */
  get live(): number {
    return this.#environment.live
  }

  /** What the app and its extensions can do; each context sees a copy. */
  get capabilities(): Capabilities {
    return this.#capabilities
  }

  /** Where packages add routes and remove them, also while the app listens. @throws IopaError 500 where no router has been used. */
  get registry(): RouteRegistry {
    if (this.#routes === null) throw missingRouter()
    return this.#routes
  }

  /** Adds middleware, an extension, a transport, or an app, which runs as one mounted at `/`. @throws IopaError 500 after `build`, and for anything else. */
  readonly use: Use = function use(this: App, value: unknown, ...options: unknown[]): App {
    this.#pipeline.assertOpen('use')
    if (isTransport(value)) {
      checkSurplus('use()', options, use)
      this.#transports.push(value)
      addTransport(this.#environment, this.#handle, value, this.limits.bodyMemory)
      return this
    }
    this.#add(entryOf(value, { kind: 'use', prefix: '', position: this.#pipeline.entries.length + 1, caller: use, app: this, options }))
    if (isExtension(value)) {
      this.#routes ??= value.registry ?? null
      extendApp(this, value, this.#handle)
    }
    return this
  } as Use

  /**
   * Runs `handler`, or the pipeline of another app, for the paths at and below `path`, at this place of the pipeline. It gets
   * a view of the context, whose path begins behind the prefix. Of neighbouring mounts the most specific one runs.
   */
  readonly mount: Mount = function mount(this: App, path: unknown, handler: unknown, ...surplus: never[]): App {
    this.#pipeline.assertOpen('mount')
    checkSurplus('mount()', surplus, mount)
    this.#add(mountEntry(path, handler, { position: this.#pipeline.entries.length + 1, caller: mount, app: this }))
    return this
  } as Mount

  /** Sends the contexts for which `when` is true through a pipeline of their own, and never back into this one. */
  fork(when: (context: BaseContext) => boolean, build: (branch: App & Provides<ProvidedBy<this>>) => unknown, ...surplus: never[]): this {
    this.#pipeline.assertOpen('fork')
    checkSurplus('fork()', surplus, this.fork)
    const { logger, limits, clock } = this
    const codecs = this.#environment.codecs
    this.#add(forkEntry(when, build, () => new App({ logger, limits, clock, codecs }), this.#pipeline.entries.length + 1, this.fork))
    return this
  }

  /** Composes the pipeline, once, and checks the declarations of its middleware. @throws IopaError 500 where they do not fit. */
  build(): (context: Context) => Promise<unknown> {
    return this.#pipeline.handler()
  }

  /**
   * Runs a request of this process through the pipeline: a bag, which is trusted, or a context. Resolves with its answer, whatever the status;
   * rejects with the reason of the bag's `iopa.CallCancelled` as soon as that aborts.
   */
  invoke(request: Bag | Context): Promise<ReceivedAnswer> {
    return invoked(request, bag => this.#create(bag), this.#runner.run)
  }

  /** A context from a bag; its owner ends it. */
  create(bag: Bag): OwnedContext {
    return this.#create(bag)
  }

  #create(bag: Bag): RunContext {
    // What is wrong with it is no fault of a peer whose request may be in work.
    return marking('internal', () => this.#factory.promote(bag, this.#scope))
  }

  /** Runs `dispose` when the app closes, after its listeners: it closes what the app has opened. The last one given runs first. */
  defer(dispose: (reason: EndReason) => unknown): void {
    this.#scope.defer(dispose)
  }

  /** A host of its own, for what is no transport: a fetch handler, a test. It ends with the app. */
  host(name = 'host'): Host {
    return this.#hostFor(name)
  }

  /** Serves every transport. Rejects when one cannot bind; those that could are closed again. */
  async listen(...surplus: never[]): Promise<Listener[]> {
    checkSurplus('listen()', surplus, this.listen)
    this.build()
    return this.#listeners.open(this.#transports)
  }

  /** Stops accepting, finishes what is in work within `timeout` ms, then forces; then ends every scope. Idempotent. */
  close(options: { readonly timeout?: number } = {}): Promise<void> {
    checkOptions('close()', options, { timeout: true }, this.close)
    this.#closing ??= this.#close(options.timeout ?? this.limits.drainTimeout)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A client for the scheme of `url`. Rejects for a scheme that no transport of this app has, or when it cannot connect. */
  async connect(url: string | URL, options: ConnectOptions = {}): Promise<Client> {
    checkOptions('connect()', options, CONNECT_OPTIONS, this.connect)
    const layers = this.#pipeline.dispatchLayers()
    return connectClient({ transports: this.#transports, layers, factory: this.#factory, scope: this.#scope, clock: this.clock }, url, options)
  }

  /** The representation of `path` now and after each change, inside this process. Throws when its GET is not 2xx. */
  observe(path: string, options: ObserveOptions = {}): AsyncIterable<ReceivedAnswer> {
    checkOptions('observe()', options, OBSERVE_OPTIONS, this.observe)
    return this.#observations.observe(path, options, this.#runner.run)
  }

  /** Tells the observers of `path` that it has changed. @throws IopaError 400 for an illegal path. */
  notify(path: string): void {
    this.#observations.notify(path)
  }

  /**
   * Ends all observers, connections and sessions of the user with this id, on every transport, also those that requests under way would
   * begin. What the user sends from then on is for authentication to refuse: remove the account first.
   */
  revoke(user: string | User): void {
    this.#shared.users?.revoke(typeof user === 'string' ? user : user.id, this.#environment.lastId)
  }

  /** Every route, mounts and forks included. */
  *routes(): Generator<RouteInfo> {
    yield* routesFor(this.#self, null)
  }

  /** Pipeline, routes, guards, keys, transports and limits, to read or to print. */
  explain(): Explanation {
    return explanationOf(this.#self, transport => this.#listeners.urls(transport))
  }

  /** What each transport has now, and what it has refused since it began to listen, by its name. */
  counters(): Readonly<Record<string, Counts>> {
    return this.#shared.counters()
  }

  #add(entry: PipelineEntry): void {
    this.#pipeline.add(entry)
    attach(this.#self, entry)
  }

  #nested(options: AppOptions): NestedApp {
    const own = this
    return {
      entries: this.#pipeline.entries,
      transports: this.#transports,
      options,
      limits: this.limits,
      logger: this.logger,
      codecs: this.#environment.codecs,
      capabilities: this.#capabilities,
      places: [],
      get closed() {
        return own.#closing !== null
      },
      get nests() {
        return own.#pipeline.nests
      },
      get isFixed() {
        return own.#pipeline.isFixed
      },
      build: () => this.#pipeline.compose(),
      pipelineWithin: branch => this.#pipeline.within(branch, () => this.#closing !== null),
      changed: (path, origin) => this.#observations.registry.changed(path, origin),
      observed: () => this.#observations.registry.paths(),
      routesVersion: 0,
      close: settings => this.close(settings)
    }
  }

  #hostFor(name: string): ListenerHost {
    const app: ListenerApp = {
      registry: this.#observations.registry,
      shared: this.#shared,
      clock: this.clock,
      logger: totalLogger(this.logger),
      pipeline: () => this.#pipeline.compose(),
      changed: this.#observations.changed,
      notify: path => this.notify(path),
      self: this.#self
    }
    return new ListenerHost(name, app, new Scope(this.#environment, this.#scope), this.limits)
  }

  async #close(timeout: number): Promise<void> {
    const ended = await withinTime(this.clock, timeout + this.limits.drainTimeout, this.#end(timeout))
    if (!ended) {
      this.logger.error('iopa: what the app owns has not ended in time, and is left behind: a listener does not close, or a disposer does not settle')
      void this.#scope.end('shutdown')
    }
    this.#environment.failures?.flush()
    this.#runner.close()
    this.#observations.close()
  }

  async #end(timeout: number): Promise<void> {
    await this.#listeners.close(timeout)
    await Promise.all([closeNested(this.#self, timeout), this.#scope.end('shutdown')])
    await this.#listeners.settled()
  }
}

markFactory('new App', App as never)
