import type { Bag } from '@iopa/constants'
import type { Context, ReceivedAnswer } from '@iopa/context'
import { type ContextFactory, checkPath, contextOf, type Environment, fullPath, type RunContext, readsOf, report } from '@iopa/context/host'
import type { Clock, Limits, UserWatches } from '@iopa/transport'
import { marked } from '@iopa/transport/host'
import { ObservationRegistry } from '../observation/observation.ts'
import { observedAnswers } from '../observation/observed-answers.ts'
import { Runner } from '../pipeline/runner.ts'
import type { AppHandle } from './app-types.ts'
import { routesFor } from './coverage.ts'
import { changedEverywhere, ignoresSlash, type NestedApp, observedPaths, oneNameOf, routesChangedIn } from './nested-app.ts'
import { permittedRoutes } from './permissions.ts'
import type { RouteRegistry } from './route-registry.ts'
import type { SharedState } from './shared-state.ts'
import { totalLogger } from './total-logger.ts'

/** Options of `app.observe`. */
export interface ObserveOptions {
  /** Ends the observation. */
  readonly signal?: AbortSignal
  readonly headers?: Bag['iopa.Headers']
}

export const OBSERVE_OPTIONS: Record<keyof ObserveOptions, true> = { signal: true, headers: true }

/** What the observations of an app need besides its nested form. */
export interface ObservingApp {
  readonly factory: ContextFactory
  readonly clock: Clock
  readonly environment: Environment
  create(bag: Bag): RunContext
  /** What lasts longer than a request; undefined while no transport listens. */
  users(): UserWatches | undefined
}

const SLASH = 0x2f

/** The observers of an app, and the changes that they hear of: from its requests, its code, and the apps around it and within it. */
export class AppObservations {
  readonly registry: ObservationRegistry
  readonly #self: NestedApp
  readonly #app: ObservingApp
  readonly #notifier: Runner

  constructor(self: NestedApp, app: ObservingApp) {
    this.#self = self
    this.#app = app
    const { factory, clock, environment } = app
    const { limits, logger } = self
    // Notifications are no requests of a peer: their observers are bounded, and a 503 would end an observation.
    this.#notifier = this.runner({ ...limits, inFlight: Number.POSITIVE_INFINITY })
    const { run } = this.#notifier
    this.registry = new ObservationRegistry({
      users: () => app.users(),
      clock,
      logger,
      limits,
      run,
      environment
    })
    environment.changeHost = {
      clock,
      timeout: limits.requestTimeout,
      bodyLimit: limits.body,
      nameOf: path => oneNameOf(self, path),
      create: (init, change) => factory.create(init, change as RunContext),
      run: (context, done) => run(context as RunContext, done)
    }
  }

  /** A runner of the app, whose requests tell observers what they change. */
  runner(limits: Limits): Runner {
    return new Runner({ codecs: this.#self.codecs, limits, clock: this.#app.clock, pipeline: () => this.#self.build(), changed: this.changed })
  }

  /** A change of a path of this app is one of the app around it, and of every app mounted at or above that path. */
  readonly changed = (path: string, origin: RunContext | null): void => {
    if (this.#self.nests || this.#self.places.length > 0) changedEverywhere(this.#self, path, origin)
    else this.registry.changed(path, origin)
    if (path.length > 1 && path.charCodeAt(path.length - 1) === SLASH && ignoresSlash(this.#self, path))
      changedEverywhere(this.#self, path.slice(0, -1), origin)
  }

  /** Tells the observers of `path` that it has changed. @throws IopaError 400 for an illegal path. */
  notify(path: string): void {
    let checked: string
    try {
      checked = checkPath(path)
    } catch (error) {
      throw marked(error, 'internal')
    }
    this.changed(checked, null)
  }

  /** The representation of `path` now and after each change; `run` runs its requests. Each iteration is an observer of its own. */
  observe(path: string, { signal, headers }: ObserveOptions, run: Runner['run']): AsyncIterable<ReceivedAnswer> {
    const query = path.indexOf('?')
    const bag: Bag = {
      'iopa.Method': 'GET',
      'iopa.Path': query < 0 ? path : path.slice(0, query),
      'iopa.QueryString': query < 0 ? '' : path.slice(query + 1),
      'iopa.Headers': headers,
      'iopa.Observe': true
    }
    return observedAnswers(
      signal,
      () => this.#app.create(bag),
      (observing, deliver) => this.registry.observe(observing, deliver, run, this.#self.limits, {})
    )
  }

  /** The app as its extensions see it. */
  handle({ routes, shared, ...own }: Pick<AppHandle, 'transports' | 'defer'> & { routes(): RouteRegistry; readonly shared: SharedState }): AppHandle {
    const self = this.#self
    return {
      ...own,
      capabilities: self.capabilities,
      clock: this.#app.clock,
      logger: totalLogger(self.logger),
      get registry() {
        return routes()
      },
      activity: listener => shared.activity.listen(listener),
      counters: () => shared.counters(),
      endLogin: (id, login) => shared.users?.endLogin(id, login),
      get closing() {
        return self.closed
      },
      changes: listener => this.registry.listen(listener, error => report(this.#self.logger, 'iopa: a listener of changes failed', error)),
      originOf: notification => (readsOf(contextOf(notification))?.origin ?? null) as Context | null,
      routes: (as, where) =>
        as === undefined ? routesFor(this.#self, null, where) : permittedRoutes(routesFor(this.#self, as, where), this.#self, as),
      notify: path => this.notify(path),
      mayGet: (path, as) => {
        const context = contextOf(as) as RunContext
        return context.environment.mayGet?.(fullPath(as['iopa.PathBase'], path), context) ?? true
      },
      routesChanged: () => routesChangedIn(this.#self),
      notifyWhere: (matches, known = []) => {
        // Before the first request there are no observers.
        if (!this.#self.isFixed) return
        const paths = new Set(known)
        for (const path of observedPaths(this.#self)) if (matches(path)) paths.add(path)
        for (const path of paths) this.changed(path, null)
      }
    }
  }

  close(): void {
    this.#notifier.close()
  }
}
