import { type CodecTable, changesState, type IopaError } from '@iopa/constants'
import { type AnswerRecord, OPEN, RECORD, type RunContext, SCOPE, sealAnswer } from '@iopa/context/host'
import type { Clock, Limits } from '@iopa/transport'
import { sharedError } from '@iopa/transport/host'
import { judgeOwnAnswer } from '../preconditions/own-answer.ts'
import { applyReturned, type ComposedPipeline, isThenable } from './compose.ts'
import { Deadlines } from './deadlines.ts'
import { ErrorBoundary, notSent } from './error-boundary.ts'
import { faultOf } from './faults.ts'
import { awaitStream, type Whole } from './finishing.ts'
import { LateHandlers } from './late-handlers.ts'
import { reenter } from './reentry.ts'
import { type Done, RUNNING, Run } from './run.ts'

const OVERLOADED = sharedError(503, 'overloaded', 'The server has reached its limit of running requests: try again later.', { 'retry-after': '1' })
const TIMED_OUT = sharedError(504, 'timeout', 'The request took too long.')
/** The answer to every request after the app has been closed. */
export const SHUT_DOWN: IopaError = sharedError(503, 'shutdown', 'The server is shutting down.')

/** What a runner needs of its app. */
export interface RunnerHost {
  readonly codecs: CodecTable
  readonly limits: Limits
  readonly clock: Clock
  /** The pipeline; asked for once. */
  pipeline(): ComposedPipeline
  /** A 2xx answer has changed the state of a path. */
  changed(path: string, origin: RunContext): void
}

/** Runs requests of one listener through the pipeline: the error boundary, the bound on work, the deadline, and the sealing of answers. */
export class Runner {
  readonly #host: RunnerHost
  readonly #codecs: CodecTable
  readonly #boundary: ErrorBoundary
  readonly #deadlines: Deadlines
  readonly #late: LateHandlers
  readonly #mostInFlight: number
  /** The pipeline, once it has been asked for: from then on it is fixed. */
  #composed: ComposedPipeline | null = null
  #inFlight = 0
  /** Called for each request that is refused, as there are too many in work. */
  shed: (() => void) | undefined
  readonly #idle: (() => void)[] = []

  constructor(host: RunnerHost) {
    this.#host = host
    this.#codecs = host.codecs
    this.#boundary = new ErrorBoundary(host.codecs)
    this.#mostInFlight = host.limits.inFlight
    this.#late = new LateHandlers(host.clock, host.limits.drainTimeout, context => this.#tell(context))
    this.#deadlines = new Deadlines(host.clock, host.limits.requestTimeout, run => this.#cut(run, TIMED_OUT))
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Runs the pipeline; `done` is called once, and never throws out of here. A context that is in a run already runs within that. */
  readonly run = (context: RunContext, done: Done, whole: Whole = false): void => {
    const answer = context[RECORD]
    if (answer.run !== null || answer.state !== OPEN) {
      reenter(context, done, this.#host, this.#boundary)
      return
    }
    answer.run = RUNNING
    const excess = this.#inFlight++ >= this.#mostInFlight
    if ((excess || context[SCOPE].ended) && this.#refused(context, excess)) {
      this.#finish(context, answer, done, whole)
      return
    }
    try {
      const pipeline = (this.#composed ??= this.#host.pipeline())
      let value = pipeline(context)
      if (typeof value === 'object' && value !== null) {
        value = pipeline.unwrap(value)
        if (isThenable(value)) {
          this.#await(context, value, done, whole)
          return
        }
      }
      this.#settle(context, answer, value)
    } catch (error) {
      this.#boundary.fail(context, error)
    }
    this.#finish(context, answer, done, whole)
  }

  /** Answers a request that must not run any more, or not yet; false for one whose peer alone has left. */
  #refused(context: RunContext, excess: boolean): boolean {
    const shutDown = context.ended && context.endReason === 'shutdown'
    if (!shutDown && excess) this.shed?.()
    if (shutDown || excess) context[RECORD].fail(shutDown ? SHUT_DOWN : OVERLOADED)
    return shutDown || excess
  }

  /** Resolves when nothing is in work. */
  idle(): Promise<void> {
    return this.#inFlight === 0 ? Promise.resolve() : new Promise(resolve => this.#idle.push(resolve))
  }

  /** The deadline of a run stops while its peer is awaited, and begins again when that has sent more. */
  awaitsPeer(context: RunContext, awaits: boolean): void {
    const run = Run.of(context)
    if (run === null || run.awaitsPeer === awaits) return
    run.awaitsPeer = awaits
    if (run.done === null) return
    if (awaits) this.#deadlines.pause(run)
    else {
      this.#deadlines.remove(run)
      this.#deadlines.add(run)
    }
  }

  /** Answers what is still in work: nothing waits for its handlers any more. */
  close(): void {
    for (const run of this.#deadlines.close()) {
      run.settled = true
      this.#cut(run, SHUT_DOWN)
    }
  }

  #await(context: RunContext, value: PromiseLike<unknown>, done: Done, whole: Whole): void {
    const run = this.#timed(context, done, whole)
    // A change must be known even if the peer leaves, so its scope lives as long as the handler.
    const method = context['iopa.Method']
    if (changesState(method)) {
      run.changing = method
      context[SCOPE].hold(() => {
        if (!run.settled) this.#late.limit(run)
      })
    }
    try {
      const work = value instanceof Promise ? value : Promise.resolve(value)
      work.then(
        settled => this.#settled(run, settled),
        (error: unknown) => this.#rejected(run, error)
      )
    } catch (error) {
      this.#rejected(run, error)
    }
  }

  /** The run of a context, under its deadline. */
  #timed(context: RunContext, done: Done, whole: Whole): Run {
    const run = Run.of(context) as Run
    if (run.done === null) {
      run.done = done
      run.whole = whole
      if (run.awaitsPeer) this.#deadlines.pause(run)
      else this.#deadlines.add(run)
    }
    return run
  }

  #settled(run: Run, value: unknown): void {
    if (run.settled) return
    run.settled = true
    if (run.done === null) this.#late.returned(run, value)
    else this.#complete(run.context, value, run.done, run.whole)
  }

  #rejected(run: Run, error: unknown): void {
    if (run.settled) return
    run.settled = true
    if (run.done === null) {
      this.#late.failed(run, error)
      return
    }
    this.#boundary.fail(run.context, error)
    this.#finish(run.context, run.context[RECORD], run.done, run.whole)
  }

  #complete(context: RunContext, value: unknown, done: Done, whole: Whole): void {
    const answer = context[RECORD]
    try {
      this.#settle(context, answer, value)
    } catch (error) {
      this.#boundary.fail(context, error)
    }
    this.#finish(context, answer, done, whole)
  }

  /** The pipeline has come to its end: writes its value, and notifies observers of a change. */
  #settle(context: RunContext, answer: AnswerRecord, value: unknown): void {
    const run = answer.run as Run
    // A run that let nothing go, and in which nothing has failed, has no fault.
    const sound = run === RUNNING || (run.watched === null && run.pending === 0 && !run.failed)
    if (!sound) {
      const fault = faultOf(run, value, this.#composed)
      if (fault !== null) {
        this.#boundary.fail(context, fault.error, fault.trouble)
        return
      }
    }
    if (value !== undefined && value !== answer.value) applyReturned(answer, value)
    const method = context['iopa.Method']
    // GET first: most requests need no look-up.
    if (method === 'GET' || (!sound && run.failed)) return
    if ((run.changing === method || changesState(method)) && answer.ok)
      this.#host.changed(answer.resource || context['iopa.PathBase'] + context['iopa.Path'], context)
  }

  /** Tells observers of what a request has changed. */
  #tell(context: RunContext): void {
    this.#host.changed(context[RECORD].resource || context['iopa.PathBase'] + context['iopa.Path'], context)
  }

  /** Judges the preconditions of a read, seals the answer, and hands it over: at once where nothing has to be waited for. */
  #finish(context: RunContext, answer: AnswerRecord, done: Done, whole: Whole): void {
    const sealing = this.#seal(context, answer)
    if (sealing !== undefined) {
      const run = this.#timed(context, done, whole)
      run.settled = true
      sealing.then(
        () => this.#sealed(run),
        (error: unknown) => {
          if (run.done === null) return
          this.#boundary.failAgain(context, error)
          this.#sealed(run)
        }
      )
      return
    }
    const { wire } = answer
    if (typeof wire === 'object' && wire !== null && answer.isStream) this.#stream(context, done, whole)
    else this.#over(context, answer, done)
  }

  #seal(context: RunContext, answer: AnswerRecord): void | Promise<void> {
    try {
      const method = context['iopa.Method']
      const isRead = method === 'GET' || method === 'HEAD' || method === 'FETCH'
      if (isRead && context['iopa.Observe'] !== true && context.hasPrecondition) judgeOwnAnswer(context, this.#codecs)
      return sealAnswer(answer, this.#codecs)
    } catch (error) {
      this.#boundary.failAgain(context, error)
    }
  }

  #sealed(run: Run): void {
    if (run.done === null) return
    if (run.context[RECORD].isStream) this.#stream(run.context, run.done, run.whole)
    else this.#over(run.context, run.context[RECORD], run.done)
  }

  /** Waits for a stream: for all of it where the transport sends it whole, else for its first chunk, so that one that fails at once is an error. */
  #stream(context: RunContext, done: Done, whole: Whole): void {
    const wait = awaitStream(context, whole, this.#host.limits.body, this.#host.clock)
    if (wait === null) {
      this.#over(context, context[RECORD], done)
      return
    }
    const run = this.#timed(context, done, whole)
    run.settled = true
    run.giveUp = wait.giveUp
    context.defer(() => {
      wait.giveUp()
      if (run.done !== null) this.#over(context, context[RECORD], done)
    })
    wait.ready.then(
      () => run.done !== null && this.#over(context, context[RECORD], done),
      (error: unknown) => {
        if (run.done === null) return
        this.#boundary.fail(context, error)
        this.#over(context, context[RECORD], done)
      }
    )
  }

  /** Answers for a run whose time is over, wherever it is. */
  #cut(run: Run, error: IopaError): void {
    const { context, done } = run
    if (done === null) return
    if (error === TIMED_OUT) context.planEnd('timeout')
    run.giveUp?.()
    if (context[RECORD].state !== OPEN) this.#boundary.fail(context, error)
    else {
      if (error === TIMED_OUT) this.#boundary.fail(context, error)
      else context[RECORD].fail(error)
      this.#boundary.sealNow(context)
    }
    this.#over(context, context[RECORD], done)
  }

  #over(context: RunContext, answer: AnswerRecord, done: Done): void {
    const { run } = answer
    if (run !== RUNNING && run instanceof Run) {
      if (run.done !== null) this.#deadlines.remove(run)
      run.done = null
      if (run.nests) run.endNested()
      if (run.changing !== '') {
        if (!run.settled) this.#late.limit(run)
        else if (run.limit === null) context[SCOPE].release()
        else this.#late.release(run)
      }
    }
    this.#inFlight--
    if (this.#inFlight === 0 && this.#idle.length > 0) for (const resolve of this.#idle.splice(0)) resolve()
    try {
      done(context)
    } catch (error) {
      notSent(context, error)
    }
  }
}
