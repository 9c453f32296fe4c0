import { type CodecTable, changesState, type IopaError } from '@iopa/constants'
import { Answer, applyValue, type Context } from '@iopa/context'
import type { Clock, Limits } from '@iopa/transport'
import { sharedError } from '@iopa/transport/host'
import { applyReturned, asPromise, type ComposedPipeline, isThenable } from './compose.ts'
import { Deadlines } from './deadlines.ts'
import { callDone, ErrorBoundary } from './error-boundary.ts'
import { toIopaError } from './errors.ts'
import { awaitStream, type Whole } from './finishing.ts'
import { reenter } from './reentry.ts'
import { type Done, RUNNING, Run } from './run.ts'

const OVERLOADED = sharedError(503, 'overloaded', 'The server is working on as many requests as it may; try again.', { 'retry-after': '1' })
const TIMED_OUT = sharedError(504, 'timeout', 'The request took too long.')
/** The answer to every request after the app has been closed. */
export const SHUT_DOWN: IopaError = sharedError(503, 'shutdown', 'The server is shutting down.')
const MISSING_AWAIT = sharedError(500, 'missing-await', 'A middleware finished before the handler that it called: return or await next().')
const LOST = sharedError(500, 'lost-rejection', 'A middleware did not wait for what it had called: return or await next(), and call it once.')

/** Runs requests of one listener: the error boundary, the bound on work, the deadline, and the sealing of answers. */
export class Dispatcher {
  readonly #pipeline: () => ComposedPipeline
  readonly #boundary: ErrorBoundary
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #changed: (path: string, origin: Context) => void
  readonly #deadlines: Deadlines
  /** The pipeline, once it has been asked for: from then on it is fixed. */
  #composed: ComposedPipeline | null = null
  #inFlight = 0
  /** Called for each request that is refused, as there are too many in work. */
  shed: (() => void) | undefined
  readonly #idle: (() => void)[] = []

  /** `changed` hears of each path whose state a 2xx answer has changed. */
  constructor(pipeline: () => ComposedPipeline, codecs: CodecTable, limits: Limits, clock: Clock, changed: (path: string, origin: Context) => void) {
    this.#pipeline = pipeline
    this.#boundary = new ErrorBoundary(codecs)
    this.#limits = limits
    this.#clock = clock
    this.#changed = changed
    this.#deadlines = new Deadlines(clock, limits.requestTimeout, run => this.#cut(run, TIMED_OUT))
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Runs the pipeline; `done` is called once, and never throws out of here. A context that is in a run already runs within that. */
  run(context: Context, done: Done, whole: Whole = false): void {
    const answer = context.response
    if (answer.run !== null || answer.sealed) {
      reenter(context, done, this.#pipeline, this.#boundary)
      return
    }
    answer.run = RUNNING
    const excess = this.#inFlight++ >= this.#limits.inFlight
    if ((excess || context.ended) && this.#refused(context, excess)) {
      this.#finish(context, done, whole)
      return
    }
    try {
      const pipeline = (this.#composed ??= this.#pipeline())
      const value = pipeline.unwrap(pipeline(context))
      if (isThenable(value)) {
        this.#await(context, value, done, whole)
        return
      }
      const { run } = answer
      if (run === RUNNING || !this.#faulty(run as Run, value)) this.#settle(context, value, run !== RUNNING && (run as Run).failed)
    } catch (error) {
      this.#boundary.fail(context, error)
    }
    this.#finish(context, done, whole)
  }

  /** Answers a request that must not run any more, or not yet; false for one whose peer alone has left. */
  #refused(context: Context, excess: boolean): boolean {
    const shutDown = context.ended && context.endReason === 'shutdown'
    if (!shutDown && excess) this.shed?.()
    if (shutDown || excess) context.response.fail(shutDown ? SHUT_DOWN : OVERLOADED)
    return shutDown || excess
  }

  /** Resolves when nothing is in work. */
  idle(): Promise<void> {
    return this.#inFlight === 0 ? Promise.resolve() : new Promise(resolve => this.#idle.push(resolve))
  }

  /** Answers what is still in work: nobody waits for its handlers any more. */
  close(): void {
    for (const run of this.#deadlines.close()) {
      run.settled = true
      this.#cut(run, SHUT_DOWN)
    }
  }

  #await(context: Context, value: PromiseLike<unknown>, done: Done, whole: Whole): void {
    const run = this.#timed(context, done, whole)
    // A change must be known whatever becomes of the peer, so its scope lives as long as the handler.
    if (changesState(context['iopa.Method'])) {
      run.held = true
      context.hold()
      context.onEndAsked(() => {
        if (!run.settled) this.#limit(run)
      })
    }
    try {
      asPromise(value).then(
        settled => this.#settled(run, settled),
        (error: unknown) => this.#rejected(run, error)
      )
    } catch (error) {
      this.#rejected(run, error)
    }
  }

  /** The run of a context, under its deadline. */
  #timed(context: Context, done: Done, whole: Whole): Run {
    const run = Run.of(context) as Run
    if (run.done === null) {
      run.done = done
      run.whole = whole
      this.#deadlines.add(run)
    }
    return run
  }

  #settled(run: Run, value: unknown): void {
    if (run.settled) return
    run.settled = true
    if (run.done === null) this.#late(run, value)
    else this.#complete(run.context, value, run.done, run.whole)
  }

  #rejected(run: Run, error: unknown): void {
    if (run.settled) return
    run.settled = true
    if (run.done === null) {
      this.#lateFailure(run, error)
      return
    }
    this.#boundary.fail(run.context, error)
    this.#finish(run.context, run.done, run.whole)
  }

  #complete(context: Context, value: unknown, done: Done, whole: Whole): void {
    const { run } = context.response
    try {
      if (run === RUNNING || !this.#faulty(run as Run, value)) this.#settle(context, value, run !== RUNNING && (run as Run).failed)
    } catch (error) {
      this.#boundary.fail(context, error)
    }
    this.#finish(context, done, whole)
  }

  /** Fails the answer of a run whose middleware let go of a promise, or swallowed an error and set nothing in its place. */
  #faulty(run: Run, value: unknown): boolean {
    const { context } = run
    const lost = run.lost()
    if (lost !== null) {
      run.blamed = true
      const { error } = lost
      const visible = !lost.rejected ? MISSING_AWAIT : toIopaError(error).code === 'next-called-twice' ? error : LOST
      this.#boundary.fail(context, visible, lost.rejected ? lost : { by: lost.by, at: lost.at })
    } else if (run.pending > 0) {
      run.blamed = true
      this.#boundary.fail(context, MISSING_AWAIT, run.careless ?? { by: this.#around() })
    } else {
      const swallowed = run.unanswered(value)
      if (swallowed === null) return false
      this.#boundary.fail(context, swallowed.error)
    }
    return true
  }

  /** The middleware around the handler, for a fault of one of them. */
  #around(): string {
    return (this.#composed ?? this.#pipeline()).names.slice(0, -1).join("' or '")
  }

  #settle(context: Context, value: unknown, failed: boolean): void {
    const answer = context.response
    if (value !== undefined) applyReturned(answer, value)
    if (changesState(context['iopa.Method']) && answer.ok && !failed) this.#tell(context)
  }

  /** Tells observers of what a request has changed. */
  #tell(context: Context): void {
    this.#changed(context.response.resource || context['iopa.PathBase'] + context['iopa.Path'], context)
  }

  /** A handler has finished after its answer had left: what it returned says whether the state has changed. */
  #late(run: Run, value: unknown): void {
    const { context } = run
    try {
      applyReturned(context.response, value)
      const verdict = new Answer()
      applyValue(verdict, run.late)
      if (changesState(context['iopa.Method']) && !run.failed && (!verdict.hasStatus || verdict.ok)) this.#tell(context)
    } catch {
      // It returned an error, or what no answer can be made of.
    }
    this.#release(run)
  }

  #lateFailure(run: Run, error: unknown): void {
    const { context } = run
    // It has come as far as its answer, which had been sent without it.
    if (changesState(context['iopa.Method']) && toIopaError(error).code === 'answer-sent') this.#tell(context)
    this.#release(run)
  }

  /** Seals the answer, and hands it over: at once where nothing has to be waited for. */
  #finish(context: Context, done: Done, whole: Whole): void {
    const answer = context.response
    const sealing = this.#boundary.seal(context)
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
    } else if (answer.isStream) this.#stream(context, done, whole)
    else this.#over(context, done)
  }

  #sealed(run: Run): void {
    if (run.done === null) return
    if (run.context.response.isStream) this.#stream(run.context, run.done, run.whole)
    else this.#over(run.context, run.done)
  }

  /** Waits for a stream: for all of it where the transport sends it whole, else for its first chunk, so that one that fails at once is an error. */
  #stream(context: Context, done: Done, whole: Whole): void {
    const wait = awaitStream(context, whole, this.#limits.body, this.#clock)
    if (wait === null) {
      this.#over(context, done)
      return
    }
    const run = this.#timed(context, done, whole)
    run.settled = true
    run.giveUp = wait.giveUp
    context.defer(() => {
      wait.giveUp()
      if (run.done !== null) this.#over(context, done)
    })
    wait.ready.then(
      () => run.done !== null && this.#over(context, done),
      (error: unknown) => {
        if (run.done === null) return
        this.#boundary.fail(context, error)
        this.#over(context, done)
      }
    )
  }

  /** Answers for a run whose time is over, wherever it is. */
  #cut(run: Run, error: IopaError): void {
    const { context, done } = run
    if (done === null) return
    if (error === TIMED_OUT) context.planEnd('timeout')
    run.giveUp?.()
    if (context.response.sealed) this.#boundary.fail(context, error)
    else {
      if (error === TIMED_OUT) this.#boundary.fail(context, error)
      else context.response.fail(error)
      this.#boundary.sealNow(context)
    }
    this.#over(context, done)
  }

  #over(context: Context, done: Done): void {
    const { run } = context.response
    if (run !== RUNNING && run instanceof Run) {
      if (run.done !== null) this.#deadlines.remove(run)
      run.done = null
      run.endNested()
      if (run.held) {
        if (run.settled) this.#release(run)
        else this.#limit(run)
      }
    }
    this.#inFlight--
    if (this.#inFlight === 0 && this.#idle.length > 0) for (const resolve of this.#idle.splice(0)) resolve()
    callDone(context, done)
  }

  #release(run: Run): void {
    if (run.limit !== null) this.#clock.clearTimeout(run.limit)
    run.limit = null
    run.context.release()
  }

  /** A handler is at work whose answer or peer has left: its scope waits for it, but not for ever. */
  #limit(run: Run): void {
    run.limit ??= this.#clock.setTimeout(() => {
      if (run.done === null) run.settled = true
      this.#release(run)
    }, this.#limits.drainTimeout)
  }
}
