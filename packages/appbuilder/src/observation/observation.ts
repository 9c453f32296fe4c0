import { IopaError } from '@iopa/constants'
import { type Answer, type Context, Reads } from '@iopa/context'
import type { Change, Clock, Limits, Observation, Subscription, UserWatches } from '@iopa/transport'
import { silentLogger } from '../app/silent-logger.ts'
import { type Cause, cycleOf, isInChain, Once, OUTSIDE } from './cause.ts'
import { Changes } from './changes.ts'
import { type Asker, Identities, isAlone } from './inputs.ts'
import { Observer } from './observer.ts'
import { PathRuns } from './path-runs.ts'
import { getOf, type Question, questionOf } from './question.ts'
import { ResourceIndex } from './resource-index.ts'
import { collected, failed, isOwnEventStream, type Run, resourceOf, within } from './run.ts'
import { RunsUnderWay } from './runs-under-way.ts'
import { Turns } from './turns.ts'

/** What the registry needs of the app. */
export interface ObservationHost {
  readonly clock: Clock
  readonly logger: Context['logger']
  readonly limits: Pick<Limits, 'body' | 'requestTimeout'>
  /** The watched users, once a transport listens. */
  users(): UserWatches | undefined
  /** Runs the pipeline; the answer is sealed when `done` is called. */
  run(context: Context, done: (context: Context) => void): void
  /** What was asked, on behalf of `as`, as a child of its scope; `reads` records what the run reads of its peer. */
  renew(question: Question, as: Context, reads: Reads): Context
}

/** Milliseconds between the runs of a path that seems to notify itself. */
const HELD = 250

const tooMany = (): IopaError =>
  new IopaError(503, 'too-many-observers', 'The server has as many observers as it may have; try again.', { headers: { 'retry-after': '30' } })

const tooLate = (): IopaError => new IopaError(504, 'timeout', 'The request took too long.')

/** Who observes which path. Without observers and listeners a change costs one comparison. */
export class ObservationRegistry {
  readonly #host: ObservationHost
  readonly #turns = new Turns()
  readonly #identities = new Identities()
  readonly #paths = new Map<string, PathRuns>()
  readonly #resources = new ResourceIndex()
  readonly #listeners = new Set<(change: Change) => void>()
  readonly #changes = new Changes()
  readonly #runs = new RunsUnderWay()
  readonly #said = new Once()
  #order = 0
  /** Observers whose first GET has not been delivered. */
  readonly #muted = new Set<Observer>()
  /** Observers and listeners in all. */
  active = 0

  constructor(host: ObservationHost) {
    this.#host = host
  }

  /** Observers of every path. */
  get observers(): number {
    return this.active - this.#listeners.size
  }

  /** Registers, runs the GET, delivers its answer, and only then tells of changes: one that came in between is delivered after it. */
  async observe(
    context: Context,
    deliver: (answer: Answer) => Promise<void> | void,
    run: ObservationHost['run'],
    limits: Pick<Limits, 'observers' | 'requestTimeout'>,
    lasting = false
  ): Promise<Observation> {
    const observer = new Observer(context, questionOf(context), deliver, this.#observers)
    if (this.observers >= limits.observers) {
      observer.removed = true
      context.response.fail(tooMany())
      context.response.seal(context.environment.codecs)
      await observer.deliverFirst(context.response)
      return { active: false, close: reason => context.end(reason) }
    }
    this.active++
    this.#muted.add(observer)
    const since = this.#changes.count
    context.defer(() => this.#remove(observer))
    try {
      await new Promise<void>(resolve => run(context, () => resolve()))
      if (isOwnEventStream(context)) {
        this.#remove(observer)
        this.#watch(context, () => void context.end('timeout'))
        await observer.deliverFirst(context.response)
        return { active: false, close: reason => context.end(reason) }
      }
      const answer = await this.#collected(context, limits.requestTimeout)
      if (!answer.ok) this.#remove(observer)
      else if (!lasting) this.#watch(context, error => observer.end(failed(context, error)))
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
  changed(path: string, origin: Context | null): void {
    if (this.active === 0) return
    const cause = this.#runs.causeOf(origin)
    const { chain } = cause
    if (chain !== null && isInChain(chain, path)) {
      if (chain.path !== path) this.#logCycle(cycleOf(chain, path))
      return
    }
    if (this.#muted.size > 0 || this.#runs.size > 0) this.#changes.add(path)
    this.#paths.get(path)?.refresh(cause)
    const others = this.#resources.at(path)
    if (others !== undefined) {
      for (const [runs, observers] of others) {
        if (chain !== null && isInChain(chain, runs.path)) {
          if (chain.path !== runs.path) this.#logCycle(cycleOf(chain, runs.path))
          continue
        }
        if (observers.size === runs.observers.size) runs.refresh(cause)
        else runs.owe(observers, cause)
      }
    }
    if (this.#listeners.size > 0) this.#announce({ path, origin })
  }

  /** Hands observers of `path` an answer that was not made by running GET here. It is no change of this app. */
  deliver(path: string, answer: Answer): void {
    if (this.#muted.size > 0) this.#changes.add(path)
    const observers = new Set(this.#paths.get(path)?.observers as ReadonlySet<Observer> | undefined)
    for (const others of this.#resources.at(path)?.values() ?? []) for (const observer of others) observers.add(observer)
    for (const observer of observers) observer.push(answer)
  }

  /** Hears every change of any path until it is disposed. */
  listen(listener: (change: Change) => void): Subscription {
    const own = (change: Change): void => listener(change)
    this.#listeners.add(own)
    this.active++
    return {
      [Symbol.dispose]: () => {
        if (this.#listeners.delete(own)) this.active--
      }
    }
  }

  /** The answer to a GET that begins after this call; callers whose inputs are equal, or are not read, get the same one. */
  represent(path: string, as: Context): Promise<Answer> {
    const question = getOf(path, as)
    return new Promise(resolve => {
      const asker: Asker = {
        question,
        context: as,
        id: as['iopa.Id'],
        alone: isAlone(question, as),
        removed: false,
        inputs: '',
        waits: false,
        inputBits: -1,
        told: (answer, run) => resolve(answer ?? failed(run.context, tooLate()))
      }
      this.#runsOf(path).ask(asker, this.#runs.cause)
    })
  }

  #announce(change: Change): void {
    if (this.#runs.size === 0) {
      for (const listener of this.#listeners) listener(change)
      return
    }
    this.#runs.onBehalfOf(change.origin, () => {
      for (const listener of this.#listeners) listener(change)
    })
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

  readonly #runHost = {
    turns: this.#turns,
    identities: this.#identities,
    start: (leader: Asker, askers: readonly Asker[], cause: Cause, finished: (run: Run, answer: Answer | null) => void): Run => {
      const reads = new Reads()
      const context = this.#host.renew(leader.question, leader.context, reads)
      const run: Run = {
        leader,
        askers,
        user: leader.context['server.User'],
        context,
        reads,
        cause,
        chain: { path: leader.question.path, above: cause.chain },
        order: ++this.#order,
        since: this.#changes.count,
        resource: leader.question.path,
        over: false
      }
      this.#runs.add(run)
      const finish = (answer: Answer | null): void => {
        run.over = true
        this.#runs.delete(run)
        reads.pause()
        if (answer?.ok) run.resource = resourceOf(context)
        finished(run, answer)
        // What it still does, and fails to do, is over.
        if (answer === null) context['server.Logger'] = silentLogger
        void context.end(answer === null ? 'timeout' : 'finish')
      }
      this.#answer(run).then(finish, (error: unknown) => {
        this.#host.logger.error(`iopa: a notification of ${run.chain.path} failed`, error)
        finish(null)
      })
      return run
    },
    elapsed: (): number => this.#host.clock.elapsed(),
    hold: (path: string, release: () => void): (() => void) => {
      this.#logCycle(`${path} -> ${path}`)
      const timer = this.#host.clock.setTimeout(release, HELD)
      return () => this.#host.clock.clearTimeout(timer)
    },
    idle: (runs: PathRuns): void => {
      if (runs.observers.size === 0 && this.#paths.get(runs.path) === runs) this.#paths.delete(runs.path)
    }
  }

  /** The collected answer of a run; null, which is logged, when there is none in time. */
  #answer(run: Run): Promise<Answer | null> {
    const { clock, limits, logger } = this.#host
    let done = false
    const ran = new Promise<void>(resolve => {
      this.#runs.as(run, () =>
        this.#host.run(run.context, () => {
          done = true
          resolve()
        })
      )
    })
    if (done && !run.context.response.isStream) return Promise.resolve(run.context.response)
    const answer = ran.then(() => (run.context.response.isStream ? collected(run.context, limits.body) : run.context.response))
    return within<Answer | null>(clock, limits.requestTimeout, answer, () => {
      logger.error(
        `iopa: a notification of ${run.chain.path} has no answer after ${limits.requestTimeout} ms; its observers are told of the next change`
      )
      return null
    })
  }

  #collected(context: Context, time: number): Promise<Answer> | Answer {
    if (!context.response.isStream) return context.response
    return within(this.#host.clock, time, collected(context, this.#host.limits.body), () => {
      context['server.Logger'].error(`iopa: the body of ${context} could not be read within ${time} ms`)
      return failed(context, tooLate())
    })
  }

  /** Until the context ends. */
  #watch(context: Context, ended: (error: IopaError) => void): void {
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
