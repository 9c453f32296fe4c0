import { type Reads, type RunContext, readsOf } from '@iopa/context/host'
import { type Cause, OUTSIDE } from './cause.ts'
import type { SharedRun } from './shared-run.ts'

/** Paths of runs of which one may have caused a change that does not say who made it; more of them tell nothing. */
const MOST_SUSPECTS = 256

/** The runs of all paths that have not ended, and which of them is running right now. */
export class RunsUnderWay {
  /** By the record of what they read. */
  readonly all: Map<Reads, SharedRun> = new Map()
  /** The run whose synchronous part is running. */
  current: SharedRun | null = null

  /** Why a `represent` of right now is asked for. */
  get cause(): Cause {
    return this.current === null ? OUTSIDE : { chain: this.current.chain, suspects: null }
  }

  /** Does `work` as a part of the run that `origin` belongs to, if any; what it looks at there is no read of that run. */
  onBehalfOf(origin: RunContext | null, work: () => void): void {
    const reads = origin === null ? undefined : readsOf(origin)
    if (reads === undefined) {
      work()
      return
    }
    const run = this.all.get(reads)
    reads.ignoring(() => (run === undefined ? work() : this.#as(run, work)))
  }

  #as(run: SharedRun, work: () => void): void {
    const outer = this.current
    this.current = run
    try {
      work()
    } finally {
      this.current = outer
    }
  }

  /** Why a path changes, as far as can be told: a context of a run, or what runs right now, says it; else any run under way may have done it. */
  causeOf(origin: RunContext | null): Cause {
    if (this.all.size === 0) return OUTSIDE
    for (let context = origin; context !== null; context = context['server.ParentContext']) {
      const reads = readsOf(context)
      if (reads === undefined) continue
      const run = this.all.get(reads)
      return run === undefined ? OUTSIDE : { chain: run.chain, suspects: null }
    }
    // A request of a peer belongs to no run.
    if (origin !== null && !origin['server.IsLocalOrigin']) return OUTSIDE
    if (this.current !== null) return this.cause
    const suspects = new Set<string>()
    for (const { chain, cause } of this.all.values()) {
      for (let link: Cause['chain'] = chain; link !== null; link = link.above) suspects.add(link.path)
      for (const suspect of cause.suspects ?? []) suspects.add(suspect)
      if (suspects.size > MOST_SUSPECTS) return OUTSIDE
    }
    return { chain: null, suspects }
  }
}
