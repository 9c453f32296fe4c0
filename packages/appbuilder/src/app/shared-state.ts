import type { Counts, UserWatches } from '@iopa/transport'
import { ACTIVITY, ActivityFeed, type AppCounters, COUNTERS, USERS } from '@iopa/transport/host'

/** What the listeners of an app share, by name; some of it is the app's own. */
export class SharedState {
  /** What happens at the listeners beside requests. */
  readonly activity: ActivityFeed = new ActivityFeed()
  readonly #values: Map<string, unknown> = new Map([[ACTIVITY, this.activity]])

  /** One value for all listeners: made by `create` the first time, for as long as the app lasts. */
  get<T>(key: string, create: () => T): T {
    if (!this.#values.has(key)) this.#values.set(key, create())
    return this.#values.get(key) as T
  }

  /** What lasts longer than a request; undefined while no transport listens. */
  get users(): UserWatches | undefined {
    return this.#values.get(USERS) as UserWatches | undefined
  }

  /** What each transport has now, and what it has refused since it began to listen, by its name. */
  counters(): Readonly<Record<string, Counts>> {
    return (this.#values.get(COUNTERS) as AppCounters | undefined)?.read() ?? {}
  }
}
