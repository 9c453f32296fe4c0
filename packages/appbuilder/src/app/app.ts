import {
  type Bag,
  CAPABILITIES,
  type Capabilities,
  type Codec,
  CodecTable,
  IOPA_VERSION,
  IopaError,
  type Logger,
  schemeOf,
  withOrigin
} from '@iopa/constants'
import { type Answer, type BaseContext, type Context, ContextFactory, checkPath, type Environment, isContext, report, Scope } from '@iopa/context'
import { type Client, createClient } from '../client/client.ts'
import { marked, marking, upstream } from '../client/upstream.ts'
import { observedAnswers } from '../observation/app-observer.ts'
import { ObservationRegistry } from '../observation/observation.ts'
import { renewed } from '../observation/renewal.ts'
import { type ComposedPipeline, compose, noRoute, type Pipeline } from '../pipeline/compose.ts'
import { Dispatcher } from '../pipeline/dispatcher.ts'
import type { MiddlewareFunction, MiddlewareObject, Next } from '../pipeline/middleware.ts'
import { MountTable } from '../pipeline/mount.ts'
import { type Clock, systemClock, type TimerHandle } from '../transport/clock.ts'
import { type HostContext, ListenerHost } from '../transport/host.ts'
import { DEFAULT_LIMITS, type Limits, mergeLimits } from '../transport/limits.ts'
import { prefixed } from '../transport/route-paths.ts'
import type { ConnectOptions, Host, Listener, RouteInfo, Transport } from '../transport/transport.ts'
import type { Extension, Use } from './app-types.ts'
import { checkDeclarations, declarationsOf } from './declarations.ts'
import { entryOf, isExtension, isTransport, type PipelineEntry } from './entries.ts'
import { type Explanation, explanationOf } from './explain.ts'
import { Listeners } from './listeners.ts'
import { silentLogger } from './silent-logger.ts'
import { totalLogger } from './total-logger.ts'

/** Options of an app. */
export interface AppOptions {
  /** Takes errors of the server; `console` unless given, false silences it. */
  readonly logger?: Logger | false
  readonly limits?: Partial<Limits>
  /** Codecs beside text, bytes and JSON. */
  readonly codecs?: Iterable<Codec>
  readonly clock?: Clock
}

/**
 * An app: one pipeline that every transport feeds. Middleware runs in `use` order, the first outermost; it is composed
 * once, at `build` or at the first request, and fixed from then on.
 */
export class App {
  readonly limits: Limits
  readonly clock: Clock
  readonly logger: Logger
  readonly #capabilities: Capabilities
  readonly #environment: Environment
  readonly #factory: ContextFactory
  readonly #scope: Scope
  readonly #registry: ObservationRegistry
  readonly #dispatcher: Dispatcher
  readonly #notifier: Dispatcher
  readonly #entries: PipelineEntry[] = []
  readonly #transports: Transport[] = []
  readonly #listeners: Listeners
  readonly #branches: { readonly prefix: string; readonly app: App | null; routes(): Iterable<RouteInfo> }[] = []
  #mounts: MountTable | null = null
  #outer: { readonly app: App; readonly prefix: string } | null = null
  #pipeline: ComposedPipeline | null = null
  #closing: Promise<void> | null = null

  constructor(options: AppOptions = {}) {
    this.limits = mergeLimits(DEFAULT_LIMITS, options.limits)
    this.clock = options.clock ?? systemClock
    this.logger = options.logger === false ? silentLogger : (options.logger ?? console)
    this.#capabilities = { [CAPABILITIES.App]: { version: IOPA_VERSION } }
    const clock = this.clock
    this.#environment = {
      live: 0,
      lastId: 0,
      capabilities: this.#capabilities,
      logger: this.logger,
      codecs: new CodecTable(options.codecs),
      bodyLimit: this.limits.body,
      now: () => clock.now(),
      notify: (path, origin) => this.#changed(path, isContext(origin) ? origin : null),
      bounded: (work, hurry) => this.#bounded(work, hurry)
    }
    this.#factory = new ContextFactory(this.#environment)
    this.#scope = new Scope(this.#environment, null)
    // Notifications are no requests of a peer: their observers are bounded, and a 503 would end an observation.
    this.#notifier = this.#dispatcherWith({ ...this.limits, inFlight: Number.POSITIVE_INFINITY })
    this.#registry = new ObservationRegistry({
      run: (context, done) => this.#notifier.run(context, done),
      renew: (path, as) => renewed(this.#factory, path, as),
      bodyLimit: this.limits.body
    })
    this.#dispatcher = this.#dispatcherWith(this.limits)
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

  /** Adds middleware, an extension or a transport. @throws IopaError 500 after `build`, and for anything else. */
  readonly use: Use = function (this: App, value: unknown, ...options: unknown[]): App {
    this.#assertOpen('use')
    if (isTransport(value)) {
      this.#transports.push(value)
      for (const [urn, capability] of Object.entries(value.capabilities ?? {})) this.#capabilities[urn] = { ...capability }
      return this
    }
    this.#entries.push(entryOf(value, this.#entries.length + 1, this, options))
    if (isExtension(value)) this.#extend(value)
    return this
  } as Use

  /** Runs `handler`, or the pipeline of another app, for the paths below `path`, which moves to PathBase meanwhile. */
  mount(path: string, handler: App | MiddlewareFunction<Context> | MiddlewareObject<Context>): this {
    this.#assertOpen('mount')
    if (this.#mounts === null) {
      this.#mounts = new MountTable()
      this.#entries.push(entryOf({ name: 'mount', invoke: this.#mounts.invoke }, this.#entries.length + 1, this, []))
    }
    if (handler instanceof App) {
      const prefix = this.#mounts.add(path, handler.#asMiddleware())
      handler.#outer = { app: this, prefix }
      this.#branches.push({ prefix, app: handler, routes: () => handler.routes() })
    } else {
      const entry = entryOf(handler, this.#entries.length, this, [])
      if (entry.invoke === undefined) throw new IopaError(500, 'bad-middleware', 'mount() takes an app, or middleware with invoke.')
      const prefix = this.#mounts.add(path, entry.invoke)
      if (entry.routes !== undefined) this.#branches.push({ prefix, app: null, routes: entry.routes })
    }
    return this
  }

  /** Sends the contexts for which `when` is true through a pipeline of their own, and never back into this one. */
  fork(when: (context: BaseContext) => boolean, build: (branch: App) => unknown): this {
    this.#assertOpen('fork')
    const branch = new App({ logger: this.logger, limits: this.limits, clock: this.clock })
    branch.#outer = { app: this, prefix: '' }
    build(branch)
    this.#branches.push({ prefix: '', app: branch, routes: () => branch.routes() })
    for (const [urn, capability] of Object.entries(branch.#capabilities)) this.#capabilities[urn] ??= capability
    const inside = branch.#asMiddleware(noRoute)
    const choose: MiddlewareFunction = (context, next) => (when(context) ? inside(context, next) : next())
    this.#entries.push(entryOf(choose, this.#entries.length + 1, this, []))
    return this
  }

  /** Composes the pipeline, once, and checks the declarations of its middleware. @throws IopaError 500 where they do not fit. */
  build(): (context: Context) => Promise<unknown> {
    const pipeline = this.#pipeline ?? this.#compose()
    return context => {
      try {
        const value = pipeline(context)
        return Promise.resolve(value)
      } catch (error) {
        return Promise.reject(error)
      }
    }
  }

  /** Runs a request of this process through the pipeline: a bag, which is trusted, or a context. Resolves with its answer, whatever the status. */
  async invoke(request: Bag | Context): Promise<Answer> {
    const own = !isContext(request)
    const context = own ? this.create(request) : (request as Context)
    await new Promise<void>(resolve => this.#dispatcher.run(context, () => resolve()))
    const answer = context.response
    if (own) {
      // A streamed body may still read from what the scope owns.
      if (answer.isStream) answer.whenRead(() => void context.end())
      else await context.end()
    }
    return answer
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
  async listen(): Promise<Listener[]> {
    this.build()
    return this.#listeners.open(this.#transports)
  }

  /** Stops accepting, finishes what is in work within `timeout` ms, then forces; then ends every scope. Idempotent. */
  close(options: { readonly timeout?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeout ?? this.limits.drainTimeout)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A client for the scheme of `url`. Rejects for a scheme that no transport of this app has, or when it cannot connect. */
  async connect(url: string | URL, options: ConnectOptions = {}): Promise<Client> {
    const target = new URL(url)
    const scheme = schemeOf(target.protocol)
    const transport = this.#transports.find(({ schemes }) => schemes.includes(scheme))
    if (transport === undefined) {
      const schemes = this.#transports.flatMap(transport => transport.schemes).join(', ') || 'none'
      throw withOrigin(new IopaError(500, 'no-transport', `No transport of this app serves '${scheme}:'; it has ${schemes}.`), 'internal')
    }
    const channel = await upstream(transport.connect(target, { clock: this.clock, ...options }))
    const scope = new Scope(this.#environment, this.#scope)
    scope.defer(() => channel.close())
    // The transport is used first, so dispatch layers run in reverse: the last one used is outermost.
    const layers = this.#entries.flatMap(({ dispatch }) => (dispatch === undefined ? [] : [dispatch])).reverse()
    try {
      return createClient(channel, target, send => compose(layers, send), this.#factory, scope)
    } catch (error) {
      await scope.end()
      throw marked(error, 'upstream')
    }
  }

  /** The representation of `path` now and after each change, inside this process. Throws when its GET is not 2xx. */
  observe(path: string, options: { readonly signal?: AbortSignal; readonly headers?: Bag['iopa.Headers'] } = {}): AsyncIterable<Answer> {
    const open = (): Context => {
      const query = path.indexOf('?')
      const context = this.create({
        'iopa.Method': 'GET',
        'iopa.Path': query < 0 ? path : path.slice(0, query),
        'iopa.QueryString': query < 0 ? '' : path.slice(query + 1),
        'iopa.Headers': options.headers,
        'iopa.Observe': true
      })
      const { signal } = options
      const abort = (): void => void context.end('unsubscribe')
      if (signal?.aborted) abort()
      signal?.addEventListener('abort', abort, { once: true })
      context.defer(() => signal?.removeEventListener('abort', abort))
      return context
    }
    return {
      [Symbol.asyncIterator]: () =>
        observedAnswers(open, (observing, deliver) =>
          this.#registry.observe(observing, deliver, (first, done) => this.#dispatcher.run(first, done), this.limits.observers)
        )
    }
  }

  /** Tells the observers of `path` that it has changed. @throws IopaError 400 for an illegal path. */
  notify(path: string): void {
    this.#changed(
      marking('internal', () => checkPath(path)),
      null
    )
  }

  /** Every route, mounts and forks included. */
  *routes(): Generator<RouteInfo> {
    for (const { routes } of this.#entries) if (routes !== undefined) yield* routes()
    for (const { prefix, routes } of this.#branches) for (const route of routes()) yield prefixed(prefix, route)
  }

  /** Pipeline, routes, keys, transports and limits, to read or to print. */
  explain(): Explanation {
    return explanationOf(
      this.#entries,
      this.#transports.flatMap(transport => declarationsOf(transport, transport.name).keys),
      [...this.routes()],
      this.#transports.map(
        transport =>
          ({ ...transport, name: transport.name, schemes: transport.schemes, urls: this.#listeners.urls(transport) }) as Transport & {
            urls: string[]
          }
      ),
      this.limits
    )
  }

  #extend(extension: Extension<object>): void {
    const methods = extension.extend({ capabilities: this.#capabilities }) as Record<string, unknown>
    for (const name of Object.keys(methods)) {
      if (name in this) throw new IopaError(500, 'method-taken', `'${extension.name}' adds the method '${name}', which this app has already.`)
      Object.defineProperty(this, name, { value: methods[name], enumerable: true })
    }
  }

  #compose(): ComposedPipeline {
    checkDeclarations(
      this.#entries,
      this.#transports.map(transport => declarationsOf(transport, transport.name)),
      this.#outer === null ? undefined : this.#outer.app.#provided()
    )
    for (const { app } of this.#branches) app?.build()
    this.#pipeline = compose(this.#invokeLayers(), noRoute, this.#invokeNames())
    return this.#pipeline
  }

  #invokeLayers(): MiddlewareFunction[] {
    return this.#entries.flatMap(({ invoke }) => (invoke === undefined ? [] : [invoke]))
  }

  #invokeNames(): string[] {
    return this.#entries.flatMap(({ name, invoke }) => (invoke === undefined ? [] : [name]))
  }

  /** Waits for what a scope owns, but not longer than the drain timeout. */
  #bounded(work: Promise<void>, hurry: () => void): Promise<void> {
    return new Promise(resolve => {
      const timer = this.clock.setTimeout(() => {
        report(this.logger, 'iopa: a disposer has not settled in time, and is left behind')
        hurry()
        resolve()
      }, this.limits.drainTimeout)
      void work.then(() => {
        this.clock.clearTimeout(timer)
        resolve()
      })
    })
  }

  /** This app's pipeline within another: what it does not route goes to `next`, or to `terminal`. */
  #asMiddleware(terminal?: Pipeline): MiddlewareFunction {
    let composed: ComposedPipeline | null = null
    const onward = new WeakMap<Context, Next>()
    return (context, next) => {
      // A context that came by next.invoke has no next of its own; the rest of the outer pipeline is the same for all.
      composed ??= compose(this.#invokeLayers(), terminal ?? (inner => onward.get(inner)?.() ?? next.invoke(inner)), this.#invokeNames())
      if (terminal === undefined) onward.set(context, next)
      return composed.unwrap(composed(context))
    }
  }

  #provided(): Set<string> {
    const around = this.#outer === null ? [] : this.#outer.app.#provided()
    return new Set([...around, ...this.#entries.flatMap(({ provides }) => provides)])
  }

  #changed(path: string, origin: Context | null): void {
    if (this.#outer !== null) this.#outer.app.#changed(this.#outer.prefix + path, origin)
    else this.#registry.changed(path, origin)
  }

  #hostFor(name: string): ListenerHost {
    const app: HostContext = {
      factory: this.#factory,
      registry: this.#registry,
      clock: this.clock,
      logger: totalLogger(this.logger),
      pipeline: () => this.#pipeline ?? this.#compose(),
      notify: path => this.notify(path),
      routes: () => this.routes(),
      authenticates: () => this.#entries.some(({ provides }) => provides.includes('server.User'))
    }
    return new ListenerHost(name, app, new Scope(this.#environment, this.#scope), this.limits)
  }

  async #close(timeout: number): Promise<void> {
    let late: TimerHandle
    const limit = new Promise<false>(resolve => {
      late = this.clock.setTimeout(() => resolve(false), timeout + this.limits.drainTimeout)
    })
    if (!(await Promise.race([this.#end(timeout), limit]))) {
      this.logger.error('iopa: what the app owns has not ended in time, and is left behind: a listener does not close, or a disposer does not settle')
      void this.#scope.end('shutdown')
    }
    this.clock.clearTimeout(late)
    this.#dispatcher.close()
    this.#notifier.close()
  }

  async #end(timeout: number): Promise<true> {
    await this.#listeners.close(timeout)
    await this.#scope.end('shutdown')
    await this.#listeners.settled()
    return true
  }

  #dispatcherWith(limits: Limits): Dispatcher {
    return new Dispatcher(
      () => this.#pipeline ?? this.#compose(),
      this.#environment.codecs,
      limits,
      this.clock,
      (path, origin) => this.#registry.changed(path, origin)
    )
  }

  #assertOpen(what: string): void {
    if (this.#pipeline !== null)
      throw new IopaError(500, 'already-built', `${what}() after build(): the pipeline is fixed; add everything before the first request.`)
  }
}
