import type { SealedAnswer } from '@iopa/context'
import { Reads, type RunContext } from '@iopa/context/host'
import type { Clock, Limits } from '@iopa/transport'
import { silentLogger } from '../app/silent-logger.ts'
import type { Cause } from './cause.ts'
import type { Asker } from './inputs.ts'
import type { Question } from './question.ts'
import type { RunsUnderWay } from './runs-under-way.ts'
import { collected, resourceOf, type SharedRun, within } from './shared-run.ts'

/** What a run that observers share needs of the app. */
export interface RunStarterHost {
  readonly clock: Clock
  readonly logger: RunContext['logger']
  readonly limits: Pick<Limits, 'body' | 'requestTimeout'>
  /** Runs the pipeline; the answer is sealed when `done` is called. */
  run(context: RunContext, done: () => void): void
  /** What was asked, on behalf of `as`, as a child of its scope; `reads` records what the run reads of its peer. */
  renew(question: Question, as: RunContext, reads: Reads): RunContext
}

/** Starts the GETs that observers share, and ends their contexts. */
export class RunStarter {
  readonly #host: RunStarterHost
  readonly #runs: RunsUnderWay
  #order = 0

  constructor(host: RunStarterHost, runs: RunsUnderWay) {
    this.#host = host
    this.#runs = runs
  }

  /** Begins a GET, and calls `finished` once, never before it returns. `since` counts the changes until now. */
  start(
    leader: Asker,
    askers: readonly Asker[],
    cause: Cause,
    since: number,
    finished: (run: SharedRun, answer: SealedAnswer | null) => void
  ): SharedRun {
    const reads = new Reads()
    const context = this.#host.renew(leader.question, leader.context, reads)
    const run: SharedRun = {
      leader,
      askers,
      user: leader.context['server.User'],
      context,
      reads,
      cause,
      chain: { path: leader.question.path, above: cause.chain },
      order: ++this.#order,
      since,
      resource: leader.question.path,
      over: false
    }
    this.#runs.add(run)
    const finish = (answer: SealedAnswer | null): void => {
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
  }

  /** The collected answer of a run; null, which is logged, when there is none in time. */
  #answer(run: SharedRun): Promise<SealedAnswer | null> {
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
    const answer = ran.then(() => (run.context.response.isStream ? collected(run.context, limits.body, excerptOf(run.askers)) : run.context.response))
    return within<SealedAnswer | null>(clock, limits.requestTimeout, answer, () => {
      logger.error(
        `iopa: a notification of ${run.chain.path} has no answer after ${limits.requestTimeout} ms; its observers are told of the next change`
      )
      return null
    })
  }
}

/** Bytes of the start of a large body that the transports of a run's observers want. */
const excerptOf = (askers: readonly Asker[]): number => askers.reduce((most, { excerpt }) => Math.max(most, excerpt), 0)
