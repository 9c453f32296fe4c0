import { changesState } from '@iopa/constants'
import { type RunContext, SCOPE } from '@iopa/context/host'
import type { Clock } from '@iopa/transport'
import { toIopaError } from './errors.ts'
import { hasSucceededLate } from './faults.ts'
import type { Run } from './run.ts'

/** Handlers that are still at work when their answer or peer has left: their scope waits for them, and observers hear what they change. */
export class LateHandlers {
  readonly #clock: Clock
  readonly #longest: number
  readonly #changed: (context: RunContext) => void

  /** `longest` in milliseconds is how long a scope waits; `changed` is called for a request that has changed a state after all. */
  constructor(clock: Clock, longest: number, changed: (context: RunContext) => void) {
    this.#clock = clock
    this.#longest = longest
    this.#changed = changed
  }

  /** A handler has finished after its answer had left: what it returned says whether the state has changed. */
  returned(run: Run, value: unknown): void {
    const succeeded = hasSucceededLate(run, value)
    if (succeeded && changesState(run.context['iopa.Method'])) this.#changed(run.context)
    this.release(run)
  }

  failed(run: Run, error: unknown): void {
    const { context } = run
    // It has come as far as its answer, which had been sent without it.
    if (changesState(context['iopa.Method']) && toIopaError(error).code === 'answer-sent') this.#changed(context)
    this.release(run)
  }

  release(run: Run): void {
    if (run.limit !== null) this.#clock.clearTimeout(run.limit)
    run.limit = null
    run.context[SCOPE].release()
  }

  /** A handler is at work whose answer or peer has left: its scope waits for it, but not for ever. */
  limit(run: Run): void {
    run.limit ??= this.#clock.setTimeout(() => {
      if (run.done === null) run.settled = true
      this.release(run)
    }, this.#longest)
  }
}
