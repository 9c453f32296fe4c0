import { type Context, IopaError } from '@iopa/appbuilder'
import type { Environment, OwnedContext } from '@iopa/context/host'
import { withoutSlash } from './listing.ts'
import { type Lookup, stateOf } from './lookup.ts'
import type { StaticSettings } from './options.ts'
import { protocolOf } from './protocol.ts'
import type { Resources } from './resources.ts'
import { Watcher } from './watcher.ts'

/** A path with observers. */
export interface Observed {
  /** What mounts have taken off the path. */
  readonly base: string
  readonly path: string
  /** True when the directory itself is observed, and not the index in it. */
  readonly listed: boolean
}

/** Subscriptions of one connection that are watched; beyond it the oldest is not watched any more. */
const MAX_PER_CONNECTION = 1000

/** Watches observed files while they have observers, and notifies the app of changes. */
export class Observers {
  readonly #lookup: Lookup
  readonly #resources: Resources
  readonly #settings: StaticSettings
  /** By app: one middleware may serve in several. */
  readonly #watchers = new WeakMap<Environment, Watcher>()
  readonly #subscriptions = new WeakMap<Context, Map<string, () => void>>()

  constructor(lookup: Lookup, resources: Resources, settings: StaticSettings) {
    this.#lookup = lookup
    this.#resources = resources
    this.#settings = settings
  }

  /** Watches a path that an observing context has seen in this state. */
  add(context: Context, observed: Observed, state: string): void {
    const key = keyOf(observed)
    const watcher = this.#watcherOf(context)
    const connection = subscriberOf(context)
    if (connection === null) context.defer(watcher.watch(key, state))
    else this.#subscribe(connection, key, watcher, state)
  }

  /** Ends what a lasting subscription began. */
  unsubscribe(context: Context): void {
    const connection = subscriberOf(context)
    const watches = connection === null ? undefined : this.#subscriptions.get(connection)
    const observed = { base: context['iopa.PathBase'], path: context['iopa.Path'] }
    for (const listed of [false, true]) {
      const key = keyOf({ ...observed, listed })
      watches?.get(key)?.()
      watches?.delete(key)
    }
  }

  /** True when an observer has seen a file at the path, so that there being none is news. */
  hasSeen(context: Context, observed: Observed): boolean {
    return this.#watchers.get((context as OwnedContext).environment)?.hasSeen(keyOf(observed)) ?? false
  }

  // A subscription survives the file: it is notified of its deletion and its return.
  #subscribe(connection: Context, key: string, watcher: Watcher, state: string): void {
    let watches = this.#subscriptions.get(connection)
    if (watches === undefined) {
      const all = new Map<string, () => void>()
      this.#subscriptions.set(connection, all)
      connection.defer(() => {
        for (const stop of all.values()) stop()
        all.clear()
      })
      watches = all
    }
    if (watches.has(key) || connection.ended) return
    if (watches.size >= MAX_PER_CONNECTION) {
      const [oldest, stop] = watches.entries().next().value as [string, () => void]
      watches.delete(oldest)
      stop()
    }
    watches.set(key, watcher.watch(key, state))
  }

  #watcherOf(context: Context): Watcher {
    const { environment } = context as OwnedContext
    let watcher = this.#watchers.get(environment)
    if (watcher === undefined) {
      const { clock, watchInterval } = this.#settings
      watcher = new Watcher(
        key => this.#stateOf(observedOf(key)),
        key => {
          const { base, path } = observedOf(key)
          environment.notify(base + path)
        },
        (callback, delay) => {
          const timer = clock.setTimeout(callback, delay)
          return () => clock.clearTimeout(timer)
        },
        watchInterval
      )
      this.#watchers.set(environment, watcher)
    }
    return watcher
  }

  async #stateOf({ path, listed }: Observed): Promise<string> {
    return listed ? ((await this.#lookup.directory(withoutSlash(path)))?.version ?? '') : stateOf(await this.#resources.refresh(path))
  }
}

/** The error for a file that an observer has seen and that is not there now. */
export const fileGone = (): IopaError => new IopaError(404, 'file-gone', 'The file has been deleted.')

/** The connection of a client whose subscriptions last; null for all others, whose observation ends with what they observe. */
const subscriberOf = (context: Context): Context | null => (protocolOf(context).lastingSubscriptions === true ? context.connection : null)

// A path holds no NUL.
const keyOf = ({ base, path, listed }: Observed): string => `${base}\0${path}\0${listed ? 'list' : ''}`

const observedOf = (key: string): Observed => {
  const [base = '', path = '', listed = ''] = key.split('\0')
  return { base, path, listed: listed !== '' }
}
