import { IopaError } from '@iopa/constants'
import type { SealedAnswer } from '@iopa/context'
import { type AnswerRecord, type RunContext, sealAnswer } from '@iopa/context/host'
import type { Change, HostObserveOptions, Limits, Observation, Subscription, UserWatches } from '@iopa/transport'
import { cycleOf, isInChain, Once, OUTSIDE } from './cause.ts'
import { Changes } from './changes.ts'
import { type Asker, Identities, isAlone } from './inputs.ts'
import { Observer } from './observer.ts'
import { PathRuns, type RunHost } from './path-runs.ts'
import { getOf, questionOf } from './question.ts'
import { replay } from './replay.ts'
import { ResourceIndex } from './resource-index.ts'
import { RunStarter, type RunStarterHost } from './run-starter.ts'
import { RunsUnderWay } from './runs-under-way.ts'
import { collected, failed, resourceOf, within } from './shared-run.ts'
import { Turns } from './turns.ts'

/** What the registry needs of the app. */
export interface ObservationHost extends RunStarterHost {
  /** The watched users, once a transport listens. */
  users(): UserWatches | undefined
}

/** A listener of every change, and the handler of its errors. */
interface ChangeListener {
  readonly heard: (change: Change) => void
  readonly failed: (error: unknown) => void
}

/** Milliseconds between the runs of a path that seems to notify itself. */
const HELD = 250

const tooMany = (): IopaError =>
  new IopaError(503, 'too-many-observers', 'The server has reached its limit of observers: try again later.', { headers: { 'retry-after': '30' } })

const tooLate = (): IopaError => new IopaError(504, 'timeout', 'The request took too long.')

/** Who observes which path. Without observers and listeners a change costs one comparison. */
export class ObservationRegistry {
  readonly #host: ObservationHost
  readonly #paths = new Map<string, PathRuns>()
  readonly #resources = new ResourceIndex()
  readonly #listeners = new Set<ChangeListener>()
  readonly #changes = new Changes()
  readonly #runs = new RunsUnderWay()
  readonly #said = new Once()
  readonly #runHost: RunHost
  /** Observers whose first GET has not been delivered. */
  readonly #muted = new Set<Observer>()
  /** Observers and listeners in all. */
  active = 0

  constructor(host: ObservationHost) {
    this.#host = host
    this.#runHost = {
      turns: new Turns(),
      identities: new Identities(),
      starter: new RunStarter(host, this.#runs, this.#changes),
      elapsed: () => host.clock.elapsed(),
      hold: (path, release) => {
        this.#logCycle(`${path} -> ${path}`)
        const timer = host.clock.setTimeout(release, HELD)
        return () => host.clock.clearTimeout(timer)
      },
      idle: runs => {
        if (this.#paths.get(runs.path) === runs) this.#paths.delete(runs.path)
      }
    }
  }

  /** Observers of every path. */
  get observers(): number {
    return this.active - this.#listeners.size
  }

  /** Registers, runs the GET, delivers its answer, and only then tells of changes: one that came in between is delivered after it. */
  async observe(
    context: RunContext,
    deliver: (answer: SealedAnswer) => Promise<void> | void,
    run: ObservationHost['run'],
    limits: Pick<Limits, 'observers' | 'requestTimeout'>,
    { lasting = false, excerpt = 0, passes }: HostObserveOptions
  ): Promise<Observation> {
    const observer = new Observer(context, questionOf(context), excerpt, deliver, this.#observers)
    if (this.observers >= limits.observers) {
      observer.removed = true
      context.response.fail(tooMany())
      void sealAnswer(context.response, context.environment.codecs)
      await observer.deliverFirst(context.response)
      return { active: false, close: reason => context.end(reason) }
    }
    this.active++
    this.#muted.add(observer)
    const since = this.#changes.count
    context.defer(() => this.#remove(observer))
    try {
      await new Promise<void>(resolve => run(context, () => resolve()))
      if (context.response.isStream && passes?.(context.response) === true) {
        this.#remove(observer)
        this.#watch(context, () => void context.end('timeout'))
        await observer.deliverFirst(context.response)
        return { active: false, close: reason => context.end(reason) }
      }
      const answer = await this.#collected(context, limits.requestTimeout, excerpt)
      if (!answer.ok) this.#remove(observer)
      else if (!lasting) this.#watch(context, error => observer.end(failed(context, error)))
      const earlier = context.response.rare?.earlier
      if (answer.ok && earlier) {
        await replay(observer, answer, earlier)
        if (observer.removed) return { active: false, close: reason => context.end(reason ?? 'unsubscribe') }
      }
      await observer.deliverFirst(answer)
      if (!observer.removed) this.#unmute(observer, since)
    } finally {
      this.#muted.delete(observer)
    }
    return { active: !observer.removed, close: reason => context.end(reason ?? 'unsubscribe') }
  }

  /** The paths that are observed, and those of resources that are observed by another path. */
  *paths(): Generator<string> {
    yield* this.#paths.keys()
    yield* this.#resources.paths()
    for (const { question } of this.#muted) yield question.path
  }

  /** Tells who observes `path`, or hears of the resource there. What a run changes on the way to where it came from is ignored. */
  changed(path: string, origin: RunContext | null): void {
    if (this.active === 0) return
    const inRun = this.#runs.all.size > 0
    const cause = inRun ? this.#runs.causeOf(origin) : OUTSIDE
    const { chain } = cause
    if (chain !== null && isInChain(chain, path)) {
      if (chain.path !== path) this.#logCycle(cycleOf(chain, path))
      return
    }
    if (inRun || this.#muted.size > 0) this.#changes.add(path)
    this.#paths.get(path)?.refresh(cause, origin)
    const others = this.#resources.at.get(path)
    if (others !== undefined) {
      for (const [runs, observers] of others) {
        if (chain !== null && isInChain(chain, runs.path)) {
          if (chain.path !== runs.path) this.#logCycle(cycleOf(chain, runs.path))
          continue
        }
        if (observers.size === runs.observers.size) runs.refresh(cause, origin)
        else runs.owe(observers, cause, origin)
      }
    }
    if (this.#listeners.size === 0) return
    if (inRun) this.#runs.onBehalfOf(origin, () => this.#tell({ path, origin }))
    else this.#tell({ path, origin })
  }

  /** Hands observers of `path` an answer that was not made by running GET here. It is no change of this app. */
  deliver(path: string, answer: SealedAnswer): void {
    if (this.#muted.size > 0) this.#changes.add(path)
    const observers = new Set(this.#paths.get(path)?.observers as ReadonlySet<Observer> | undefined)
    for (const others of this.#resources.at.get(path)?.values() ?? []) for (const observer of others) observers.add(observer)
    const { ok } = answer
    for (const observer of observers) observer.push(answer, ok)
  }

  /** Hears every change of any path until it is disposed; `failed` gets what `heard` throws. */
  listen(heard: (change: Change) => void, failed: (error: unknown) => void): Subscription {
    const own: ChangeListener = { heard, failed }
    this.#listeners.add(own)
    this.active++
    return {
      [Symbol.dispose]: () => {
        if (this.#listeners.delete(own)) this.active--
      }
    }
  }

  /** The answer to a GET that begins after this call; callers whose inputs are equal, or are not read, get the same one. */
  represent(path: string, as: RunContext): Promise<SealedAnswer> {
    const question = getOf(path, as)
    return new Promise(resolve => {
      const asker: Asker = {
        question,
        context: as,
        id: as['iopa.Id'],
        alone: isAlone(question, as),
        excerpt: 0,
        removed: false,
        inputs: '',
        waits: false,
        inputBits: -1,
        told: (answer, run) => resolve(answer ?? failed(run.context, tooLate()))
      }
      this.#runsOf(path).ask(asker, this.#runs.cause)
    })
  }

  #tell(change: Change): void {
    for (const { heard, failed } of this.#listeners) {
      try {
        heard(change)
      } catch (error) {
        failed(error)
      }
    }
  }

  readonly #observers = {
    remove: (observer: Observer): void => this.#remove(observer),
    answered: (observer: Observer, resource: string, since: number): void => {
      const runs = this.#paths.get(observer.question.path)
      if (runs === undefined) return
      this.#resources.move(observer, runs, resource)
      // The resource may have changed before this observer was registered for it.
      if (this.#changes.since(since, resource)) runs.owe([observer], OUTSIDE)
    }
  }

  #unmute(observer: Observer, since: number): void {
    const { path } = observer.question
    const runs = this.#runsOf(path)
    runs.observe(observer)
    const resource = resourceOf(observer.context)
    this.#resources.move(observer, runs, resource)
    if (this.#changes.since(since, path) || this.#changes.since(since, resource)) runs.owe([observer], OUTSIDE)
  }

  #runsOf(path: string): PathRuns {
    let runs = this.#paths.get(path)
    if (runs === undefined) this.#paths.set(path, (runs = new PathRuns(path, this.#runHost)))
    return runs
  }

  #collected(context: RunContext, time: number, excerpt: number): Promise<AnswerRecord> | AnswerRecord {
    if (!context.response.isStream) return context.response
    return within(this.#host.clock, time, collected(context, this.#host.limits.body, excerpt), () => {
      context['server.Logger'].error(`iopa: the body of ${context} could not be read within ${time} ms`)
      return failed(context, tooLate())
    })
  }

  /** Until the context ends. */
  #watch(context: RunContext, ended: (error: IopaError) => void): void {
    const watch = this.#host.users()?.watch(context, ended)
    if (watch) context.defer(() => watch[Symbol.dispose]())
  }

  #logCycle(cycle: string): void {
    if (!this.#said.first(cycle)) return
    this.#host.logger.error(
      `iopa: GET notifies in a circle, which is cut: ${cycle}; do not call notify() of what leads back to the path that is read`
    )
  }

  #remove(observer: Observer): void {
    if (observer.removed) return
    observer.removed = true
    this.active--
    const runs = this.#paths.get(observer.question.path)
    if (runs === undefined) return
    this.#resources.forget(observer, runs)
    runs.observers.delete(observer)
    if (runs.observers.size === 0 && runs.isIdle) this.#paths.delete(runs.path)
  }
}
