import { READ, type RunContext, readsOf } from '@iopa/context/host'
import type { ObservationRegistry } from '../observation/observation.ts'
import { isGuard } from './entries.ts'
import type { NestedApp } from './nested-app.ts'

/** Paths that one request asks about; the rest is refused. */
const MOST_ASKED = 10_000

/** What is known for one request. */
interface Verdicts {
  /** False where nothing of the app authenticates, so that everything may be read. */
  readonly guarded: boolean
  readonly byPath: Map<string, Promise<boolean>>
}

/** Says what the user of a request may read, for lists of resources: by the GET of each, as that user. */
export class ReadPermissions {
  readonly #self: NestedApp
  readonly #registry: ObservationRegistry
  readonly #verdicts = new WeakMap<RunContext, Verdicts>()

  constructor(self: NestedApp, registry: ObservationRegistry) {
    this.#self = self
    this.#registry = registry
  }

  /** True where GET of a path of this app would be answered with 2xx. A notification gets the verdicts of the observer that it is made for. */
  mayGet(path: string, context: RunContext): boolean | Promise<boolean> {
    let verdicts = this.#verdicts.get(context)
    if (verdicts === undefined) this.#verdicts.set(context, (verdicts = { guarded: isGuarded(this.#self), byPath: new Map() }))
    const { guarded, byPath } = verdicts
    if (!guarded) return true
    const known = byPath.get(path)
    if (known !== undefined) return known
    if (byPath.size >= MOST_ASKED) return false
    const reads = readsOf(context)
    // Observers of one user share the verdicts; one with credentials that nothing has checked shares nothing.
    reads?.add(READ.User)
    const observer = reads?.ignoring(() => context['server.ParentContext'] as RunContext | null) ?? context
    const verdict = this.#registry.represent(path, observer).then(
      ({ ok }) => ok,
      () => false
    )
    byPath.set(path, verdict)
    return verdict
  }
}

/** True where middleware of the app, or of a route, provides `server.User`. Apps within it count. */
const isGuarded = ({ entries }: NestedApp): boolean =>
  entries.some(entry => {
    if (isGuard(entry)) return true
    if (entry.app !== null) return isGuarded(entry.app)
    for (const { guarded } of entry.routes?.() ?? []) if (guarded === true) return true
    return false
  })
