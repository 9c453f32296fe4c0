import { type Bag, CAPABILITIES, type Capabilities, IOPA_VERSION, IopaError, type IopaKeys, type Logger, originOf, type User } from '@iopa/constants'
import {
  type Answer,
  abandonValue,
  abortable,
  type BaseContext,
  type Context,
  ContextFactory,
  checkPath,
  type Environment,
  isContext,
  Scope
} from '@iopa/context'
import type { Client, ConnectOptions, Counts, Host, Listener, RouteInfo, Transport, UserWatches } from '@iopa/transport'
import { type Clock, checkOptions, DEFAULT_LIMITS, type Limits, markFactory, mergeLimits, systemClock } from '@iopa/transport'
import { type AppCounters, CONNECT_OPTIONS, COUNTERS, checkSurplus, markedCopy, marking, USERS, withinTime } from '@iopa/transport/host'
import { ObservationRegistry } from '../observation/observation.ts'
import { renewed } from '../observation/renewal.ts'
import { type ComposedPipeline, compose, noRoute } from '../pipeline/compose.ts'
import { Dispatcher, SHUT_DOWN } from '../pipeline/dispatcher.ts'
import type { MiddlewareFunction } from '../pipeline/middleware.ts'
import { sequence } from '../pipeline/sequence.ts'
import { ConditionalChanges } from '../preconditions/conditional-changes.ts'
import { connectClient } from './app-client.ts'
import { environmentOf } from './app-environment.ts'
import { OBSERVE_OPTIONS, type ObserveOptions, ownObservation } from './app-observation.ts'
import { APP_OPTIONS, type AppOptions } from './app-options.ts'
import type { AppHandle, Mount, ProvidedBy, Provides, Use } from './app-types.ts'
import { forkEntry, mountEntry } from './branches.ts'
import { checkBuild } from './build-checks.ts'
import { coverageOf, exposedOf, listedRoutes } from './coverage.ts'
import { entryOf, isExtension, isTransport, type PipelineEntry } from './entries.ts'
import { type Explanation, explanationOf } from './explain.ts'
import { extendApp } from './extension.ts'
import { type HostContext, ListenerHost } from './listener-host.ts'
import { Listeners } from './listeners.ts'
import { attach, changedEverywhere, closeNested, ignoresSlash, NESTED, type NestedApp, observedPaths, oneNameOf } from './nested-app.ts'
import { missingRouter, type RouteRegistry } from './route-registry.ts'
import { dispatchLayersOf, layersOf } from './run-order.ts'
import { silentLogger } from './silent-logger.ts'
import { totalLogger } from './total-logger.ts'

const CLUSTERED =
  'iopa: an observer in a worker of a cluster: it does not hear of changes that other workers make. Serve observers from one process, or join an MQTT broker.'

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
  readonly #registry: ObservationRegistry
  /** What listeners share, by name. */
  readonly #shared = new Map<string, unknown>()
  readonly #dispatcher: Dispatcher
  readonly #notifier: Dispatcher
  readonly #entries: PipelineEntry[] = []
  readonly #transports: Transport[] = []
  readonly #listeners: Listeners
  /** This app as the apps around it see it. */
  readonly #self: NestedApp
  #nests = false
  #routes: RouteRegistry | null = null
  #pipeline: ComposedPipeline | null = null
  #closing: Promise<void> | null = null

  constructor(options: AppOptions<Required> = {}) {
    checkOptions('App', options, APP_OPTIONS, App)
    this.limits = mergeLimits(DEFAULT_LIMITS, options.limits)
    this.clock = options.clock ?? systemClock
    this.logger = options.logger === false ? silentLogger : (options.logger ?? console)
    this.#capabilities = { [CAPABILITIES.App]: { version: IOPA_VERSION } }
    this.#environment = environmentOf(this, this.#capabilities, options.codecs, (path, origin) => this.#changed(path, origin))
    this.#factory = new ContextFactory(this.#environment)
    this.#scope = new Scope(this.#environment, null)
    // Notifications are no requests of a peer: their observers are bounded, and a 503 would end an observation.
    this.#notifier = this.#dispatcherWith({ ...this.limits, inFlight: Number.POSITIVE_INFINITY })
    this.#registry = new ObservationRegistry({
      users: () => this.#users,
      clock: this.clock,
      logger: this.logger,
      limits: this.limits,
      run: (context, done) => this.#notifier.run(context, done),
      renew: (question, as, reads) => renewed(this.#factory, question, as, reads)
    })
    this.#dispatcher = this.#dispatcherWith(this.limits)
    this.#environment.changes = new ConditionalChanges({
      factory: this.#factory,
      clock: this.clock,
      timeout: this.limits.requestTimeout,
      bodyLimit: this.limits.body,
      nameOf: path => oneNameOf(this.#self, path),
      run: (context, done) => this.#notifier.run(context, done)
    })
    this.#listeners = new Listeners(transport => this.#hostFor(transport.name), this.logger)
    this.#self = this.#nested(options)
    Object.defineProperty(this, NESTED, { value: this.#self })
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
    this.#assertOpen('use')
    if (isTransport(value)) {
      checkSurplus('use()', options, use)
      this.#transports.push(value)
      if (value.clustered) this.#environment.observed = () => this.logger.warn(CLUSTERED)
      this.#environment.bodies ??= value.bodies?.(this.limits.bodyMemory)
      for (const [urn, capability] of Object.entries(value.capabilities ?? {})) this.#capabilities[urn] = { schemes: value.schemes, ...capability }
      for (const codec of value.codecs ?? []) this.#environment.codecs.addMissing(codec)
      return this
    }
    this.#add(entryOf(value, { kind: 'use', prefix: '', position: this.#entries.length + 1, caller: use, app: this, options }))
    if (isExtension(value)) {
      this.#routes ??= value.registry ?? null
      extendApp(this, value, this.#handle())
    }
    return this
  } as Use

  /**
   * Runs `handler`, or the pipeline of another app, for the paths at and below `path`, at this place of the pipeline. It gets
   * a view of the context, whose path begins behind the prefix. Of neighbouring mounts the most specific one runs.
   */
  readonly mount: Mount = function mount(this: App, path: unknown, handler: unknown, ...surplus: never[]): App {
    this.#assertOpen('mount')
    checkSurplus('mount()', surplus, mount)
    this.#add(mountEntry(path, handler, { position: this.#entries.length + 1, caller: mount, app: this }))
    return this
  } as Mount

  /** Sends the contexts for which `when` is true through a pipeline of their own, and never back into this one. */
  fork(when: (context: BaseContext) => boolean, build: (branch: App & Provides<ProvidedBy<this>>) => unknown, ...surplus: never[]): this {
    this.#assertOpen('fork')
    checkSurplus('fork()', surplus, this.fork)
    const { logger, limits, clock } = this
    const codecs = this.#environment.codecs
    this.#add(forkEntry(when, build, () => new App({ logger, limits, clock, codecs }), this.#entries.length + 1, this.fork))
    return this
  }

  /** Composes the pipeline, once, and checks the declarations of its middleware. @throws IopaError 500 where they do not fit. */
  build(): (context: Context) => Promise<unknown> {
    const pipeline = this.#composed()
    // Not asynchronous by itself: that would wait once more for the promise of the pipeline.
    return context => {
      try {
        if (context.ended && context.endReason === 'shutdown') throw SHUT_DOWN
        return Promise.resolve(pipeline(context))
      } catch (error) {
        return Promise.reject(error)
      }
    }
  }

  /**
   * Runs a request of this process through the pipeline: a bag, which is trusted, or a context. Resolves with its answer, whatever the status;
   * rejects with the reason of the bag's `iopa.CallCancelled` as soon as that aborts.
   */
  async invoke(request: Bag | Context): Promise<Answer> {
    const own = !isContext(request)
    const context = own ? this.create(request) : (request as Context)
    const signal = own ? (request as Bag)['iopa.CallCancelled'] : undefined
    await (signal === undefined
      ? this.#ran(context)
      : abortable(
          signal,
          () => this.#ran(context),
          () => abandonValue(context.response)
        ))
    const answer = context.response
    if (own) {
      const { error } = answer
      if (error !== null && originOf(error) === undefined) answer.setError(markedCopy(error, 'internal'))
      // A streamed body may still read from what the scope owns.
      if (answer.isStream) answer.whenRead(() => void context.end(), signal)
      else await context.end()
    }
    return answer
  }

  #ran(context: Context): Promise<void> {
    return new Promise(resolve => this.#dispatcher.run(context, () => resolve()))
  }

  /** A context from a bag; its owner ends it. */
  create(bag: Bag): Context {
    // What is wrong with it is no fault of a peer whose request may be in work.
    return marking('internal', () => this.#factory.promote(bag, this.#scope))
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
    const layers = dispatchLayersOf(this.#entries)
    return connectClient({ transports: this.#transports, layers, factory: this.#factory, scope: this.#scope, clock: this.clock }, url, options)
  }

  /** The representation of `path` now and after each change, inside this process. Throws when its GET is not 2xx. */
  observe(path: string, options: ObserveOptions = {}): AsyncIterable<Answer> {
    checkOptions('observe()', options, OBSERVE_OPTIONS, this.observe)
    return ownObservation(
      bag => this.create(bag),
      (observing, deliver) => this.#registry.observe(observing, deliver, (first, done) => this.#dispatcher.run(first, done), this.limits),
      path,
      options
    )
  }

  /** Tells the observers of `path` that it has changed. @throws IopaError 400 for an illegal path. */
  notify(path: string): void {
    this.#changed(
      marking('internal', () => checkPath(path)),
      null
    )
  }

  /**
   * Ends all observers, connections and sessions of the user with this id, on every transport, also those that requests under way would
   * begin. What the user sends from then on is for authentication to refuse: remove the account first.
   */
  revoke(user: string | User): void {
    this.#users?.revoke(typeof user === 'string' ? user : user.id, this.#environment.lastId)
  }

  /** Every route, mounts and forks included. */
  *routes(): Generator<RouteInfo> {
    yield* listedRoutes(coverageOf(this.#self), null)
  }

  /** Pipeline, routes, guards, keys, transports and limits, to read or to print. */
  explain(): Explanation {
    return explanationOf(this.#self, transport => this.#listeners.urls(transport))
  }

  /** What each transport has now, and what it has refused since it began to listen, by its name. */
  counters(): Readonly<Record<string, Counts>> {
    return (this.#shared.get(COUNTERS) as AppCounters | undefined)?.read() ?? {}
  }

  /** What lasts longer than a request; undefined while no transport listens. */
  get #users(): UserWatches | undefined {
    return this.#shared.get(USERS) as UserWatches | undefined
  }

  #add(entry: PipelineEntry): void {
    this.#entries.push(entry)
    this.#nests ||= entry.app !== null
    attach(this.#self, entry)
  }

  /** This app as its extensions see it. */
  #handle(): AppHandle {
    const own = this
    return {
      capabilities: this.#capabilities,
      get registry() {
        return own.registry
      },
      notifyWhere: (matches, known = []) => {
        // Before the first request there are no observers.
        if (this.#pipeline === null) return
        const paths = new Set(known)
        for (const path of observedPaths(this.#self)) if (matches(path)) paths.add(path)
        for (const path of paths) this.#changed(path, null)
      }
    }
  }

  #composed(): ComposedPipeline {
    if (this.#pipeline !== null) return this.#pipeline
    checkBuild(this.#self, this.#transports)
    const { layers, names } = layersOf(this.#entries, this.logger, false)
    this.#pipeline = compose(layers, noRoute, names, true)
    for (const { app } of this.#entries) app?.build()
    return this.#pipeline
  }

  #nested(options: AppOptions): NestedApp {
    const own = this
    return {
      entries: this.#entries,
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
        return own.#nests
      },
      build: () => void this.#composed(),
      pipelineWithin: branch => this.#within(branch),
      changed: (path, origin) => this.#registry.changed(path, origin),
      observed: () => this.#registry.paths(),
      close: settings => this.close(settings)
    }
  }

  /** This app's pipeline within another: what it does not route goes on there, from a branch nowhere. */
  #within(branch: boolean): MiddlewareFunction {
    let run: MiddlewareFunction | null = null
    return (context, next) => {
      if (this.#closing !== null) throw SHUT_DOWN
      if (run === null) {
        const { layers, names } = layersOf(this.#entries, this.logger, true)
        run = sequence(layers, branch ? noRoute : undefined, names)
      }
      return run(context, next)
    }
  }

  /** A change of a path of this app is one of the app around it, and of every app mounted at or above that path. */
  readonly #changed = (path: string, origin: Context | null): void => {
    if (this.#nests || this.#self.places.length > 0) changedEverywhere(this.#self, path, origin)
    else this.#registry.changed(path, origin)
    if (path.length > 1 && path.charCodeAt(path.length - 1) === SLASH && ignoresSlash(this.#self, path))
      changedEverywhere(this.#self, path.slice(0, -1), origin)
  }

  #hostFor(name: string): ListenerHost {
    const app: HostContext = {
      factory: this.#factory,
      registry: this.#registry,
      shared: this.#shared,
      clock: this.clock,
      logger: totalLogger(this.logger),
      pipeline: () => this.#composed(),
      changed: this.#changed,
      notify: path => this.notify(path),
      routes: as => listedRoutes(coverageOf(this.#self), as),
      exposed: () => exposedOf(coverageOf(this.#self))
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
    this.#dispatcher.close()
    this.#notifier.close()
  }

  async #end(timeout: number): Promise<void> {
    await this.#listeners.close(timeout)
    await Promise.all([closeNested(this.#self, timeout), this.#scope.end('shutdown')])
    await this.#listeners.settled()
  }

  #dispatcherWith(limits: Limits): Dispatcher {
    return new Dispatcher(() => this.#composed(), this.#environment.codecs, limits, this.clock, this.#changed)
  }

  #assertOpen(what: string): void {
    if (this.#pipeline !== null)
      throw new IopaError(500, 'already-built', `${what}() after build(): the pipeline is fixed; add everything before the first request.`)
  }
}

const SLASH = 0x2f

markFactory('new App', App as never)
