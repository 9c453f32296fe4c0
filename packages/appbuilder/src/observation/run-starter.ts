import { type AnswerRecord, type Environment, RECORD, Reads, type RunContext, SCOPE } from '@iopa/context/host'
import type { Clock, Limits } from '@iopa/transport'
import { silentLogger } from '../app/silent-logger.ts'
import type { Cause } from './cause.ts'
import type { Changes } from './changes.ts'
import type { Asker } from './inputs.ts'
import { renewed } from './renewal.ts'
import type { RunsUnderWay } from './runs-under-way.ts'
import { collected, resourceOf, type SharedRun, within } from './shared-run.ts'

/** What a run that observers share needs of the app. */
export interface RunStarterHost {
  readonly environment: Environment
  readonly clock: Clock
  readonly logger: RunContext['logger']
  readonly limits: Pick<Limits, 'body' | 'requestTimeout'>
  /** Runs the pipeline; the answer is sealed when `done` is called. */
  run(context: RunContext, done: () => void): void
}

/** Starts the GETs that observers share, and ends their contexts. */
export class RunStarter {
  readonly #host: RunStarterHost
  readonly #runs: RunsUnderWay
  readonly #changes: Changes
  #order = 0

  constructor(host: RunStarterHost, runs: RunsUnderWay, changes: Changes) {
    this.#host = host
    this.#runs = runs
    this.#changes = changes
  }

  /** Begins a GET, and calls `finished` once, never before it returns. */
  start(
    leader: Asker,
    askers: readonly Asker[],
    cause: Cause,
    origin: RunContext | null,
    finished: (run: SharedRun, answer: AnswerRecord | null) => void
  ): SharedRun {
    const { question, context: as } = leader
    const host = this.#host
    const runs = this.#runs
    const reads = new Reads()
    reads.origin = origin
    const context = renewed(host.environment, question, as, reads)
    const run: SharedRun = {
      leader,
      askers,
      user: as['server.User'],
      context,
      reads,
      cause,
      chain: { path: question.path, above: cause.chain },
      order: ++this.#order,
      since: this.#changes.count,
      resource: question.path,
      ok: false,
      over: false
    }
    runs.all.set(reads, run)
    const outer = runs.current
    runs.current = run
    let done = false
    let wake: (() => void) | undefined
    try {
      host.run(context, () => {
        done = true
        wake?.()
      })
    } finally {
      runs.current = outer
    }
    const record = context[RECORD]
    const { wire } = record
    const whole = done && (wire === null || typeof wire !== 'object' || !record.isStream)
    const answer = whole ? Promise.resolve(record) : this.#collected(run, done ? Promise.resolve() : new Promise(resolve => void (wake = resolve)))
    answer.then(
      made => this.#finish(run, made, finished),
      (error: unknown) => {
        host.logger.error(`iopa: a notification of ${question.path} failed`, error)
        this.#finish(run, null, finished)
      }
    )
    return run
  }

  /** The collected answer of a run that has been `ran`; null, which is logged, when there is none in time. */
  #collected(run: SharedRun, ran: Promise<void>): Promise<AnswerRecord | null> {
    const { clock, limits, logger } = this.#host
    const { context, chain } = run
    const answer = ran.then(() => (context[RECORD].isStream ? collected(context, limits.body, excerptOf(run.askers)) : context[RECORD]))
    return within<AnswerRecord | null>(clock, limits.requestTimeout, answer, () => {
      logger.error(`iopa: a notification of ${chain.path} has no answer after ${limits.requestTimeout} ms; its observers are told of the next change`)
      return null
    })
  }

  #finish(run: SharedRun, answer: AnswerRecord | null, finished: (run: SharedRun, answer: AnswerRecord | null) => void): void {
    const { context } = run
    run.over = true
    this.#runs.all.delete(run.reads)
    // Its context may be kept with its answer.
    run.reads.origin = null
    // A sealed answer has its status.
    run.ok = answer !== null && answer.code >= 200 && answer.code < 300
    if (run.ok) run.resource = context[RECORD].resource || resourceOf(context)
    finished(run, answer)
    // What it still does, and fails to do, is over.
    if (answer === null) context['server.Logger'] = silentLogger
    void context[SCOPE].end(answer === null ? 'timeout' : 'finish')
  }
}

/** Bytes of the start of a large body that the transports of a run's observers want. */
const excerptOf = (askers: readonly Asker[]): number => askers.reduce((most, { excerpt }) => Math.max(most, excerpt), 0)
