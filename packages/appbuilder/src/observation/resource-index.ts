import type { Observer } from './observer.ts'
import type { PathRuns } from './path-runs.ts'

/** Observers by the path of the resource that they hear of, where it is not the one that they observe. */
export class ResourceIndex {
  readonly #observers = new Map<string, Map<PathRuns, Set<Observer>>>()
  /** Those who hear of a resource, by its path and by the path that they observe. */
  readonly at: ReadonlyMap<string, ReadonlyMap<PathRuns, ReadonlySet<Observer>>> = this.#observers

  /** The resources that observers hear of under another path than their own. */
  paths(): Iterable<string> {
    return this.#observers.keys()
  }

  /** From now on the observer hears of `resource`. */
  move(observer: Observer, runs: PathRuns, resource: string): void {
    this.forget(observer, runs)
    observer.resource = resource
    if (resource === observer.question.path) return
    let byRuns = this.#observers.get(resource)
    if (byRuns === undefined) this.#observers.set(resource, (byRuns = new Map()))
    const observers = byRuns.get(runs)
    if (observers === undefined) byRuns.set(runs, new Set([observer]))
    else observers.add(observer)
  }

  forget(observer: Observer, runs: PathRuns): void {
    const byRuns = this.#observers.get(observer.resource)
    if (byRuns === undefined) return
    const observers = byRuns.get(runs)
    observers?.delete(observer)
    if (observers?.size === 0) byRuns.delete(runs)
    if (byRuns.size === 0) this.#observers.delete(observer.resource)
  }
}
